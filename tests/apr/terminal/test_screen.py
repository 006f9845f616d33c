"""What is shown of a session, event by event."""

import re
import string
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apr.agent.events import (
    Event,
    Notice,
    PrefillProgress,
    PromptDone,
    Retracted,
    TextDelta,
    ThinkingDelta,
    ToolProgress,
    ToolStarted,
)
from apr.terminal.cells import folded, line_width, wrapped
from apr.terminal.differences import change, counts, drawn
from apr.terminal.ink import said
from apr.terminal.markdown import Markdown
from apr.terminal.screen import Screen
from ccpa.trace import (
    AssistantTurn,
    Block,
    SideEffects,
    TextBlock,
    ToolResult,
    ToolUseBlock,
    Usage,
    UserPrompt,
)

COLUMNS = 60


class Seen:
    """A screen, what it has written, and a clock that stands still unless it is set."""

    def __init__(self, *, colour: bool = False, root: Path = Path()) -> None:
        self.now = 0.0
        self.text = ""
        self.screen = Screen(
            self._write, lambda: COLUMNS, colour=colour, root=root, clock=lambda: self.now
        )

    def _write(self, text: str) -> None:
        self.text += text

    def take(self, *events: Event) -> str:
        for event in events:
            self.screen(event)
        return self.text

    def moving(self, rows: int = 24, columns: int = COLUMNS) -> list[str]:
        return [said(line) for line in self.screen.frame(columns, rows)]


def use(name: str, call_id: str = "t1", **given_: object) -> ToolUseBlock:
    return ToolUseBlock(call_id, name, dict(given_))


def turn(*blocks: Block, parent: str | None = None) -> AssistantTurn:
    usage = Usage(input_tokens=100, output_tokens=41)
    stop = "tool_use" if any(isinstance(b, ToolUseBlock) for b in blocks) else "end_turn"
    return AssistantTurn(
        v=1,
        turn=1,
        blocks=list(blocks),
        stop_reason=stop,  # type: ignore[arg-type]
        usage=usage,
        parent_tool_use_id=parent,
    )


def result(
    content: str,
    call_id: str = "t1",
    *,
    ok: bool = True,
    exit_code: int | None = None,
    ms: int = 5,
    parent: str | None = None,
) -> ToolResult:
    return ToolResult(
        v=1,
        turn=2,
        tool_use_id=call_id,
        ok=ok,
        content=content,
        duration_ms=ms,
        side_effects=SideEffects(exit_code=exit_code) if exit_code is not None else None,
        parent_tool_use_id=parent,
    )


def ran(call: ToolUseBlock, came_to: ToolResult) -> tuple[Event, ...]:
    return turn(call), ToolStarted(call), came_to


def test_words_are_seen_as_they_come_and_stay_when_their_block_is_over() -> None:
    seen = Seen(colour=True)
    seen.take(TextDelta("The first "), TextDelta("words"))
    assert seen.moving() == ["The first words"]
    assert seen.text == ""
    seen.take(TextDelta(" of it.\n\nAnd"))
    assert seen.moving() == ["", "And"]
    assert seen.text == "The first words of it.\n"
    seen.take(turn(TextBlock("…")), PromptDone("end_turn"))
    assert seen.moving() == []
    assert seen.text == "The first words of it.\n\nAnd\n"


def test_code_comes_line_by_line_in_colour() -> None:
    seen = Seen(colour=True)
    seen.take(TextDelta("```python\n" + "x = 1\n" * 30 + "def f"))
    assert len(seen.moving()) == 12
    assert seen.text.count("x") == 19
    assert seen.moving()[-1] == "def f"
    assert ("ansimagenta", "def") in seen.screen.frame(COLUMNS, 24)[-1]


def test_a_model_that_does_not_stream_is_shown_all_the_same() -> None:
    assert Seen().take(turn(TextBlock("All at once."))) == "All at once.\n"


def test_an_answer_that_breaks_off_is_marked_and_comes_again() -> None:
    seen = Seen()
    seen.take(TextDelta("One tw"), Retracted(), TextDelta("One two."), turn(TextBlock("")))
    first, second = seen.text.split("void", 1)
    assert "One tw\n" in first
    assert second.endswith("One two.\n")


def test_thinking_is_a_line_with_its_time_and_in_full_when_asked_for() -> None:
    seen = Seen()
    seen.take(ThinkingDelta("First I look.\n"), ThinkingDelta("Then I leap."))
    seen.now = 3.2
    assert seen.moving() == ["✻ thinking · 3 s Then I leap."]
    assert seen.take(TextDelta("Hi.")) == "✻ thought for 3 s\n"
    seen.screen.toggle_verbose()
    assert "First I look.\nThen I leap.\n" in seen.text
    seen.take(turn(TextBlock("Hi.")), ThinkingDelta("Aloud.\n"))
    seen.moving()
    assert "Aloud.\n" in seen.text


@pytest.mark.parametrize(
    ("call", "came_to", "line"),
    [
        (use("Read", file_path="a.py"), result("1\tx\n2\ty"), "● Read a.py · 2 lines"),
        (use("Read", file_path="a.py"), result("1\tx", ms=1500), "● Read a.py · 1 line · 1.5 s"),
        (use("Glob", pattern="*.py"), result("a.py\nb.py"), "● Glob *.py · 2 files"),
        (use("Glob", pattern="*.x"), result("[no files match]"), "● Glob *.x · [no files match]"),
        (use("Grep", pattern="f", path="src"), result("a:1:f"), "● Grep f in src · 1 line"),
        (use("Bash", command="true"), result("[no output]"), "● Bash true · no output"),
        (use("mcp__db__ask", sql="x"), result("1"), '● db · ask (MCP) {"sql":"x"} · 1'),
        (use("WebFetch", url="https://a.b"), result("x\ny"), "● WebFetch https://a.b · 2 lines"),
    ],
)
def test_a_call_is_a_line_with_what_it_came_to(
    call: ToolUseBlock, came_to: ToolResult, line: str
) -> None:
    assert Seen().take(*ran(call, came_to)) == f"{line}\n"


def test_a_failure_says_why_and_a_command_what_it_said_last() -> None:
    wrapped_error = "<tool_use_error>a.py does not exist.\nFind it.</tool_use_error>"
    seen = Seen()
    seen.take(*ran(use("Read", file_path="a.py"), result(wrapped_error, ok=False)))
    assert seen.text == "● Read a.py\n  ✗ a.py does not exist.\n"
    output = "Exit code 2\n" + "\n".join(map(str, range(1, 10)))
    seen = Seen()
    seen.take(*ran(use("Bash", command="make"), result(output, ok=False, exit_code=2)))
    assert seen.text == (
        "● Bash make\n  ✗ exit code 2\n  6\n  7\n  8\n  9\n  … +5 lines (Ctrl-O)\n"
    )


def test_what_was_cut_is_shown_in_full_when_asked_for_and_so_is_what_comes() -> None:
    seen = Seen()
    output = "\n".join(f"line {n}" for n in range(20))
    seen.take(UserPrompt(v=1, turn=0, text="go"), *ran(use("Bash", command="x"), result(output)))
    assert "line 19" not in seen.text
    seen.screen.toggle_verbose()
    assert "line 19" in seen.text
    assert seen.text.count("line 7\n") == 1
    seen.take(*ran(use("Read", file_path="b"), result("1\twhole")))
    assert "    1   whole\n" in seen.text
    seen.screen.toggle_verbose()
    before = len(seen.text)
    seen.take(*ran(use("Read", file_path="b"), result("1\twhole")))
    assert seen.text[before:] == "● Read b · 1 line\n"


def test_a_command_that_runs_shows_its_last_lines_and_its_time() -> None:
    seen = Seen()
    call = use("Bash", command="make")
    seen.take(turn(call), ToolStarted(call))
    seen.take(*(ToolProgress("t1", f"step {n}\n") for n in range(9)))
    seen.now = 12.0
    assert seen.moving() == ["● Bash make · 12 s", *(f"  step {n}" for n in range(4, 9))]
    assert seen.text == ""


def test_calls_beside_each_other_are_told_apart() -> None:
    seen = Seen()
    calls = [use("Read", f"t{n}", file_path=f"{n}.py") for n in range(8)]
    seen.take(turn(*calls), *map(ToolStarted, calls))
    assert seen.moving() == [*(f"● Read {n}.py" for n in range(6)), "  … and 2 more"]
    seen.take(result("1\tx", "t3"), result("gone", "t1", ok=False))
    assert seen.text == "● Read 3.py · 1 line\n● Read 1.py\n  ✗ gone\n"


def test_a_subagents_work_is_counted_and_shown_in_verbose() -> None:
    seen = Seen()
    agent = use("Agent", subagent_type="Explore", description="find it")
    read, grep = use("Read", "s1", file_path="a"), use("Grep", "s2", pattern="b")
    seen.take(turn(agent), ToolStarted(agent))
    seen.take(turn(read, grep, parent="t1"), ToolStarted(read), ToolStarted(grep))
    seen.take(result("1\tx", "s1", parent="t1"), result("no", "s2", ok=False, parent="t1"))
    assert seen.moving() == ["● Agent Explore: find it", "  ⎿ 2 calls, 1 failed · Grep b"]
    seen.take(turn(read, parent="t1"))
    assert seen.screen.work.who("s1") == "a subagent (Explore: find it)"
    seen.take(result("There.", "t1"))
    assert seen.text == "● Agent Explore: find it · 2 calls, 1 failed · There.\n"


def test_a_subagent_in_the_background_stays_in_sight() -> None:
    seen = Seen()
    agent = use("Agent", subagent_type="Plan", description="think", run_in_background=True)
    read = use("Read", "s1", file_path="a")
    seen.take(*ran(agent, result("works in the background")), PromptDone("end_turn"))
    seen.take(turn(read, parent="t1"), ToolStarted(read))
    assert seen.moving() == ["◦ Plan: think 1 call · Read a"]
    seen.take(result("1\tx", "s1", parent="t1"), turn(TextBlock("Done."), parent="t1"))
    assert seen.moving() == []


def test_an_edit_is_shown_beside_its_call_as_it_was_before_it_was_made(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\ntwo\n")
    seen = Seen(root=tmp_path)
    call = use("Edit", file_path="a.py", old_string="two", new_string="2")
    seen.take(turn(call), ToolStarted(call))
    (tmp_path / "a.py").write_text("one\n2\n")
    seen.take(result("Edited a.py."))
    assert seen.text == "● Edit a.py · +1 -1\n  1  one\n  2 -two\n  2 +2\n"


def test_an_edit_that_was_seen_with_a_question_is_not_shown_again(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\n")
    seen = Seen(root=tmp_path)
    write = use("Write", file_path="a.py", content="1\n")
    asked = change(write, tmp_path)
    assert asked is not None
    seen.screen.work.has_shown("t1", asked)
    seen.take(*ran(write, result("Replaced a.py.")))
    assert seen.text == "● Write a.py · +1 -1\n"
    seen.screen.work.has_shown("t1", asked)
    (tmp_path / "a.py").write_text("another\n")
    seen.take(*ran(write, result("Replaced a.py.")))
    assert seen.text.endswith("  1 -another\n  1 +1\n")


def test_progress_that_is_written_over_is_shown_as_far_as_it_has_come() -> None:
    seen = Seen()
    call = use("Bash", command="make")
    seen.take(turn(call), ToolStarted(call), ToolProgress("t1", "one\r\n10 %\r20 %\r"))
    assert seen.moving()[1:] == ["  one", "  20 %"]


def test_todos_are_a_list() -> None:
    todos = [{"content": "a", "status": "completed"}, {"content": "b", "status": "in_progress"}]
    seen = Seen()
    seen.take(*ran(use("TodoWrite", todos=todos), result("ok")))
    assert seen.text == "● TodoWrite · 1 of 2 done\n  ☑ a\n  ◐ b\n"


def test_reading_the_prompt_is_a_bar_with_speed_and_time_left() -> None:
    seen = Seen()
    seen.take(PrefillProgress(2000, 12000, 2000))
    seen.now = 10.0
    seen.take(PrefillProgress(7000, 12000, 2000))
    told = "7,000 of 12,000 tokens · 2,000 remembered · 500 a second · 0:10 left"
    assert seen.moving(columns=120) == [f"reading {'█' * 11}{'░' * 9} {told}"]
    assert seen.moving(columns=79) == [f"reading {told}"]
    assert seen.screen.reading is not None
    assert seen.screen.reading.speed == 500
    seen.take(TextDelta("x"))
    assert seen.screen.reading is None


def test_the_speed_of_writing_is_told_while_it_writes_and_after() -> None:
    seen = Seen()
    assert seen.screen.tokens_per_second is None
    for number in range(41):
        seen.now = number / 10
        seen.take(TextDelta("x"))
    assert seen.screen.tokens_per_second == pytest.approx(10)
    seen.take(turn(TextBlock("x")))
    seen.now = 100.0
    assert seen.screen.tokens_per_second == pytest.approx(10)


def test_what_goes_on_is_said_while_nothing_else_moves() -> None:
    seen = Seen()
    seen.take(UserPrompt(v=1, turn=0, text="go"))
    seen.now = 4.0
    assert seen.moving() == ["reading · 4 s · Esc interrupts"]
    seen.take(PromptDone("error", "interrupted"))
    assert seen.moving() == []
    assert seen.text == "interrupted\n"


def test_notices_are_broken_between_words() -> None:
    assert max(map(len, Seen().take(Notice("some words " * 20)).split("\n"))) <= COLUMNS


LONG = 40_000
SHAPES = {
    "a word": "x" * LONG,
    "a line": "word **bold** `code` " * (LONG // 21),
    "a paragraph": "words and words\n" * (LONG // 16),
    "a table": "| a | b |\n|---|---|\n" + "| c | **d** |\n" * (LONG // 14),
    "a fence": "```python\n" + "x = 'abc' + 1\n" * (LONG // 14),
    "a quotation": "> " * (LONG // 2) + "x",
    "marks": "**_[`" * (LONG // 5),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_however_long_an_answer_is_a_frame_holds_little_of_it(shape: str) -> None:
    """What is held back is what work per frame can grow with; the rest has been written."""
    text = SHAPES[shape]
    seen = Seen(colour=True)
    for at in range(0, len(text), 8_000):
        seen.take(TextDelta(text[at : at + 8_000]))
        assert len(seen.moving()) <= 12
    before = seen.text.count("\n")
    seen.take(turn(TextBlock("x")))
    assert seen.text.count("\n") - before <= 60


MARKS = st.text(alphabet=string.ascii_letters + " *_`[]()#>-|~\n1.", max_size=400)


@settings(max_examples=60)
@given(MARKS, st.lists(st.integers(1, 40), min_size=1), st.integers(20, 100))
def test_in_whatever_pieces_an_answer_comes_the_same_letters_are_shown(
    text: str, sizes: list[int], columns: int
) -> None:
    whole = Markdown()
    whole.feed(text)
    at_once = map(said, whole.close(columns))
    assert _letters(_in_pieces(text, sizes, columns, 5)) == _letters(at_once)


def _in_pieces(text: str, sizes: list[int], columns: int, height: int) -> list[str]:
    """Return the lines that stay of an answer that comes in pieces, each followed by a frame."""
    flow, at, final = Markdown(), 0, []
    while at < len(text):
        size = sizes[at % len(sizes)]
        flow.feed(text[at : at + size])
        more, moving = flow.frame(columns, height)
        assert len(moving) <= height
        final += more
        at += size
    return [said(line).rstrip() for line in (*final, *flow.close(columns))]


ATOMS = (
    "word", "a b", "**bold**", "`code`", "[l](http://x.y)", "<b>h</b>", "\n", "\n\n", "\r\n", "- ",
    "  - ", "1. ", "2) ", "> ", ">> ", "# ", "```\n", "```py\n", "~~~\n", "---\n", "===\n",
    "[^1]: note", "    ind", "\t", "漢字", "👩‍👧", "e\u0301",
    "שלום", "&amp;", "\\*", "  \n", "x" * 50, "- [ ] t",
)  # fmt: skip


@settings(max_examples=60)
@example(["word", "\n", "1. ", "x" * 50], [1], 20, 1)
@given(
    st.lists(st.sampled_from(ATOMS), max_size=30),
    st.lists(st.integers(1, 40), min_size=1),
    st.integers(20, 200),
    st.integers(1, 12),
)
def test_in_whatever_pieces_an_answer_comes_the_same_lines_stay(
    atoms: list[str], sizes: list[int], columns: int, height: int
) -> None:
    text, whole = "".join(atoms), Markdown()
    whole.feed(text)
    at_once = [said(line).rstrip() for line in whole.close(columns)]
    assert _in_pieces(text, sizes, columns, height) == at_once


@given(st.text(alphabet="ab 漢字é👩‍👧\u0301\n", max_size=80), st.integers(2, 20))
def test_wrapping_keeps_every_letter_and_the_width(text: str, room: int) -> None:
    lines = list(wrapped([("", text[:20]), ("bold", text[20:])], room))
    assert all(line_width(line) <= room for line in lines)
    assert _letters(map(said, lines)) == _letters([text])
    flat = text.replace("\n", "")
    assert "".join(map(said, folded([("", flat)], room))) == flat


def _letters(lines: Iterable[str]) -> str:
    return re.sub(r"\s", "", "".join(lines))


def test_a_table_takes_the_room_there_is() -> None:
    flow = Markdown()
    flow.feed("Look:\n| a | wide |\n|--:|---|\n| 1 | " + "long words " * 12 + "|\n\nend")
    lines = [said(line).rstrip() for line in flow.close(40)]
    assert lines[:2] == ["Look:", "a │ wide"]
    assert lines[3] == "1 │ long words long words long words"
    assert max(map(len, lines)) <= 40
    assert lines[-2:] == ["", "end"]


def shown(call: ToolUseBlock, root: Path, columns: int = 40, most: int = 99) -> list[str]:
    made = change(call, root)
    assert made is not None
    return [said(line) for line in drawn(made, columns, most)[0]]


def test_differences_have_numbers_context_and_marked_words(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("".join(f"{n}\n" for n in range(1, 31)))
    call = use("Edit", file_path="a", old_string="15\n", new_string="fifteen\n")
    assert shown(call, tmp_path) == [
        *("12  12", "13  13", "14  14"),
        *("15 -15", "15 +fifteen"),
        *("16  16", "17  17", "18  18"),
    ]
    (tmp_path / "b").write_text("return a - b\n")
    made = change(use("Edit", file_path="b", old_string="-", new_string="+"), tmp_path)
    assert made is not None
    assert ("ansigreen reverse", "+") in drawn(made, 40, 9)[0][1]


def test_line_ends_marks_and_last_lines_are_no_changes_but_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert shown(use("Write", file_path="a", content="one\n2\n"), tmp_path) == [
        "the last line ends in a line end now",
        "1  one",
        "2 -two",
        "2 +2",
    ]
    (tmp_path / "b").write_bytes(b"one\ntwo\n")
    assert shown(use("Write", file_path="b", content="one\r\ntwo\r\n"), tmp_path) == [
        "line ends become '\\r\\n'"
    ]
    assert shown(use("Write", file_path="new", content="#!/bin/sh\r\n"), tmp_path) == [
        "line ends are '\\r\\n'",
        "1 +#!/bin/sh",
    ]
    (tmp_path / "c").write_bytes(b"one\ntwo\nthree\n")
    content = "one\r\ntwo\nthree\n"
    assert shown(use("Write", file_path="c", content=content), tmp_path) == [
        "some line ends change between '\\n' and '\\r\\n'"
    ]


def test_new_files_binary_files_and_edits_that_will_fail(tmp_path: Path) -> None:
    assert shown(use("Write", file_path="new.py", content="x = 1\n"), tmp_path) == ["1 +x = 1"]
    (tmp_path / "bin").write_bytes(b"\0\1")
    assert "binary" in shown(use("Write", file_path="bin", content="x"), tmp_path)[0]
    (tmp_path / "a").write_text("one\n")
    call = use("Edit", file_path="a", old_string="two", new_string="2")
    assert "old_string is not in a" in shown(call, tmp_path)[0]
    assert change(use("Edit", file_path=3), tmp_path) is None
    assert change(use("Bash", command="x"), tmp_path) is None


def test_cells_of_notebooks(tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text(
        '{"nbformat": 4, "cells": [{"id": "q", "cell_type": "code", "source": ["a = 1\\n"]}]}'
    )
    call = use("NotebookEdit", notebook_path="n.ipynb", cell_id="q", new_source="a = 2")
    assert shown(call, tmp_path) == ["the cell q (code)", "1 -a = 1", "1 +a = 2"]


@pytest.mark.parametrize(
    "content", ["[]", '{"cells": 3}', '{"cells": [1, null]}', "nope", "\0", "[" * 100_000]
)
def test_what_is_no_notebook_is_no_trouble(tmp_path: Path, content: str) -> None:
    (tmp_path / "n.ipynb").write_text(content)
    call = use("NotebookEdit", notebook_path="n.ipynb", cell_id="0", new_source="x")
    seen = Seen(root=tmp_path)
    seen.take(*ran(call, result("it is no notebook", ok=False)))
    assert seen.text == "● NotebookEdit n.ipynb\n  ✗ it is no notebook\n"


def test_an_edit_is_told_also_by_the_names_that_models_give_its_fields(tmp_path: Path) -> None:
    assert shown(use("Write", path="a.txt", content="x"), tmp_path) == ["1 +x"]


def test_thoughts_are_shown_from_their_beginning_when_asked_for_in_their_middle() -> None:
    seen = Seen()
    seen.take(ThinkingDelta("One.\nTwo."))
    seen.screen.toggle_verbose()
    seen.moving()
    seen.take(ThinkingDelta("\nThree."), TextDelta("Hi."))
    assert "One.\nTwo.\nThree.\n✻ thought for 0 s\n" in seen.text


def test_a_result_of_no_known_call_is_no_trouble() -> None:
    assert Seen().take(result("", "t9", ok=False)) == "  ✗ \n"


def test_nothing_of_a_long_line_is_hidden_unsaid(tmp_path: Path) -> None:
    line = "x" * 50 + " ; rm -rf /"
    call = use("Write", file_path="a.sh", content=line)
    assert "rm -rf /" in "".join(shown(call, tmp_path)).replace("   ", "")
    call = use("Write", file_path="a.sh", content="x" * 5000)
    assert "characters of this line" in shown(call, tmp_path)[-1]
    made = change(call, tmp_path)
    assert made is not None
    assert drawn(made, 40, 99)[1]
    whole, left_out = drawn(made, 40)
    assert left_out == 0
    assert sum(said(line).count("x") for line in whole) == 5000


def test_wide_characters_and_tabs_stay_within_the_columns(tmp_path: Path) -> None:
    call = use("Write", file_path="a", content="\t漢字" * 20)
    made = change(call, tmp_path)
    assert made is not None
    assert all(line_width(line) <= 40 for line in drawn(made, 40, 99)[0])


def test_a_large_difference_is_cut_with_a_count(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("".join(f"{n}\n" for n in range(5000)))
    content = "".join(f"{n}{'x' * (n % 2)}\n" for n in range(5000))
    made = change(use("Write", file_path="a", content=content), tmp_path)
    assert made is not None
    assert counts(made) == (2500, 2500)
    lines, left_out = drawn(made, 80, 40)
    assert len(lines) == 40
    assert left_out > 5000
