"""What a person sees of a run on a terminal, and what a pipe gets."""

import os
import pty
import select
import subprocess
from pathlib import Path

from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import APR, calls, environment, says


def on_terminal(*words: str, home: Path, cwd: Path, **variables: str) -> str:
    """Run `apr` with a terminal as its output and error; return what it wrote there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [APR, *words],
        cwd=cwd,
        env=environment(home) | {"TERM": "xterm-256color"} | variables,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while select.select([ours], [], [], 30)[0]:
        try:
            seen += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    process.wait(timeout=30)
    return seen.decode().replace("\r\n", "\n")


READ_THEN_SAY = [
    calls(("Read", {"file_path": "src/calc.py"}), ("Read", {"file_path": "none.py"})),
    says("It subtracts."),
]


def test_answers_are_plain_and_notes_are_dim(home: Path, project: Path) -> None:
    with serving(ScriptedModel(READ_THEN_SAY)) as url:
        seen = on_terminal("code", "--base-url", url, "why", home=home, cwd=project)
    assert seen.splitlines()[-1] == "It subtracts."
    assert "\x1b[2m● Read src/calc.py\x1b[0m\n" in seen
    assert "\x1b[31m  ✗ <tool_use_error>" in seen


def test_no_color_is_respected(home: Path, project: Path) -> None:
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        with serving(ScriptedModel(READ_THEN_SAY)) as url:
            seen = on_terminal(
                "code", "--base-url", url, "why", home=home, cwd=project, **variables
            )
        assert "\x1b" not in seen
        assert "● Read src/calc.py\n" in seen


def test_what_a_model_says_cannot_drive_the_terminal(home: Path, project: Path) -> None:
    hostile = "a\x1b[2Jb\x9b31mc\x07d\u202ee\x08f\rg\x7f"
    with serving(ScriptedModel([says(hostile)])) as url:
        seen = on_terminal("code", "--base-url", url, "hi", home=home, cwd=project, NO_COLOR="1")
    assert seen == "a\\x1b[2Jb\\x9b31mc\\x07d\\u202ee\\x08f\\x0dg\\x7f\n"


def test_a_pipe_gets_the_answer_byte_for_byte(home: Path, project: Path) -> None:
    with serving(ScriptedModel([says("a\x1b[1mb\x1b[0m\r\n")])) as url:
        done = subprocess.run(
            [APR, "code", "--base-url", url, "hi"],
            cwd=project,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
    assert done.stdout == b"a\x1b[1mb\x1b[0m\r\n"
