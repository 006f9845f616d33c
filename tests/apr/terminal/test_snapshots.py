"""What people see: screens of the whole program as text files, to be read beside this one.

    APR_SNAPSHOTS=write pytest tests/apr/terminal/test_snapshots.py

writes `snapshots/` anew, from what the program shows when it has come to rest. Without it, a test
waits until the program shows what is in the file. What no two runs have in common (folders, times,
speeds) is replaced by a word.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from apr.agent.events import PrefillProgress
from apr.terminal.ink import said
from apr.terminal.screen import Screen
from tests.apr.program import calls, says
from tests.apr.terminal.conftest import Begin
from tests.apr.terminal.terminal import Terminal

SNAPSHOTS = Path(__file__).parent / "snapshots"
SIZES = pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["80x24", "200x50"])
Matches = Callable[[Terminal, str], None]
MatchesText = Callable[[str, str], None]
WRITES = os.environ.get("APR_SNAPSHOTS") == "write"

ANSWER = """\
# Adding

`add` takes **two numbers** and returns their sum. This sentence is here to be longer than a line \
of eighty columns, so that it is seen where it is broken.

- The sign was wrong:
  - it said `a - b`
  - it says `a + b`
1. read
2. edited

```python
def add(a, b):
    return a + b  # not minus
```

| call | result |
|------|-------:|
| `add(1, 2)` | 3 |
| `add(40, 2)` | 42 |

> Tested by hand. See [the manual](https://example.com/add).
"""
FIX = {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}
LOOK = calls(
    ("Read", {"file_path": "src/calc.py"}),
    ("Grep", {"pattern": "add", "output_mode": "content"}),
    ("Glob", {"pattern": "**/*.md"}),
    ("Read", {"file_path": "src/none.py"}),
    text="I look around first.",
)
RUN = calls(("Bash", {"command": "seq 1 9; exit 3"}), first=5)
COMPOUND = calls(
    ("Bash", {"command": "cat README.md && npm test -- --all && touch out.txt | wc -l"}), first=1
)
HEBREW = "שלום"
WIDE = f"""\
漢字とかな 한글 👩‍👩‍👧 é

| wide | right |
|------|-------|
| 漢字 | {HEBREW} |
| e\u0301 | x |

- {HEBREW} 123 abc
- turned: a\u202eb
"""


@pytest.fixture
def matches_text() -> MatchesText:
    def compare(text: str, name: str) -> None:
        path = SNAPSHOTS / f"{name}.txt"
        if WRITES:
            path.write_text(text)
        assert text == path.read_text()

    return compare


@pytest.fixture
def matches(tmp_path: Path) -> Matches:
    def normal(text: str) -> str:
        for folder in (tmp_path / "project", tmp_path):
            text = text.replace(str(folder), f"/{folder.name if folder != tmp_path else 'tmp'}")
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
        text = re.sub(r"\d+ tokens/s", "N tokens/s", text)
        text = re.sub(r" · N tokens/s", "", text)
        text = re.sub(r" · \d+\.\d s\b", "", text)
        return text.rstrip("\n ") + "\n"

    def compare(terminal: Terminal, name: str) -> None:
        screen = terminal.screen
        path = SNAPSHOTS / f"{name}-{screen.columns}x{screen.lines}.txt"
        if WRITES:
            terminal.rests()
            path.write_text(normal(terminal.text()))
        wanted = path.read_text()
        assert terminal.shows(wanted, normal) == wanted

    return compare


@SIZES
def test_a_day_at_work(begin: Begin, matches: Matches, size: tuple[int, int]) -> None:
    terminal = begin(
        LOOK, RUN, says(ANSWER), calls(("Edit", FIX), first=6), says("Done."), size=size
    )
    matches(terminal, "start")
    terminal.enter("look around")
    terminal.until("allow\\?")
    matches(terminal, "calls-in-short")
    terminal.type("\x0f")
    matches(terminal, "calls-in-full")
    terminal.type("\x0f")
    terminal.enter("y")
    terminal.until("Tested by hand")
    matches(terminal, "answer")
    terminal.enter("fix it")
    terminal.until("allow\\?")
    matches(terminal, "consent-to-an-edit")
    terminal.enter("y")
    terminal.until("Done\\.")
    matches(terminal, "edited")


@SIZES
def test_consent_to_a_compound_command(
    begin: Begin, matches: Matches, size: tuple[int, int]
) -> None:
    terminal = begin(COMPOUND, says("As you wish."), size=size)
    terminal.enter("test it")
    terminal.until("allow\\?")
    matches(terminal, "consent-to-a-command")
    terminal.type("\x1b[A\r")  # up, to the last one, and chosen: no
    terminal.until("As you wish")
    matches(terminal, "consent-refused")


def test_an_answer_that_comes(begin: Begin, matches: Matches) -> None:
    terminal = begin(says(ANSWER))
    terminal.model.pause_after = 12
    terminal.enter("explain it")
    terminal.until("The sig")
    matches(terminal, "answer-half-way")
    terminal.model.go_on()
    terminal.until("Tested by hand")


@SIZES
def test_reading_a_long_prompt(matches_text: MatchesText, size: tuple[int, int]) -> None:
    columns, rows = size
    clock = iter((0.0, 0.0, 0.0, *([8.0] * 50)))
    screen = Screen(lambda _text: None, lambda: columns, colour=False, clock=lambda: next(clock))
    screen(PrefillProgress(4_096, 24_000, 4_096))
    screen(PrefillProgress(12_288, 24_000, 4_096))
    lines = [said(line) for line in screen.frame(columns, rows)]
    matches_text("\n".join(lines) + "\n", f"prefill-{columns}x{rows}")


def test_an_error(begin: Begin, matches: Matches) -> None:
    terminal = begin()
    terminal.enter("hello")
    terminal.until("refused the request")
    matches(terminal, "error")


def test_without_colour(begin: Begin, matches: Matches) -> None:
    terminal = begin(says(ANSWER), calls(("Edit", FIX)), env={"NO_COLOR": "1"})
    terminal.enter("explain it")
    terminal.until("Tested by hand")
    terminal.enter("fix it")
    terminal.until("allow\\?")
    matches(terminal, "no-colour")
    assert re.search(rb"\x1b\[[0-9;]*3[0-7]m", terminal.raw) is None


def test_a_dumb_terminal(begin: Begin, matches: Matches) -> None:
    terminal = begin(LOOK, says("That is all."), says("More."), env={"TERM": "dumb"})
    terminal.enter("look around")
    terminal.until("That is all\\.\n>")
    terminal.enter("and?")
    terminal.until("More\\.\n>")
    matches(terminal, "dumb")
    assert b"\x1b" not in terminal.raw


def test_a_window_that_changes(begin: Begin, matches: Matches) -> None:
    terminal = begin(says(ANSWER))
    terminal.model.pause_after = 8
    terminal.enter("explain it")
    terminal.until("than a line of e")
    terminal.resize(100, 30)
    terminal.until("to be longer than a line")
    terminal.model.go_on()
    terminal.until("Tested by hand")
    matches(terminal, "resized")


def test_characters_that_are_wide_joined_or_written_from_the_right(
    begin: Begin, matches: Matches, project: Path
) -> None:
    (project / f"{HEBREW}.txt").write_text("漢字\n")
    read = calls(("Read", {"file_path": f"{HEBREW}.txt"}))
    terminal = begin(read, says(WIDE))
    terminal.enter("show")
    terminal.until("turned")
    matches(terminal, "wide")


def test_a_prompt_that_is_typed_ahead_leaves_nothing_twice(begin: Begin) -> None:
    terminal = begin(says(ANSWER), says("The second."))
    terminal.model.pause_after = 12
    terminal.enter("explain it")
    terminal.until("The sig")
    terminal.enter("and then")
    terminal.until("and then(?s:.*)and then")  # sent, and waiting
    terminal.model.go_on()
    text = terminal.until("The second\\.")
    assert text.count("The sig") == 1
    assert text.count("takes two numbers") == 1
