"""What is put in the place of arguments, commands and file names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.skills.filling import Part, files, filled, words


def text(body: str, arguments: str, *named: str) -> str:
    return "".join(part.text for part in filled(body, arguments, {"CLAUDE_SKILL_DIR": "/s"}, named))


@pytest.mark.parametrize(
    ("body", "arguments", "expected"),
    [
        ("Do $ARGUMENTS.", "this and that", "Do this and that."),
        ("Do $ARGUMENTS.", "", "Do ."),
        ("$0 before $1", "a b", "a before b"),
        ("$ARGUMENTS[1] then $0", "a b", "b then a"),
        ("$ARGUMENTS[0] and $1", "a b", "a and b"),
        ("Add $1 in $2", "Oslo Europe/Oslo", "Add Oslo in Europe/Oslo"),
        ("$1 $2", '"New York" EST', "New York EST"),
        ("$1 $2 $3", "a b", "a b $3"),
        ("it costs $5", "a", "it costs $5\n\nARGUMENTS: a"),
        ("it costs \\$1", "a", "it costs $1\n\nARGUMENTS: a"),
        ("\\$ARGUMENTS", "", "$ARGUMENTS"),
        ("no place", "a b", "no place\n\nARGUMENTS: a b"),
        ("no place", "  ", "no place"),
        ("$ARGUMENTS", "$0 $ARGUMENTS ${CLAUDE_SKILL_DIR}", "$0 $ARGUMENTS ${CLAUDE_SKILL_DIR}"),
        ("$1", "it's", "it's"),
        ("$10", "a b", "$10\n\nARGUMENTS: a b"),
        ("$ARGUMENTSX", "a", "$ARGUMENTSX\n\nARGUMENTS: a"),
        ("${CLAUDE_SKILL_DIR}/x ${HOME}", "", "/s/x ${HOME}"),
    ],
)
def test_arguments_are_put_in_their_places(body: str, arguments: str, expected: str) -> None:
    assert text(body, arguments) == expected


def test_arguments_can_have_names() -> None:
    assert text("Fix $issue on $branch, $HOME.", "7 main", "issue", "branch") == (
        "Fix 7 on main, $HOME."
    )


def test_commands_stand_alone_or_in_a_block() -> None:
    body = "Now: !`git status`\nKEY=!`no` `!no`\n```!\nls\npwd\n```\nend"
    assert [part.text for part in filled(body, "", {}) if part.command] == ["git status", "ls\npwd"]


def test_an_argument_brings_in_no_command_and_no_further_arguments() -> None:
    parts = filled("See $ARGUMENTS\n!`echo $0`", "!`rm x` $0", {})
    assert [part for part in parts if part.command] == [Part("echo !`rm", command=True)]


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("see @src/a.py and @b.md.", ["src/a.py", "b.md"]),
        ("@docs/ too", ["docs/"]),
        ("mail me@example.org", []),
        ("`@not` and ```\n@neither\n```", []),
        ('@"a name.txt"', ["a name.txt"]),
        ("@~/notes.md @../up", ["~/notes.md", "../up"]),
        ("@a @a", ["a"]),
        ("(@x/y.z)", ["x/y.z"]),
    ],
)
def test_files_are_named_with_an_at_sign(written: str, named: list[str]) -> None:
    assert files(written) == named


@given(st.text())
def test_whatever_is_given_goes_where_all_of_it_is_asked_for(arguments: str) -> None:
    assert text("<$ARGUMENTS>", arguments) == f"<{arguments}>"


@given(st.text(), st.text())
def test_no_text_breaks_it(body: str, arguments: str) -> None:
    filled(body, arguments, {})
    files(body)


@given(st.lists(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1)))
def test_words_are_what_they_were(given: list[str]) -> None:
    assert words(" ".join(given)) == given
