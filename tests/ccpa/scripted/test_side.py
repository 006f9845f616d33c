"""Requests on the side: recognised, answered harmlessly, and no turn of the script."""

import json
from typing import Any

import pytest

from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving
from tests.ccpa.scripted.talk import (
    calls,
    messages,
    post,
    prompt,
    results,
    said,
    says,
    text,
    user,
)

PROMPT = "Summarise the conversation about titles in notes.md, and create a title for it."
RECORDS = [
    prompt(PROMPT),
    calls(("toolu_r", "Read", {"file_path": "/w/notes.md"})),
    says("Done.", 3),
]


def scripted() -> ScriptedModel:
    return ScriptedModel(Script.from_trace(RECORDS))


@pytest.mark.parametrize(
    ("system", "asked"),
    [
        ("Generate a concise title that captures the main topic of this session.", PROMPT),
        ("You are a title generator. You output only a thread title.", PROMPT),
        ("Analyze if this message indicates a new conversation topic.", PROMPT),
        ("", f"Please write a 5-10 word title for the following conversation:\n\n{PROMPT}"),
    ],
)
def test_a_wish_for_a_title_says_no_turn(system: str, asked: str) -> None:
    model = scripted()
    with serving(model) as url:
        assert text(messages(url, user(asked), tools=(), system=system)) == "Scripted session"
        assert messages(url, user(PROMPT))["stop_reason"] == "tool_use"
    assert [e.outcome for e in model.exchanges] == ["side", "turn"]
    assert model.exchanges[0].detail == "title"
    assert model.surplus == 0
    assert len(model.requests) == 1


def test_a_title_may_have_to_fit_a_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "isNewTopic": {"type": "boolean"},
            "kind": {"enum": ["a", "b"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "score": {"type": "number"},
        },
    }
    system = "Generate a title for this session."
    config = {"format": {"type": "json_schema", "schema": schema}}
    with serving(scripted()) as url:
        answer = messages(url, user(PROMPT), tools=(), system=system, output_config=config)
        body: dict[str, Any] = {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": PROMPT},
            ],
            "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
        }
        in_chat = json.loads(post(url, body)[1])["choices"][0]["message"]["content"]
        body = {"input": PROMPT, "instructions": system, "text": config}
        in_responses = json.loads(post(url, body, "/responses")[1])["output"][0]["content"][0]
    fitting = {
        "title": "Scripted session",
        "isNewTopic": False,
        "kind": "a",
        "tags": [],
        "score": 0,
    }
    assert [json.loads(said) for said in (text(answer), in_chat, in_responses["text"])] == [
        fitting
    ] * 3


@pytest.mark.parametrize(
    ("schema", "fitting"),
    [
        ({"type": "object"}, {}),
        ({"type": "object", "properties": [1]}, {}),
        ({"type": "object", "properties": {"a": True}}, {"a": "Scripted session"}),
        ({"type": ["string", "null"]}, "Scripted session"),
        ({"enum": 7}, "Scripted session"),
        ({}, "Scripted session"),
    ],
)
def test_an_odd_schema_breaks_nothing(schema: dict[str, Any], fitting: object) -> None:
    config = {"format": {"type": "json_schema", "schema": schema}}
    with serving(scripted()) as url:
        wish = user("Create a title.")
        answer = messages(url, wish, tools=(), output_config=config)
    assert json.loads(text(answer)) == fitting


def test_a_probe_says_no_turn() -> None:
    model = scripted()
    with serving(model) as url:
        assert text(messages(url, user("quota"), tools=(), max_tokens=1)) == "OK"
    assert model.exchanges[0].detail == "probe"


@pytest.mark.parametrize(
    ("tools", "system", "wish"),
    [
        ((), "You summarize conversations.", "Go."),
        ((), "", "Provide a detailed summary of our conversation so far."),
        (("Read",), "", "Your task is to create a detailed summary of the conversation so far."),
        (("Read",), "", "Write a handoff for another model that goes on with this session."),
        (("Read",), "", "<system-reminder>x</system-reminder>Compact the history above."),
    ],
)
def test_a_wish_for_a_summary_says_no_turn_and_the_conversation_goes_on(
    tools: tuple[str, ...], system: str, wish: str
) -> None:
    """The summary names the task, so the shortened history is still this conversation's."""
    model = scripted()
    with serving(model) as url:
        first = messages(url, user(PROMPT))
        history = [user(PROMPT), said(first), results("toolu_r")]
        summary = text(messages(url, *history, user(wish), tools=tools, system=system))
        continued = user(f"The conversation is summarised below so that you can go on:\n{summary}")
        assert text(messages(url, continued)) == "Done."
    assert PROMPT in summary
    assert [e.detail for e in model.exchanges if e.outcome == "side"] == ["compaction"]
    assert model.findings() == []


def test_a_summary_of_a_conversation_that_nobody_knows_names_no_task() -> None:
    model = scripted()
    stranger = {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
    with serving(model) as url:
        wish = user("Summarize this session.")
        summary = text(messages(url, user("Hi."), stranger, wish, tools=()))
    assert "The task: not known" in summary
    assert model.surplus == 0


def test_a_summary_may_be_put_after_the_first_prompt() -> None:
    model = scripted()
    with serving(model) as url:
        first = messages(url, user(PROMPT))
        history = [user(PROMPT), said(first), results("toolu_r")]
        summary = text(messages(url, *history, user("Summarize this session."), tools=()))
        assert text(messages(url, user(PROMPT, summary))) == "Done."


@pytest.mark.parametrize(
    "system",
    [
        "You are a coding agent. Older parts of the conversation are summarised automatically.",
        "Before you create a pull request, write a title for it.",
    ],
)
def test_a_turn_with_tools_is_no_side_request_whatever_the_system_prompt_says(system: str) -> None:
    model = scripted()
    with serving(model) as url:
        first = messages(url, user(PROMPT), system=system)
        history = [user(PROMPT), said(first), results("toolu_r")]
        assert text(messages(url, *history, system=system)) == "Done."
    assert [e.outcome for e in model.exchanges] == ["turn", "turn"]


def test_a_recorded_prompt_is_no_wish_even_where_no_tools_are_offered() -> None:
    model = scripted()
    with serving(model) as url:
        assert messages(url, user(PROMPT), tools=())["stop_reason"] == "tool_use"


def test_what_is_not_recognised_is_one_call_too_many() -> None:
    model = scripted()
    with serving(model) as url:
        answer = messages(url, user("Suggest what to do next."), tools=())
    assert answer["type"] == "error"
    assert model.surplus == 1


def test_mere_turns_answer_wishes_of_any_kind() -> None:
    """A test that is about compaction scripts the summary itself."""
    with serving(ScriptedModel([says("My summary.")])) as url:
        assert text(messages(url, user("Summarize this session."), tools=())) == "My summary."
