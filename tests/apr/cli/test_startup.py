"""What a run pays before its first request: modules, and bytes the model must read."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import APR, environment, says

# All that is not the standard library. Each further package costs every user, on every run.
PACKAGES = {"apr", "ccpa", "httptools", "msgspec"}

# Imported, where they are there, by the interpreter (`sitecustomize`), by `copy` (it asks for
# Jython), and by msgspec.
NOT_OURS = {"sitecustomize", "usercustomize", "org", "typing_extensions"}

# Parts of the standard library that are slow to import and that no run needs before its answer.
SLOW = {
    "ctypes",
    "difflib",
    "email",
    "http",
    "importlib.metadata",
    "json",
    "multiprocessing",
    "shutil",
    "sqlite3",
    "tempfile",
    "unittest",
    "xml",
}


@pytest.fixture
def imported(home: Path, project: Path, tmp_path: Path) -> set[str]:
    """Every module that a whole run with a trace imports, as the interpreter reports it."""
    with serving(ScriptedModel([says("Hello.")])) as url:
        words = ["code", "--base-url", url, "--emit-trace", str(tmp_path / "run.jsonl"), "hi"]
        done = subprocess.run(
            [sys.executable, "-v", APR, *words],  # `-X importtime` misses `import_module`
            cwd=project,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    return set(re.findall(r"(?m)^import '?([\w.]+)'? #", done.stderr))


def test_a_run_imports_its_own_code_and_two_packages(imported: set[str]) -> None:
    top = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    foreign = {name for name in top if not name.startswith("_")} - NOT_OURS
    assert foreign == PACKAGES


def test_a_run_imports_nothing_slow(imported: set[str]) -> None:
    assert imported & SLOW == set()


def test_an_unused_wire_sink_or_command_is_not_imported(imported: set[str]) -> None:
    unused = {"apr.cli.engine", "apr.engine.client", "apr.providers.local", "apr.ui.result"}
    assert "apr.agent.loop" in imported
    assert imported & unused == set()


def test_what_nothing_has_called_for_is_not_imported(imported: set[str]) -> None:
    unused = {
        "apr.sessions.checkpoints",
        "apr.sessions.journal",
        "apr.subagents.models",
        "apr.tools.ask_user_question",
        "apr.tools.exit_plan_mode",
        "apr.tools.monitor",
        "apr.tools.notebook_edit",
        "apr.tools.task_create",
        "apr.tools.task_get",
        "apr.tools.task_list",
        "apr.tools.task_replay",
        "apr.tools.task_update",
        "apr.tools.web_fetch",
        "apr.tools.web_search",
    }
    assert "apr.tools.todo_write" in imported
    assert imported & unused == set()


def test_the_first_request_is_small(home: Path, project: Path) -> None:
    model = ScriptedModel([says("Hello.")])
    with serving(model) as url:
        subprocess.run(
            [APR, "code", "--base-url", url, "fix the failing test"],
            cwd=project,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
    request = model.requests[0]
    offered = {tool["function"]["name"] for tool in request["tools"]}
    assert offered >= {"Read", "Write", "Edit", "Glob", "Grep", "Bash"}
    assert len(json.dumps(request)) <= 8_000
