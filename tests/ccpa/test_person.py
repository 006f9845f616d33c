"""What a person says is read from what became of tool uses."""

from typing import Any

import pytest

from ccpa.person import Allowed, Declined, Person, answers
from ccpa.trace import AssistantTurn, DeniedBy, Record, ToolResult, ToolUseBlock


def session(
    name: str, given: dict[str, Any], content: str, denied_by: DeniedBy | None = None
) -> list[Record]:
    block = ToolUseBlock("toolu_1", name, given)
    turn = AssistantTurn(v=1, turn=1, blocks=[block], stop_reason="tool_use")
    ok = denied_by is None
    result = ToolResult(
        v=1, turn=2, tool_use_id="toolu_1", ok=ok, content=content, denied_by=denied_by
    )
    return [turn, result]


def test_what_went_well_was_allowed() -> None:
    assert Person.of(session("Bash", {"command": "ls"}, "a.py")).reply("toolu_1") == Allowed()


def test_what_they_declined_is_declined_in_their_words() -> None:
    person = Person.of(session("Edit", {}, "Leave that page alone.", "user"))
    assert person.reply("toolu_1") == Declined("Leave that page alone.")


@pytest.mark.parametrize("denied_by", ["rule", "mode", "hook"])
def test_what_others_denied_they_were_not_asked(denied_by: DeniedBy) -> None:
    assert isinstance(Person.of(session("Edit", {}, "No.", denied_by)).reply("toolu_1"), Declined)


def test_to_what_is_not_recorded_they_say_no() -> None:
    assert isinstance(Person({}).reply("toolu_2"), Declined)


def question(text: str, *labels: str) -> dict[str, Any]:
    return {"question": text, "options": [{"label": label} for label in labels]}


ONE = [question("Which file?", "Staging", "Staging and production", "None")]
TWO = [question("Which file?", "Staging", "Both"), question("When?", "Now", "Both times")]


@pytest.mark.parametrize(
    ("questions", "content", "given"),
    [
        (ONE, "The user answered: Staging", {"Which file?": "Staging"}),
        (
            ONE,
            "The user answered: Staging and production",
            {"Which file?": "Staging and production"},
        ),
        (ONE, 'User has answered: "Which file?"="None".', {"Which file?": "None"}),
        (ONE, "The user answered: only the test file", {"Which file?": "only the test file"}),
        (ONE, "Which file? Nonesuch", {"Which file?": "Nonesuch"}),
        (
            TWO,
            "The user answered:\n- Which file? Both\n- When? Now, Both times",
            {"Which file?": "Both", "When?": "Now, Both times"},
        ),
        ([], "The user answered: Staging", {}),
        (7, "The user answered: Staging", {}),
        (
            [1, {"options": [{}, 2]}, {"question": "Why?", "options": 3}],
            "So.",
            {"": "So.", "Why?": "So."},
        ),
    ],
)
def test_what_they_chose_is_what_the_result_names(
    questions: Any, content: str, given: dict[str, str]
) -> None:
    assert answers({"questions": questions}, content) == given
    person = Person.of(session("AskUserQuestion", {"questions": questions}, content))
    assert person.reply("toolu_1") == Allowed(given)
