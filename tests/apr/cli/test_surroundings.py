"""`apr code` where the world around it is broken: streams, disks, names, the project itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import SessionEnd, SessionStart, ToolResult, UserPrompt
from tests.apr.program import APR, calls, environment, problems, records, says

BYPASS = ("--permission-mode", "bypassPermissions")
FULL = Path("/dev/full")
needs_a_full_disk = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")


def in_shell(script: str, *words: str | bytes | Path, home: Path, cwd: Path | bytes) -> "Done":
    """Run `apr` with the words as `"$@"` of a script: `"$@" >&-`."""
    return subprocess.run(
        ["/bin/sh", "-c", script, "sh", APR, *words],
        cwd=cwd,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


Done = subprocess.CompletedProcess[bytes]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_no_run_and_nothing_else_is_written_there(
    form: str, closed: str, home: Path, project: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "t.jsonl"
    said = calls(("Bash", {"command": "echo out; echo err >&2; cat"}))
    with serving(ScriptedModel([said, says("Done.")])) as url:
        words = ("code", "--base-url", url, "--output-format", form, "--emit-trace", trace)
        done = in_shell(f'"$@" {closed}', *words, *BYPASS, "go", home=home, cwd=project)
    assert done.returncode == 0, done.stderr
    assert problems(trace) == []
    assert [r.content for r in records(trace) if isinstance(r, ToolResult)] == ["out\nerr"]


@needs_a_full_disk
@pytest.mark.parametrize("form", ["text", "json"])
def test_an_answer_that_cannot_be_written_fails_the_run_after_its_work_is_done(
    form: str, home: Path, project: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "t.jsonl"
    said = calls(("Bash", {"command": "echo x > made"}), text="I make it.")
    with serving(ScriptedModel([said, says("Done.")])) as url:
        words = ("code", "--base-url", url, "--output-format", form, "--emit-trace", trace)
        done = in_shell('"$@" > /dev/full', *words, *BYPASS, "go", home=home, cwd=project)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.splitlines()[-1].startswith(b"apr: ")
    assert b"Traceback" not in done.stderr
    assert (project / "made").exists()
    assert problems(trace) == []


def test_the_trace_may_go_to_a_pipe(home: Path, project: Path, tmp_path: Path) -> None:
    with serving(ScriptedModel([says("Done.")])) as url:
        words = ("code", "--base-url", url, "--emit-trace", "/dev/fd/3", "go")
        done = in_shell('"$@" 3>&1 >/dev/null', *words, home=home, cwd=project)
    assert (done.returncode, done.stderr) == (0, b"")
    (tmp_path / "t.jsonl").write_bytes(done.stdout)
    assert problems(tmp_path / "t.jsonl") == []


@needs_a_full_disk
def test_notes_that_cannot_be_written_stop_no_run(home: Path, project: Path) -> None:
    said = calls(("Bash", {"command": "false"}))
    with serving(ScriptedModel([said, says("Done.")])) as url:
        words = ("code", "--base-url", url, "--emit-trace", "/none/t", *BYPASS, "go")
        done = in_shell('"$@" 2> /dev/full', *words, home=home, cwd=project)
    assert (done.returncode, done.stdout) == (0, b"Done.\n")


def test_the_project_may_vanish_during_the_run(home: Path, project: Path, tmp_path: Path) -> None:
    trace = tmp_path / "t.jsonl"
    said = calls(("Bash", {"command": f"rm -r {project}"}))
    with serving(ScriptedModel([said, says("Gone.")])) as url:
        words = ("code", "--base-url", url, "--emit-trace", trace, *BYPASS, "go")
        done = in_shell('"$@"', *words, home=home, cwd=project)
    assert (done.returncode, done.stdout) == (0, b"Gone.\n"), done.stderr
    assert problems(trace) == []
    end = records(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert end.cwd_sha256_after is None


def test_a_directory_that_is_gone_is_no_project(home: Path, tmp_path: Path) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && "$@"'
    done = in_shell(script, "code", "--model", "demo", "go", home=home, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"apr: not a directory: .")
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are text")
def test_names_and_arguments_may_be_bytes_that_are_no_text(home: Path, tmp_path: Path) -> None:
    project = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(project)  # noqa: PTH102 - a path of bytes
    target = project + b"/n\xe4he"
    with open(target, "wb") as file:  # noqa: PTH123
        file.write(b"found\n")
    os.symlink(target, project + b"/link")  # noqa: PTH211
    trace = tmp_path / "t.jsonl"
    said = calls(("Read", {"file_path": "link"}), ("Read", {"file_path": "nhe"}))
    with serving(ScriptedModel([said, says("Done.")])) as url:
        options = ("--base-url", url, "--emit-trace", trace, "--model", b"m\xe9")
        words = ("code", *options, "--append-system-prompt", b"\xe9", b"go, caf\xe9")
        done = in_shell('"$@"', *words, home=home, cwd=project)
    assert (done.returncode, done.stdout) == (0, b"Done.\n"), done.stderr
    assert problems(trace) == []
    start, prompt, _, link, hint, *_ = records(trace)
    assert isinstance(start, SessionStart)
    assert isinstance(prompt, UserPrompt)
    assert isinstance(link, ToolResult)
    assert isinstance(hint, ToolResult)
    assert (start.model, prompt.text) == ("m\ufffd", "go, caf\ufffd")
    assert link.content == "1\tfound"
    assert "n\ufffdhe" in hint.content
