"""Agents of other makers, recorded for real: each fixes a bug as the scripted model tells it to.

They run without a network, where the machine has a sandbox. `make test-foreign` installs them;
`CCPA_AGENTS_PATH` names the directories of their programs, where those are not on PATH.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from ccpa import sandbox
from ccpa.fixtures import load_fixture, materialise, read_trace
from ccpa.sandbox import Place, Sandbox, Streams, Unconfined
from ccpa.trace import (
    AssistantTurn,
    Record,
    SessionEnd,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
    encode,
)
from ccpa.validate import check
from tests.ccpa.scripted.talk import calls, prompt, says

FIXTURE = load_fixture(Path("fixtures/canonical/fix-failing-test-python").resolve())
TEACHER = read_trace(FIXTURE.teacher_trace)
PROMPT = next(record.text for record in TEACHER if isinstance(record, UserPrompt))
FIX = "sed -i -e '/for _, cents/i\\        total = 0' -e '/^            total = 0$/d' ledger.py"
TEST = "python3 -m unittest -q"
TIMEOUT_S = 100.0


class Foreign(NamedTuple):
    """An agent: its adapter, its program, how it may edit, and how it is told to do the work."""

    name: str
    program: str
    mode: str
    does_all_in_its_shell: bool = False
    last_command: str | None = None


AGENTS = [
    Foreign("codex", "codex", "bypassPermissions", does_all_in_its_shell=True),
    Foreign("opencode", "opencode", "acceptEdits"),
    Foreign("pi", "pi", "acceptEdits"),
    Foreign("qwen-code", "qwen", "bypassPermissions"),
    Foreign(
        "mini-swe-agent",
        "mini",
        "bypassPermissions",
        does_all_in_its_shell=True,
        last_command="echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT",
    ),
]


@pytest.mark.foreign
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_an_agent_does_what_the_recording_says_and_its_trace_shows_it(
    agent: Foreign, tmp_path: Path
) -> None:
    path = os.pathsep.join(filter(None, [os.environ.get("CCPA_AGENTS_PATH"), os.environ["PATH"]]))
    if shutil.which(agent.program, path=path) is None:
        pytest.skip(f"{agent.program} is not installed; `make test-foreign` installs it")
    project, trace = tmp_path / "project", tmp_path / "run.ccpa-trace.jsonl"
    materialise(FIXTURE, project)
    script = FIXTURE.teacher_trace
    if agent.does_all_in_its_shell:
        script = tmp_path / "script.jsonl"
        script.write_bytes(b"".join(map(encode, in_shell(agent.last_command))))
    words = ["record", "--json", "-o", trace, "-C", project, "--script", script]
    words += ["--agent", agent.name, "--permission-mode", agent.mode, "--", PROMPT]

    streams = Streams(tmp_path / "stdout", tmp_path / "stderr")
    with place(tmp_path, streams) as here:
        argv = [sys.executable, "-P", "-m", "ccpa.cli.main", *map(str, words)]
        status = here.run(argv, {"PATH": path, "HOME": str(tmp_path)}, timeout_s=TIMEOUT_S)
        attempts = here.attempts()

    said = streams.stderr.read_text(errors="replace")[-3000:]
    assert status == 0, said
    assert attempts == []
    assert json.loads(streams.stdout.read_text())["findings"] == []
    with trace.open("rb") as stream:
        assert check(stream, version=None, prefix=False).problems == []
    records = read_trace(trace)
    uses = [block.name for record in records for block in _uses(record)]
    wanted = [block.name for record in read_trace(script) for block in _uses(record)]
    assert uses == wanted
    assert written(records) == [["ledger.py"]]
    first_test = next(record for record in records if isinstance(record, ToolResult))
    assert first_test.ok is (agent.name == "opencode")  # whose shell does not tell the exit code
    end, teachers = records[-1], TEACHER[-1]
    assert isinstance(end, SessionEnd)
    assert isinstance(teachers, SessionEnd)
    assert end.cwd_sha256_after == teachers.cwd_sha256_after


def place(folder: Path, streams: Streams) -> Place:
    if sandbox.unavailable() is None:
        return Sandbox(folder / "sandbox", str(folder), streams)
    return Unconfined(folder, streams)


def in_shell(last_command: str | None) -> list[Record]:
    """Return a script for agents that have a shell and nothing else."""
    commands = [TEST, FIX, TEST, *filter(None, [last_command])]
    script: list[Record] = [prompt(PROMPT)]
    for number, command in enumerate(commands):
        script.append(
            calls((f"call_{number}", "Bash", {"command": command}), number=2 * number + 1)
        )
    return script if last_command else [*script, says("Fixed.", 2 * len(commands) + 1)]


def written(records: list[Record]) -> list[list[str]]:
    effects = (record.side_effects for record in records if isinstance(record, ToolResult))
    return [one.files_written for one in effects if one and one.files_written]


def _uses(record: Record) -> list[ToolUseBlock]:
    if not isinstance(record, AssistantTurn):
        return []
    return [block for block in record.blocks if isinstance(block, ToolUseBlock)]
