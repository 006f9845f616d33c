import json

import pytest

from ccpa.errors import CcpaError
from ccpa.trace import AssistantTurn, SessionStart, TextBlock, ToolResult, ToolUseBlock, UserPrompt
from tests.ccpa.importers.reading import EXAMPLES, jsonl, only, problems, read, read_all

FORM = "openai-chat"
USER = {"role": "user", "content": "Hi."}
ANSWER = {"role": "assistant", "content": "Hello."}


def test_a_request_is_a_session_with_what_it_knows() -> None:
    records, _ = read(FORM, EXAMPLES / "chat.json")
    start = only(records, SessionStart)[0]
    assert (start.actor, start.model) == ("unknown", "qwen3-coder")
    assert start.ts == "1970-01-01T00:00:00Z"
    assert [one.tool_use_id for one in only(records, ToolResult)] == ["c1", "c2"]


def test_arguments_that_are_no_object_are_kept_as_written() -> None:
    turn = only(read(FORM, EXAMPLES / "chat.json")[0], AssistantTurn)[0]
    inputs = [block.input for block in turn.blocks if isinstance(block, ToolUseBlock)]
    assert inputs == [{"item": "tea"}, {"«arguments that are no JSON object»": '{"item": tea'}]


@pytest.mark.parametrize(
    "data",
    [
        json.dumps([USER, ANSWER]).encode(),
        json.dumps({"messages": [USER, ANSWER]}).encode(),
        jsonl(USER, ANSWER),
        jsonl({"messages": [USER, ANSWER]}),
    ],
)
def test_every_form_of_a_list_is_one_session(data: bytes) -> None:
    records, _ = read(FORM, data)
    assert [type(one) for one in records] == [SessionStart, UserPrompt, AssistantTurn]


def test_each_line_of_a_dataset_is_a_session() -> None:
    sessions, notes = read_all(
        FORM,
        jsonl({"messages": [USER, ANSWER]}, {"messages": [USER, ANSWER, USER]}, {"other": 1}),
    )
    assert [len(session.records) for session in sessions] == [3, 4]
    assert notes.skipped["value that holds no messages"] == 1
    assert all(problems(session.records) == [] for session in sessions)


def test_the_older_function_call_is_answered_by_name() -> None:
    asked = {"role": "assistant", "function_call": {"name": "now", "arguments": "{}"}}
    told = {"role": "function", "name": "now", "content": "noon"}
    records, _ = read(FORM, jsonl(USER, asked, told))
    assert only(records, ToolResult)[0].content == "noon"


def test_a_refusal_is_what_the_model_said() -> None:
    refused = {"role": "assistant", "content": None, "refusal": "I will not."}
    turn = only(read(FORM, jsonl(USER, refused))[0], AssistantTurn)[0]
    assert turn.blocks == [TextBlock("I will not.")]


def test_the_same_list_has_the_same_session_id_each_time() -> None:
    ids = {only(read(FORM, jsonl(USER, ANSWER))[0], SessionStart)[0].session_id for _ in range(2)}
    other = only(read(FORM, jsonl(USER, ANSWER, USER))[0], SessionStart)[0].session_id
    assert len(ids) == 1
    assert other not in ids


@pytest.mark.parametrize("data", [b"", b"null", b"{}", b"[1, 2]", b"prose", b'{"messages": []}'])
def test_a_file_without_messages_is_an_error_that_names_it(data: bytes) -> None:
    with pytest.raises(CcpaError, match="test: no list of messages in it"):
        read_all(FORM, data)
