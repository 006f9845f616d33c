"""The trace on disk: whole lines, at once, whatever happens."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apr.agent.events import TextDelta
from apr.ui.trace import TraceWriter
from ccpa.trace import SessionEnd, UserPrompt, decode, read


def prompt(turn: int, text: str = "hello") -> UserPrompt:
    return UserPrompt(v=1, turn=turn, text=text)


def refuse(text: str) -> None:
    raise AssertionError(text)


def test_a_record_is_on_disk_as_soon_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    writer = TraceWriter(path, version=3, warn=refuse)
    writer(prompt(0))
    assert decode(path.read_bytes()) == prompt(0)
    writer(TextDelta("partial events are for people"))
    writer(prompt(2))
    writer.close()
    assert list(read(path.read_bytes().splitlines())) == [prompt(0), prompt(2)]


def test_version_2_has_only_what_version_2_has(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    writer = TraceWriter(path, version=2, warn=refuse)
    writer(SessionEnd(v=1, turn=1, stop_reason="error", error="broken", elapsed_ms=4))
    writer.close()
    assert path.read_text() == (
        '{"kind":"session_end","v":1,"turn":1,"stop_reason":"error","elapsed_ms":4}\n'
    )


@pytest.mark.parametrize("where", ["missing/run.jsonl", ".", "file/run.jsonl"])
def test_a_path_that_cannot_be_written_is_a_warning(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    warnings: list[str] = []
    writer = TraceWriter(tmp_path / where, version=3, warn=warnings.append)
    writer(prompt(0))
    writer(prompt(1))
    writer.close()
    assert len(warnings) == 1
    assert str(tmp_path / where) in warnings[0]


def test_on_a_full_disk_the_trace_stays_a_valid_prefix(tmp_path: Path) -> None:
    # A limit on file size fails a write as a full disk does: first short, then with an error.
    path = tmp_path / "run.jsonl"
    script = f"""
import resource, signal
from apr.ui.trace import TraceWriter
from ccpa.trace import UserPrompt
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
writer = TraceWriter({str(path)!r}, version=3, warn=print)
for turn in range(100):
    writer(UserPrompt(v=1, turn=turn, text="x" * 50))
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("the trace is incomplete") == 1
    records = list(read(path.read_bytes().splitlines(keepends=True)))
    assert 5 < len(records) < 100
    assert path.read_bytes().endswith(b"\n")


def test_after_a_kill_the_file_is_a_valid_prefix(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    script = f"""
import os, signal
from apr.ui.trace import TraceWriter
from ccpa.trace import UserPrompt
writer = TraceWriter({str(path)!r}, version=3, warn=print)
for turn in range(3):
    writer(UserPrompt(v=1, turn=turn, text="x"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [record.turn for record in read(path.read_bytes().splitlines())] == [0, 1, 2]  # type: ignore[union-attr]
