from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccpa.actions import session
from ccpa.compare import Comparison, compare
from ccpa.edits import Change, change, edited, replay
from ccpa.paths import Root
from ccpa.reasons import guesses
from tests.ccpa.sessions import PROJECT, Step, bash, came_out, trace, use

FILE = "one\ntwo\nthree\ntwo\n"
FILES = {"a.txt": FILE, "empty": ""}


def edit(old: str, new: str, path: str = "a.txt", **more: Any) -> Step:
    return use("Edit", file_path=f"{PROJECT}/{path}", old_string=old, new_string=new, **more)


def write(content: str, path: str = "a.txt") -> Step:
    return use("Write", file_path=path, content=content)


def compared(ours: list[Step], theirs: list[Step]) -> Comparison:
    return compare(trace(*ours), trace(*theirs), read_file=FILES.get)


def categories(found: Comparison) -> list[str]:
    return [drift.category for drift in found.drifts]


@pytest.mark.parametrize(
    ("text", "tool_input", "expected"),
    [
        ("ab", {"old_string": "a", "new_string": "c"}, "cb"),
        ("aa", {"old_string": "a", "new_string": "c"}, None),
        ("aa", {"old_string": "a", "new_string": "c", "replace_all": True}, "cc"),
        ("ab", {"old_string": "x", "new_string": "c"}, None),
        (None, {"old_string": "a", "new_string": "c"}, None),
        (None, {"old_string": "", "new_string": "c"}, "c"),
        ("", {"old_string": "", "new_string": "c"}, "c"),
        ("ab", {"old_string": "", "new_string": "c"}, None),
        ("ab", {"new_string": "c"}, None),
    ],
)
def test_an_edit_does_what_the_tool_does(
    text: str | None, tool_input: dict[str, Any], expected: str | None
) -> None:
    assert edited(text, tool_input) == expected


def test_a_change_is_the_lines_that_change_and_which_of_their_like() -> None:
    assert change("a\nb\nc\nb\n", "a\nb\nc\nx\n") == Change(("b",), ("x",), 1)


LINES = st.lists(st.sampled_from("ab"), max_size=12).map("\n".join)


@given(LINES, LINES)
def test_a_change_says_all_it_takes_to_make_it_again(before: str, after: str) -> None:
    made = change(before, after)
    lines, size = before.split("\n"), len(made.old)
    places = [at for at in range(len(lines)) if tuple(lines[at : at + size]) == made.old]
    at = places[made.occurrence]
    assert "\n".join([*lines[:at], *made.new, *lines[at + size :]]) == after


def test_a_file_whose_lines_are_all_alike_takes_no_longer_than_another() -> None:
    half = "a\n" * 100_000
    assert change(half + half, half + "b\n" * 100_000).occurrence == 100_000


def test_where_lines_are_put_in_the_neighbours_say_where() -> None:
    assert change("a\nc", "a\nb\nc") == Change(("a", "c"), ("a", "b", "c"), 0)


TEXTS = st.lists(st.sampled_from(["a", "b", ""]), max_size=6).map("\n".join)


@given(TEXTS, TEXTS, TEXTS)
def test_from_one_file_changes_are_equal_only_if_the_results_are(
    before: str, one: str, other: str
) -> None:
    assert (change(before, one) == change(before, other)) is (one == other)


def test_edits_that_quote_more_or_less_are_the_same_edit() -> None:
    found = compared([edit("one", "1")], [edit("one\ntwo\nthree", "1\ntwo\nthree")])
    assert found.drifts == []
    assert found.same_files is True


def test_the_same_text_at_another_place_is_another_edit() -> None:
    found = compared([edit("one\ntwo", "one\n2")], [edit("three\ntwo", "three\n2")])
    assert categories(found) == ["mismatched_tool_input", "mismatched_file_state"]


def test_replacing_all_of_one_is_replacing_it() -> None:
    assert compared([edit("one", "1")], [edit("one", "1", replace_all=True)]).drifts == []


def test_an_early_drift_does_not_make_the_later_edits_of_the_file_drift() -> None:
    later = [edit("three", "3"), edit("3", "III")]
    found = compared([edit("one", "1"), *later], [edit("one", "eins"), *later])
    assert categories(found) == ["mismatched_tool_input", "mismatched_file_state"]


def test_without_the_starting_files_edits_are_compared_by_their_text() -> None:
    found = compare(trace(edit("one", "1")), trace(edit("one\ntwo", "1\ntwo")))
    assert categories(found) == ["mismatched_tool_input"]
    assert "without the starting files" in guesses(found.drifts[0], found)[0]


def test_an_edit_that_cannot_have_been_made_is_compared_by_its_text() -> None:
    ours = [edit("unheard of", "x"), edit("one", "1")]
    theirs = [edit("unheard of", "x"), edit("one\ntwo", "1\ntwo")]
    found = compared(ours, theirs)
    assert categories(found) == ["mismatched_tool_input"]
    assert "not known" in guesses(found.drifts[0], found)[0]
    assert found.same_files is None


def test_a_failed_edit_changes_nothing() -> None:
    failed = came_out(edit("one", "1"), ok=False)
    found = compared([failed, edit("one", "2")], [failed, edit("one\n", "2\n")])
    assert found.drifts == []


def test_an_edit_that_fails_on_one_side_is_the_same_call_with_another_outcome() -> None:
    found = compared([edit("one", "1")], [came_out(edit("one", "1"), ok=False)])
    assert categories(found) == ["mismatched_tool_outcome", "mismatched_file_state"]


def test_edits_and_one_write_leave_the_same_file() -> None:
    found = compared([edit("one", "1"), edit("three", "3")], [write("1\ntwo\n3\ntwo\n")])
    assert found.same_files is True
    assert "in the end a.txt is the same on both sides" in guesses(found.drifts[0], found)


def test_after_a_shell_command_the_files_are_an_assumption() -> None:
    found = compared([bash("make"), edit("one", "1")], [bash("make"), edit("one", "2")])
    assert found.same_files is None
    assert categories(found) == ["mismatched_tool_input"]
    assert guesses(found.drifts[0], found) == [
        "action 0 may have changed the file before the edit; assumed it did not"
    ]


def test_a_denied_command_changes_nothing() -> None:
    denied = came_out(bash("make"), ok=False, denied_by="rule")
    found = compared([denied, edit("one", "1")], [denied, edit("one\n", "1\n")])
    assert found.same_files is True
    assert found.drifts == []


def test_a_file_that_a_command_is_known_to_write_is_not_known() -> None:
    ran = came_out(bash("make"), side_effects={"files_written": ["a.txt"]})
    followed = replay(session(trace(ran, edit("one", "1"))).actions, Root(PROJECT), FILES.get)
    assert followed.files == {"a.txt": None}
    assert followed.unknown == {"a.txt"}


def test_tools_that_only_look_leave_the_files_known() -> None:
    steps = [use("Read", file_path="a.txt"), use("Grep", pattern="x"), write("x")]
    followed = replay(session(trace(*steps)).actions, Root(PROJECT), FILES.get)
    assert followed.assumed is None
    assert followed.files == {"a.txt": "x"}


def test_sessions_that_write_nothing_have_no_file_state() -> None:
    assert compared([use("Read", file_path="a.txt")], []).same_files is None
    assert compared([], []).score.parity is None
