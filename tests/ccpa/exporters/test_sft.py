import importlib
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings

from ccpa.errors import CcpaError
from ccpa.exporters.sft import Count, Options, read_tools, rows
from ccpa.trace import Record
from tests.ccpa.exporters.generated import traces
from tests.ccpa.exporters.reading import TEACHERS, session
from tests.ccpa.traces import Value, asked, end, prompt, result, said
from tests.ccpa.traces import session as started

ID = "01980f3a-5c9e-7b21-9d3c-0242ac120002"
ALL = Options(unfinished=True)

_TEXT = {"type": "string"}


def _closed(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties,
        "additionalProperties": False,
    }


# What TRL's page on dataset formats and transformers' on chat templates expect of a row.
_CALL = _closed(
    "id type function",
    id=_TEXT,
    type={"const": "function"},
    function=_closed("name arguments", name=_TEXT, arguments={"type": "object"}),
)
ROW = _closed(
    "id messages tools",
    id=_TEXT,
    messages={
        "type": "array",
        "minItems": 2,
        "prefixItems": [_closed("role content", role={"const": "user"}, content=_TEXT)],
        "items": {
            "oneOf": [
                _closed("role content", role={"const": "user"}, content=_TEXT),
                _closed(
                    "role content",
                    role={"const": "assistant"},
                    content=_TEXT,
                    reasoning_content=_TEXT,
                    tool_calls={"type": "array", "minItems": 1, "items": _CALL},
                ),
                _closed(
                    "role tool_call_id name content",
                    role={"const": "tool"},
                    tool_call_id=_TEXT,
                    name=_TEXT,
                    content=_TEXT,
                ),
            ]
        },
    },
    tools={
        "type": "array",
        "items": _closed(
            "type function",
            type={"const": "function"},
            function=_closed(
                "name description parameters",
                name=_TEXT,
                description=_TEXT,
                parameters={"$ref": "https://json-schema.org/draft/2020-12/schema"},
            ),
        ),
    },
)
VALIDATOR = jsonschema.Draft202012Validator(ROW)


def made(records: list[Value] | list[Record] | bytes, options: Options = ALL) -> list[Any]:
    """Return rows as a trainer reads them."""
    found = rows(session(records), options, Count())
    return [msgspec.json.decode(msgspec.json.encode(row)) for row in found]


def left_out(records: list[Value], options: Options) -> list[str]:
    count = Count()
    list(rows(session(records), options, count))
    return list(count.left_out.elements())


@settings(max_examples=20)
@given(traces())
def test_rows_of_any_trace_are_what_trainers_expect(records: list[Record]) -> None:
    for row in made(records):
        VALIDATOR.validate(row)
        waiting: list[str] = []
        for message in row["messages"]:
            if message["role"] == "tool":
                waiting.remove(message["tool_call_id"])  # each result answers an open call
            else:
                waiting = [call["id"] for call in message.get("tool_calls", ())]


def test_every_teacher_makes_rows() -> None:
    total = 0
    for path in TEACHERS:
        for row in made(path.read_bytes()):
            VALIDATOR.validate(row)
            total += 1
    assert total > len(TEACHERS)


def test_datasets_loads_the_rows_as_they_were_written(tmp_path: Any) -> None:
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        pytest.skip("datasets is not installed: it brings 400 MB; pip install datasets")
    written = [row for path in TEACHERS for row in made(path.read_bytes())]
    file = tmp_path / "train.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in written))
    loaded = datasets.load_dataset(
        "json", data_files=str(file), split="train", cache_dir=str(tmp_path)
    )
    assert list(loaded) == written


def test_a_conversation_is_a_row_of_messages() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Let me see."},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "k", "name": "Read", "input": {"file_path": "/a", "limit": 3}},
    ]
    records = [started(), prompt(0), asked(1, blocks=blocks), result(2, "k"), said(3), end(3)]
    (row,) = made(records, Options())
    assert row["id"] == ID
    call = {
        "id": "k",
        "type": "function",
        "function": {"name": "Read", "arguments": {"file_path": "/a", "limit": 3}},
    }
    assert row["messages"] == [
        {"role": "user", "content": "Fix it."},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Let me see.",
            "tool_calls": [call],
        },
        {"role": "tool", "tool_call_id": "k", "name": "Read", "content": "README.md\n"},
        {"role": "assistant", "content": "Done."},
    ]
    (dropped,) = made(records, Options(thinking="drop"))
    assert "reasoning_content" not in dropped["messages"][1]


def test_results_stand_in_the_order_of_the_calls() -> None:
    records = [started(), prompt(0), asked(1, "a", "b"), result(2, "b"), result(2, "a"), said(3)]
    messages = made(records)[0]["messages"]
    assert [one["tool_call_id"] for one in messages if one["role"] == "tool"] == ["a", "b"]


def test_a_denied_call_and_a_failure_stay() -> None:
    records = [
        started(),
        prompt(0),
        asked(1, "a"),
        result(2, "a", ok=False, denied_by="rule", content="Not allowed."),
        said(3),
        end(3),
    ]
    assert made(records, Options())[0]["messages"][2]["content"] == "Not allowed."


def test_a_subagent_has_a_row_that_begins_with_what_it_was_asked() -> None:
    use = {"type": "tool_use", "id": "k", "name": "Agent", "input": {"prompt": "Look for tea."}}
    inner = said(1, "Here.", parent_tool_use_id="k")
    records = [started(), prompt(0), asked(1, blocks=[use]), inner, result(2, "k"), said(3)]
    main, subagent = made([*records, end(3)], Options())
    assert (main["id"], subagent["id"]) == (ID, f"{ID}/k")
    assert subagent["messages"] == [
        {"role": "user", "content": "Look for tea."},
        {"role": "assistant", "content": "Here."},
    ]


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([prompt(0), said(1)], "did not end well"),
        ([prompt(0), said(1), end(1, "error")], "did not end well"),
        ([prompt(0), said(1, stop_reason="max_tokens"), end(1)], "did not end well"),
        (
            [prompt(0), asked(1, "a"), result(2, "a", truncated=True), said(3), end(3)],
            "the trace lacks what the model saw",
        ),
        ([said(1), end(1)], "no prompt, or no answer"),
    ],
)
def test_what_would_teach_the_wrong_thing_is_left_out(records: list[Value], why: str) -> None:
    (reason,) = left_out([started(), *records], Options())
    assert reason.startswith(why)


def test_after_a_compaction_the_trace_lacks_what_the_model_saw() -> None:
    compaction = {"v": 1, "kind": "compaction", "turn": 1, "trigger": "auto"}
    compaction |= {"tokens_before": 9, "tokens_after": 2}
    records = [started(), prompt(0), said(1), compaction, prompt(2), said(3), end(3)]
    assert len(left_out(records, Options())) == 1
    (row,) = made(records)
    assert len(row["messages"]) == 2


def test_long_conversations_are_left_out_whole() -> None:
    records = [started(), prompt(0, "12345"), said(1, "67890"), end(1)]
    assert left_out(records, Options(max_chars=9)) == ["longer than --max-chars"]
    assert left_out(records, Options(max_chars=10)) == []


def test_tools_are_inferred_from_how_they_were_used() -> None:
    uses = [
        {"type": "tool_use", "id": "a", "name": "Read", "input": {"path": "x", "limit": 1}},
        {"type": "tool_use", "id": "b", "name": "Read", "input": {"path": None, "deep": True}},
    ]
    records = [started(), prompt(0), asked(1, blocks=uses)]
    properties = {
        "deep": {"type": "boolean"},
        "limit": {"type": "integer"},
        "path": {"type": ["null", "string"]},
    }
    assert made(records)[0]["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "Read",
                "description": "",
                "parameters": {"type": "object", "properties": properties},
            },
        }
    ]


def test_tools_that_are_given_are_written_as_they_are() -> None:
    data = b'[{"type":"function","function":{"name":"Read","parameters":{},"strict":true}}]'
    tools = read_tools(data)
    (row,) = made([started(), prompt(0), said(1)], Options(unfinished=True, tools=tools))
    assert row["tools"] == msgspec.json.decode(data)


@pytest.mark.parametrize("data", [b"{}", b"[{}]", b'[{"name":"Read"}]', b"[", b"\xff", b"[" * 9999])
def test_what_is_no_list_of_tools_is_refused(data: bytes) -> None:
    with pytest.raises(CcpaError, match="no list of tools: "):
        read_tools(data)
