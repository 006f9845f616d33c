"""The other side of a conversation over stream-json lines."""

import json
from typing import Any

import pytest

from ccpa.agents.stream_json import Dialogue, options
from ccpa.person import Allowed, Declined, Person

PERSON = Person(
    {"a": Allowed(), "b": Declined("Not that one."), "c": Allowed({"Which?": "The first"})}
)
RESULT = b'{"type": "result", "subtype": "success"}'


def said(line: bytes | None) -> dict[str, Any]:
    assert line is not None
    value: dict[str, Any] = json.loads(line)
    return value


def asks(tool_use_id: str, subtype: str = "can_use_tool") -> bytes:
    request = {"subtype": subtype, "tool_use_id": tool_use_id, "input": {"x": 1}}
    return json.dumps({"type": "control_request", "request_id": "r1", "request": request}).encode()


def test_each_prompt_is_said_when_the_one_before_has_its_result() -> None:
    dialogue = Dialogue(("Fix it.", "Go on."), None)
    assert said(dialogue.first())["message"] == {"role": "user", "content": "Fix it."}
    assert dialogue.heard(b'{"type": "assistant"}') == b""
    assert said(dialogue.heard(RESULT))["message"]["content"] == "Go on."
    assert dialogue.heard(RESULT) is None


@pytest.mark.parametrize(
    ("tool_use_id", "answer"),
    [
        ("a", {"behavior": "allow", "updatedInput": {"x": 1}}),
        ("b", {"behavior": "deny", "message": "Not that one."}),
        ("c", {"behavior": "allow", "updatedInput": {"x": 1, "answers": {"Which?": "The first"}}}),
        ("d", {"behavior": "deny", "message": "The recording does not have this."}),
    ],
)
def test_consent_is_what_the_person_said(tool_use_id: str, answer: dict[str, Any]) -> None:
    response = said(Dialogue(("Fix it.",), PERSON).heard(asks(tool_use_id)))
    assert response == {
        "type": "control_response",
        "response": {"subtype": "success", "request_id": "r1", "response": answer},
    }


def test_other_requests_are_refused_and_so_is_everything_where_nobody_is() -> None:
    for dialogue, line in (
        (Dialogue(("Fix it.",), PERSON), asks("a", "hook_callback")),
        (Dialogue(("Fix it.",), None), asks("a")),
    ):
        assert said(dialogue.heard(line))["response"]["subtype"] == "error"


@pytest.mark.parametrize("line", [b"", b"not json", b"[]", b'{"type": "control_request"}', b"\xff"])
def test_what_is_no_message_is_passed_over(line: bytes) -> None:
    assert Dialogue(("Fix it.",), PERSON).heard(line) == b""


def test_there_is_a_conversation_only_where_there_is_something_to_say() -> None:
    assert options(("Fix it.",), None) == ([], None)
    assert options(("Fix it.", "Go on."), None)[0] == ["--input-format", "stream-json"]
    words, talk = options(("Fix it.",), PERSON)
    assert words[-2:] == ["--permission-prompt-tool", "stdio"]
    assert talk is not None
