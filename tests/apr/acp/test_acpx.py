"""`apr acp` in an editor of another maker, unchanged: acpx, on the protocol's TypeScript library.

`tools/editors.sh .editors` installs it.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import APR, calls, environment, says

EDITORS = Path(__file__).parents[3] / ".editors/node_modules/.bin"
ACPX = shutil.which("acpx", path=str(EDITORS))
CALC = "src/calc.py"
TURNS = [
    calls(("Read", {"file_path": CALC})),
    calls(("Edit", {"file_path": CALC, "old_string": "a - b", "new_string": "a + b"}), first=2),
    says("Fixed."),
]

pytestmark = pytest.mark.skipif(
    ACPX is None or shutil.which("node") is None, reason="needs acpx: tools/editors.sh .editors"
)


class Acpx:
    """The editor, at work on a project."""

    def __init__(self, home: Path, project: Path) -> None:
        self._home, self._project = home, project

    def __call__(self, url: str, *words: str, consent: str = "--approve-all") -> list[Any]:
        """Run it to its end; return the messages of both sides, in their order."""
        agent = f"{APR} acp --base-url {url} --model m"
        given = ["--agent", agent, "--cwd", str(self._project), "--format", "json", consent]
        ran = subprocess.run(
            [str(ACPX), *given, *words],
            env=environment(self._home) | {"PATH": _path()},
            cwd=self._project,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ran.returncode in {0, 5}, ran.stderr  # 5: every permission was denied
        return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.fixture
def acpx(home: Path, project: Path) -> Acpx:
    return Acpx(home, project)


def test_a_task_is_done_through_the_editors_own_files(acpx: Acpx, project: Path) -> None:
    with serving(ScriptedModel(TURNS)) as url:
        messages = acpx(url, "exec", "fix add")
    assert (project / CALC).read_text() == "def add(a, b):\n    return a + b\n"
    methods = [message["method"] for message in messages if "method" in message]
    assert methods.count("fs/read_text_file") == 2
    assert methods.count("fs/write_text_file") == 1
    assert methods.count("session/request_permission") == 1
    told = [one["params"]["update"] for one in messages if one.get("method") == "session/update"]
    states = [one["status"] for one in told if "toolCallId" in one]
    assert states == ["pending", "in_progress", "completed"] * 2
    (diff,) = next(one["content"] for one in told if one.get("kind") == "edit")
    assert (diff["type"], diff["oldText"], diff["newText"]) == ("diff", "a - b", "a + b")
    assert _result(messages)["stopReason"] == "end_turn"


def test_what_the_editor_denies_is_not_done(acpx: Acpx, project: Path) -> None:
    before = (project / CALC).read_text()
    with serving(ScriptedModel(TURNS)) as url:
        messages = acpx(url, "exec", "fix add", consent="--deny-all")
    assert (project / CALC).read_text() == before
    assert "fs/write_text_file" not in {message.get("method") for message in messages}
    assert _result(messages)["stopReason"] == "end_turn"


def _result(messages: list[Any]) -> Mapping[str, Any]:
    """Return what the prompt came to."""
    found: list[Mapping[str, Any]] = [
        message["result"] for message in messages if "stopReason" in message.get("result", {})
    ]
    return found[-1]


def _path() -> str:
    return f"{EDITORS}:{Path(shutil.which('node') or '').parent}:/usr/bin:/bin"
