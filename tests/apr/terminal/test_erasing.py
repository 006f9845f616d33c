"""Drawings that are erased whole, in a terminal that breaks lines anew when it is resized: tmux."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.data_structures import Point
from prompt_toolkit.layout.screen import Char, Screen

from apr.terminal.erasing import breaks_anew, rows_more
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import APR, environment, says
from tests.apr.terminal.terminal import PATIENCE_S

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")


def drawing(*rows: str) -> Screen:
    screen = Screen()
    for y, row in enumerate(rows):
        for x, character in enumerate(row):
            screen.data_buffer[y][x] = Char(character)
    return screen


@pytest.mark.parametrize(
    ("cursor", "columns", "more"),
    [
        (Point(0, 0), 10, 0),
        (Point(0, 1), 20, 0),  # it fits
        (Point(0, 1), 10, 1),  # 20 columns are two rows
        (Point(0, 2), 10, 1),  # blanks at the end of a row are not written
        (Point(20, 0), 10, 1),
        (Point(20, 0), 7, 2),
        (Point(5, 2), 3, 6 + 0 + 1),
    ],
)
def test_rows_in_a_narrower_window(cursor: Point, columns: int, more: int) -> None:
    assert rows_more(drawing("x" * 20, "x" + " " * 19, "x" * 5), cursor, columns) == more


def test_which_terminals_break_lines_anew() -> None:
    assert breaks_anew({"TERM": "xterm-256color"})
    assert breaks_anew({"TERM": "screen-256color", "XTERM_VERSION": "XTerm(379)", "TMUX": "/tmp/t"})
    assert not breaks_anew({"TERM": "linux"})
    assert not breaks_anew({"TERM": "xterm", "XTERM_VERSION": "XTerm(379)"})
    assert not breaks_anew({"TERM": "screen", "STY": "1234.pts-0"})


class Tmux:
    """`apr` in a window of tmux that nobody looks at."""

    def __init__(self, socket: Path, *words: str, home: Path, cwd: Path) -> None:
        self._socket = socket
        self._env = {**environment(home), "TERM": "xterm-256color"}
        self("new-session", "-d", "-x", "80", "-y", "24", "-c", str(cwd), APR, *words)

    def __call__(self, *words: str) -> str:
        """Give tmux a command."""
        command = ["tmux", "-f", os.devnull, "-S", str(self._socket), *words]
        return subprocess.run(
            command, env=self._env, check=True, capture_output=True, text=True
        ).stdout

    def until(self, seen: Callable[[str], bool], *, since: str = "-") -> None:
        """Wait until what is to be read is as it should be, what has scrolled out included.

        Args:
            seen: whether it is.
            since: the line that it begins with: "-" the first of all, "0" the window's first.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not seen(text := self("capture-pane", "-p", "-S", since)):
            assert time.monotonic() < deadline, text


ANSWER = "\n\n".join(f"This is line {number} of a long answer." for number in range(30))


@pytest.fixture
def tmux(home: Path, project: Path, tmp_path: Path) -> Iterator[Tmux]:
    with serving(ScriptedModel([says(ANSWER), says("Short.")])) as url:
        words = ("code", "--base-url", url, "--model", "m")
        opened = Tmux(tmp_path / "tmux", *words, home=home, cwd=project)
        opened.until(lambda text: "m · default" in text)
        yield opened
        opened("kill-server")


@needs_tmux
def test_a_draft_is_there_once_however_narrow_the_window_becomes(tmux: Tmux) -> None:
    tmux("send-keys", "go", "Enter")
    tmux.until(lambda text: "line 29" in text)
    tmux("send-keys", "a draft that is long enough for several lines of a narrow window, and begun")
    tmux.until(lambda text: "and begun" in text)
    for columns, begins in ((60, "enough for"), (40, "long en"), (100, "and begun")):
        tmux("resize-window", "-x", str(columns))
        tmux.until(lambda text, begins=begins: begins in _drawn(text))  # type: ignore[misc]
    tmux.until(lambda text: text.count("a draft") == 1)


def _drawn(text: str) -> str:
    """What stands in the first line of the input, where the status line is right below it."""
    return text.rpartition("\n> ")[2].partition("\n")[0]


@needs_tmux
def test_a_clear_window_leaves_no_prompts_in_what_scrolls_out(tmux: Tmux) -> None:
    tmux("send-keys", "C-l")
    tmux.until(lambda text: text.startswith(">"), since="0")
    tmux("send-keys", "go", "Enter")
    tmux.until(lambda text: "line 29" in text)
    tmux("send-keys", "on", "Enter")
    tmux.until(lambda text: "Short." in text)
    tmux.until(lambda text: _prompts(text) == ["> go", "> on", ">"])


def _prompts(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(">")]
