"""Talking to a program while it runs, in a sandbox and without one."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ccpa.errors import CcpaError
from ccpa.sandbox import Place, Sandbox, Streams, Unconfined, unavailable

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
MakePlace = Callable[[Path], Place]


def sandbox(scratch: Path) -> Place:
    return Sandbox(scratch / "sandbox", "/", Streams(scratch / "out", scratch / "err"))


def unconfined(scratch: Path) -> Place:
    return Unconfined(scratch, Streams(scratch / "out", scratch / "err"))


needs_namespaces = pytest.mark.skipif(unavailable() is not None, reason=f"{unavailable()}")
places = pytest.mark.parametrize(
    "make", [pytest.param(sandbox, marks=needs_namespaces), unconfined], ids=["sandbox", "none"]
)


class Script:
    """Says what it is given to say, one thing for each line that it hears; then hangs up."""

    def __init__(self, *says: bytes) -> None:
        self.says = list(says)
        self.lines: list[bytes] = []

    def first(self) -> bytes:
        return self.says.pop(0)

    def heard(self, line: bytes) -> bytes | None:
        self.lines.append(line)
        return self.says.pop(0) if self.says else None


def python(place: Place, program: str, talk: Script, *, timeout_s: float = 30) -> int | None:
    argv = [sys.executable, "-c", program]
    return place.run(argv, ENVIRONMENT, timeout_s=timeout_s, talk=talk)


ECHO = """\
import sys
for line in sys.stdin:
    print("heard", line.strip(), flush=True)
print("the end")
"""


@places
def test_it_is_told_the_next_thing_when_it_has_answered(make: MakePlace, tmp_path: Path) -> None:
    talk = Script(b"one\n", b"two\n")
    with make(tmp_path) as place:
        assert python(place, ECHO, talk) == 0
    assert talk.lines == [b"heard one", b"heard two"]
    assert (tmp_path / "out").read_text() == "heard one\nheard two\nthe end\n"


@places
def test_what_is_long_arrives_whole_both_ways(make: MakePlace, tmp_path: Path) -> None:
    said = json.dumps("ä" * 200_000).encode()
    talk = Script(said + b"\n")
    with make(tmp_path) as place:
        assert python(place, ECHO, talk) == 0
    assert talk.lines == [b"heard " + said]


@places
def test_a_program_may_leave_without_listening(make: MakePlace, tmp_path: Path) -> None:
    talk = Script(b"x" * 1_000_000)
    with make(tmp_path) as place:
        assert python(place, "raise SystemExit(3)", talk) == 3
    assert talk.lines == []


@places
def test_one_that_only_listens_is_ended_when_time_is_up(make: MakePlace, tmp_path: Path) -> None:
    program = "import sys; print('ready', flush=True); sys.stdin.read()"
    talk = Script(b"", b"never enough\n")
    with make(tmp_path) as place:
        assert python(place, program, talk, timeout_s=0.5) is None
    assert (tmp_path / "out").read_text() == "ready\n"


@places
def test_what_it_leaves_running_does_not_keep_the_line_open(
    make: MakePlace, tmp_path: Path
) -> None:
    program = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('done', flush=True)\n"
    )
    talk = Script(b"")
    with make(tmp_path) as place:
        assert python(place, program, talk) == 0
    assert talk.lines == [b"done"]


@places
def test_no_descriptor_is_left_open(make: MakePlace, tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc to count them in")
    (tmp_path / "warm").mkdir()
    with make(tmp_path / "warm") as place:
        python(place, ECHO, Script(b"one\n"))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with make(tmp_path) as place:
        python(place, ECHO, Script(b"one\n"))
    (tmp_path / "third").mkdir()
    with make(tmp_path / "third") as place, pytest.raises(CcpaError, match="cannot start"):
        place.run(["no-such-agent"], ENVIRONMENT, timeout_s=30, talk=Script(b"one\n"))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
