"""What is meant by what was typed, and a list that stays whole whatever is said above it."""

from hypothesis import given
from hypothesis import strategies as st

from apr.terminal.picker import matching
from tests.apr.program import says
from tests.apr.terminal.conftest import Begin

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


def found(typed: str, *texts: str) -> list[str]:
    return [texts[at] for at in matching(typed, texts)]


def test_nothing_typed_means_all_in_their_order() -> None:
    assert found("", "b", "a") == ["b", "a"]
    assert found("  ", "b", "a") == ["b", "a"]


def test_what_stands_in_a_text_is_likelier_than_its_letters_alone() -> None:
    assert found("fix", "find a xylophone", "a fix", "fox") == ["a fix", "find a xylophone"]


def test_letters_that_stand_closer_are_likelier() -> None:
    assert found("abc", "a-b----c", "a-b-c") == ["a-b-c", "a-b----c"]


def test_every_word_must_be_there_in_any_order_and_case_does_not_count() -> None:
    assert found("Parser fix", "fix the parser", "fix the lexer") == ["fix the parser"]


def test_texts_that_are_as_likely_stay_in_their_order() -> None:
    assert found("a", "ba", "a", "ca") == ["ba", "a", "ca"]


@given(TEXTS, st.lists(TEXTS, max_size=8))
def test_whatever_is_typed_each_text_is_found_at_most_once(typed: str, texts: list[str]) -> None:
    at = matching(typed, texts)
    assert len(set(at)) == len(at)
    assert set(at) <= set(range(len(texts)))


@given(TEXTS, TEXTS, TEXTS)
def test_a_text_is_found_by_each_of_its_parts(before: str, part: str, after: str) -> None:
    assert matching(part, [before + part + after]) == [0]


def test_what_is_said_meanwhile_is_said_above(begin: Begin) -> None:
    terminal = begin(says("First words.\n\n" + "More words.\n\n" * 30 + "Last words."))
    terminal.model.pause_after = 4
    terminal.enter("talk")
    terminal.until("First")
    terminal.enter("/model")
    terminal.until("Which model\\?(?s:.*)Enter takes it")
    terminal.model.go_on()
    whole = r"Last words\.(?s:.*)\nWhich model\?\n/\n> scripted\n1 of 1 · Enter takes it.*\s*\Z"
    shown = terminal.until(whole)
    assert shown.count("Which model?") == 1
    assert shown.count("More words.") == 30
    terminal.type("\x1b")
    terminal.until("\nm · ")
