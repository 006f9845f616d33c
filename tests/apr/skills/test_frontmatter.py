"""The head of a Markdown file, as people write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.skills.frontmatter import names_in, number_in, split, text_in, truth_in

KEYS = st.from_regex(r"[a-z][a-z_-]{0,12}", fullmatch=True)
VALUES = st.text(
    st.characters(codec="ascii", categories=("L", "N", "P", "S"), exclude_characters="'\"#|>"),
    min_size=1,
    max_size=30,
).filter(lambda text: text[0] not in "-[")


def head(text: str) -> dict[str, str | list[str]]:
    return split(f"---\n{text}\n---\nbody")[0]


def test_the_rest_is_the_body() -> None:
    assert split("---\nname: a\n---\n\nbody\n---\n") == ({"name": "a"}, "\nbody\n---\n")


@pytest.mark.parametrize("text", ["", "body", "--- \nname: a\n", "-- -\n", "\n---\nname: a\n---\n"])
def test_text_without_a_head_is_all_body(text: str) -> None:
    assert split(text) == ({}, text)


def test_colons_globs_and_brackets_need_no_quotes() -> None:
    found = head("description: Use when: tests fail\npaths: src/**/*.py, *.md")
    assert text_in(found, "description") == "Use when: tests fail"
    assert names_in(found, "paths") == ("src/**/*.py", "*.md")


@pytest.mark.parametrize(
    "value",
    [
        "Read, Grep, Bash(git log:*, x)",
        "Read Grep Bash(git log:*, x)",
        '[Read, "Grep", Bash(git log:*, x)]',
        "\n  - Read\n  - Grep\n  - 'Bash(git log:*, x)'",
    ],
)
def test_a_list_has_many_forms(value: str) -> None:
    assert names_in(head(f"tools: {value}"), "tools") == ("Read", "Grep", "Bash(git log:*, x)")


def test_an_empty_list_is_not_no_list() -> None:
    assert names_in(head("tools:"), "tools") == ()
    assert names_in(head("tools: []"), "tools") == ()
    assert names_in(head("model: x"), "tools") is None


def test_a_value_may_go_on_in_the_next_lines() -> None:
    assert text_in(head("description: >-\n  one\n  two\nmodel: x"), "description") == "one two"
    assert text_in(head("description: one\n  two: three"), "description") == "one two: three"


def test_comments_are_left_out_and_quotes_keep_them() -> None:
    assert text_in(head("model: small # the fast one"), "model") == "small"
    assert text_in(head('description: "a # b"'), "description") == "a # b"
    assert text_in(head("description: issue #12"), "description") == "issue #12"
    assert head("# only a comment") == {}


@pytest.mark.parametrize(
    ("written", "meant"),
    [("true", True), ("Yes", True), ("false", False), ("", True), ("no", False)],
)
def test_yes_and_no(written: str, meant: bool) -> None:
    assert truth_in(head(f"x: {written}"), "x", True) is meant


@pytest.mark.parametrize(
    ("written", "meant"), [("3", 3), ("-3", None), ("many", None), ("³", None), ("9" * 30, None)]
)
def test_numbers(written: str, meant: int | None) -> None:
    assert number_in(head(f"x: {written}"), "x") == meant


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    found, body = split(text)
    assert text.endswith(body)
    for key in found:
        text_in(found, key)
        names_in(found, key)


@given(st.dictionaries(KEYS, VALUES))
def test_what_was_written_is_read(written: dict[str, str]) -> None:
    assert head("\n".join(f"{key}: {value}" for key, value in written.items())) == written
