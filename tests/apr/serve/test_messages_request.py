"""A Messages request is read field by field; what is wrong is told with its path."""

import base64
import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apr.providers.base import (
    AssistantMessage,
    Forced,
    Image,
    Message,
    Request,
    ToolAnswer,
    ToolMessage,
    UserMessage,
)
from apr.serve.backend import Served
from apr.serve.messages_errors import Invalid
from apr.serve.messages_request import Asked, read_request
from ccpa.trace import TextBlock, ThinkingBlock, ToolUseBlock

BLIND = Served(model="demo", context=4096, template=None)
SEEING = Served(model="demo", context=4096, template=None, vision=True)
PNG = base64.b64encode(b"\x89PNG").decode()
READ = {"name": "Read", "input_schema": {"type": "object", "properties": {}}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "text"}


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    """Return a request; texts are messages of the user and the model in turn."""
    roles = ("user", "assistant")
    return {
        "model": "demo",
        "max_tokens": 8,
        "messages": [
            {"role": roles[n % 2], "content": message}
            if isinstance(message, str | list)
            else message
            for n, message in enumerate(messages or ("Hi",))
        ],
        **fields,
    }


def asked(*messages: Any, served: Served = BLIND, **fields: Any) -> Asked:
    return read_request(json.dumps(body(*messages, **fields)).encode(), served)


def request(*messages: Any, **fields: Any) -> Request:
    return asked(*messages, **fields).request


def history(*messages: Any, **fields: Any) -> tuple[Message, ...]:
    return request(*messages, **fields).messages


def block(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def document(source: Any, **fields: Any) -> dict[str, Any]:
    return block("document", source=source, **fields)


def pdf(text: str) -> str:
    """Return a PDF with one line of text, in base64."""
    page = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() if text else b""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(page), page),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 6\n0000000000 65535 f \n%btrailer\n<< /Size 6 /Root 1 0 R >>\n" % table
    return base64.b64encode(out + end + b"startxref\n%d\n%%%%EOF\n" % len(out)).decode()


def test_a_models_name_fits_into_a_header_whatever_its_letters() -> None:
    served = Served(model="modèle 你", context=1, template=None)
    assert served.fallback("modèle 你") == {}
    assert served.fallback("other") == {"x-apr-model-fallback": "mod\\xe8le \\u4f60"}


def test_a_prompt_and_what_else_is_asked() -> None:
    wanted = asked(
        "Hello",
        system="Be short.",
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        stream=True,
        metadata={"user_id": "u"},
        service_tier="auto",
        cache_control={"type": "ephemeral"},
        inference_geo="us",
        betas=["context-1m-2025-08-07"],
    )
    assert wanted == Asked(
        request=Request(
            system="Be short.",
            messages=(UserMessage("Hello"),),
            max_tokens=8,
            temperature=0.5,
            stop=("END",),
            options={
                "top_p": 0.9,
                "top_k": 40,
                "chat_template_kwargs": {"enable_thinking": False},
            },
        ),
        model="demo",
        stream=True,
    )


def test_a_system_prompt_may_come_in_blocks() -> None:
    blocks = [block("text", text="One."), block("text", text="Two.", cache_control=None)]
    assert request(system=blocks).system == "One.\n\nTwo."


def test_text_blocks_of_the_user_are_one_prompt() -> None:
    cached = block("text", text="b", cache_control={"type": "ephemeral", "ttl": "1h"})
    assert history([block("text", text="a"), cached]) == (UserMessage("a\n\nb"),)


def test_neighbours_of_one_role_are_one_turn() -> None:
    user = {"role": "user", "content": "a"}
    assert history(user, {"role": "user", "content": "b"}) == (UserMessage("a\n\nb"),)


def test_a_call_and_its_result() -> None:
    assert history("Read a", [block("text", text="Yes."), CALL], [RESULT], tools=[READ]) == (
        UserMessage("Read a"),
        AssistantMessage((TextBlock("Yes."), ToolUseBlock("toolu_1", "Read", {"file_path": "a"}))),
        ToolMessage((ToolAnswer("toolu_1", "Read", "text"),)),
    )


def test_results_come_in_the_order_of_the_calls_and_text_behind_them() -> None:
    second = {**CALL, "id": "toolu_2"}
    turn = [block("text", text="Now"), {**RESULT, "tool_use_id": "toolu_2", "content": "2"}, RESULT]
    assert history("Go", [CALL, second], turn)[2:] == (
        ToolMessage((ToolAnswer("toolu_1", "Read", "text"), ToolAnswer("toolu_2", "Read", "2"))),
        UserMessage("Now"),
    )


@pytest.mark.parametrize(
    ("content", "is_error", "told"),
    [
        ("fine", False, "fine"),
        (None, False, ""),
        ([], None, ""),
        ([block("text", text="a"), block("text", text="b")], False, "a\nb"),
        ("no such file", True, "Error: no such file"),
        ("<tool_use_error>no</tool_use_error>", True, "<tool_use_error>no</tool_use_error>"),
        ("Exit code 1\nx", True, "Exit code 1\nx"),
        (None, True, "Error"),
        ([block("tool_reference", tool_name="Grep")], False, "[the tool Grep]"),
        ([block("browser_state", tabs=[{"id": 1}])], False, '[{"id":1}]'),
        (
            [block("search_result", source="s", title="t", content=[block("text", text="x")])],
            False,
            '<search_result source="s" title="t">\nx\n</search_result>',
        ),
        (
            [block("image", source=block("base64", media_type="image/png", data=PNG))],
            False,
            "[image left out: This model cannot see images]",
        ),
        (
            [document(block("url", url="http://x/y.pdf"))],
            False,
            "[document left out: This server opens no connections. Send the bytes, as base64]",
        ),
    ],
)
def test_what_a_tool_returned_as_the_model_reads_it(
    content: Any, is_error: bool, told: str
) -> None:
    result = {**RESULT, "content": content, "is_error": is_error}
    answer = history("Go", [CALL], [result])[2]
    assert answer == ToolMessage((ToolAnswer("toolu_1", "Read", told, ok=not is_error),))


def test_thinking_comes_back_whoever_signed_it() -> None:
    thought = block("thinking", thinking="Hm.", signature="abc")
    sealed = block("redacted_thinking", data="xyz")
    said = history("a", [sealed, thought, block("text", text="b")], "c")[1]
    assert said == AssistantMessage((ThinkingBlock("Hm.", "abc"), TextBlock("b")))


def test_what_the_vendors_service_has_run_is_told_as_text() -> None:
    use = block("server_tool_use", id="srvtoolu_1", name="web_search", input={"query": "x"})
    found = block("web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"url": "u"}])
    said = history("a", [use, found, block("text", text="b")], "c")[1]
    assert said == AssistantMessage(
        (
            TextBlock('[web_search: {"query":"x"}]'),
            TextBlock('[result: [{"url":"u"}]]'),
            TextBlock("b"),
        )
    )


def test_the_system_may_speak_between() -> None:
    said = history(
        "a", "b", {"role": "system", "content": "Mind the gap."}, {"role": "user", "content": "c"}
    )
    assert said[2:] == (UserMessage("<system>\nMind the gap.\n</system>\n\nc"),)


def test_the_system_may_speak_in_blocks() -> None:
    blocks = [block("text", text="One."), block("text", text="")]
    (prompt,) = history({"role": "system", "content": blocks}, {"role": "user", "content": "a"})
    assert prompt == UserMessage("<system>\nOne.\n</system>\n\na")


def test_what_else_can_stand_in_a_prompt_is_told_as_text() -> None:
    found = block(
        "search_result", source="s", title="t", content=[block("text", text="x")], citations={}
    )
    ran = block("mcp_tool_result", tool_use_id="m", content="ran")
    summary = block("compaction", content="So far.")
    upload = block("container_upload", file_id="f")
    assert history([found, ran, summary, upload]) == (
        UserMessage('<search_result source="s" title="t">\nx\n</search_result>\n\nran\n\nSo far.'),
    )


def test_a_summary_of_the_model_is_its_text() -> None:
    said = history("a", [block("compaction", content="So far.")], "b")[1]
    assert said == AssistantMessage((TextBlock("So far."),))


def test_a_document_in_a_result_is_told_as_text() -> None:
    text = document(block("text", media_type="text/plain", data="Body"))
    result = {**RESULT, "content": [text]}
    assert history("Go", [CALL], [result])[2] == ToolMessage(
        (ToolAnswer("toolu_1", "Read", "<document>\nBody\n</document>"),)
    )


def test_an_answer_may_be_begun() -> None:
    assert history("a", "The answer is")[-1] == AssistantMessage((TextBlock("The answer is"),))


def test_a_document_of_text_has_its_title() -> None:
    source = block("text", media_type="text/plain", data="Body")
    titled = document(source, title='A "b"', context="c", citations={"enabled": True})
    assert history([titled]) == (
        UserMessage('<document title="A &quot;b&quot;" context="c">\nBody\n</document>'),
    )


def test_a_document_may_be_made_of_blocks() -> None:
    source = block("content", content=[block("text", text="a"), block("text", text="b")])
    assert history([document(source)]) == (UserMessage("<document>\na\n\nb\n</document>"),)


def test_a_pdf_is_read() -> None:
    source = block("base64", media_type="application/pdf", data=pdf("Hello PDF"))
    assert history([document(source)]) == (
        UserMessage("<document>\n[page 1 of 1]\nHello PDF\n</document>"),
    )


def test_a_pdf_that_a_tool_has_returned_and_nobody_can_read_is_left_out() -> None:
    source = block("base64", media_type="application/pdf", data="YQ==")
    said = history(
        [block("text", text="See?")], [CALL], [{**RESULT, "content": [document(source)]}]
    )
    answer = said[-1]
    assert isinstance(answer, ToolMessage)
    (told,) = answer.answers
    assert told.content == (
        "[document left out: This PDF cannot be read: it is broken (PdfStreamError)]"
    )


def test_a_model_that_sees_is_shown_images_also_those_of_tools() -> None:
    picture = block("image", source=block("base64", media_type="image/png", data=PNG))
    messages = ([picture, block("text", text="See?")], [CALL], [{**RESULT, "content": [picture]}])
    said = asked(*messages, served=SEEING).request.messages
    assert said[0] == UserMessage("See?", (Image("image/png", PNG),))
    assert said[2:] == (
        ToolMessage((ToolAnswer("toolu_1", "Read", "[image 1]"),)),
        UserMessage("", (Image("image/png", PNG),)),
    )


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, Forced()),
        ({"type": "tool", "name": "Read"}, Forced("Read")),
        ({"type": "none"}, "none"),
    ],
)
def test_a_choice_of_tools(choice: Any, wanted: Any) -> None:
    assert request(tools=[READ], tool_choice=choice).tool_choice == wanted


def test_only_one_tool_use_may_be_wanted() -> None:
    choice = {"type": "any", "disable_parallel_tool_use": True}
    assert asked(tools=[READ], tool_choice=choice).one_call


def test_a_custom_tool_keeps_its_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    (tool,) = request(
        tools=[{"type": "custom", "name": "t", "description": "d", "input_schema": schema}]
    ).tools
    assert (tool.name, tool.description, tool.parameters) == ("t", "d", schema)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("bash_20250124", "bash"),
        ("text_editor_20250728", "str_replace_based_edit_tool"),
        ("text_editor_20250124", "str_replace_editor"),
        ("memory_20250818", "memory"),
    ],
)
def test_tools_that_the_vendors_models_know_are_described_to_ours(kind: str, name: str) -> None:
    (tool,) = request(tools=[{"type": kind, "name": name}]).tools
    assert tool.name == name
    assert tool.parameters["properties"]["command"]


def test_tools_that_the_vendor_runs_are_left_out_and_named() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    wanted = asked(tools=[search, READ])
    assert [tool.name for tool in wanted.request.tools] == ["Read"]
    assert wanted.left_out == ("web_search_20250305",)


@pytest.mark.parametrize(
    ("thinking", "reasoning"),
    [
        (None, "hidden"),
        ({"type": "disabled"}, "hidden"),
        ({"type": "enabled", "budget_tokens": 1024}, "shown"),
        ({"type": "adaptive"}, "shown"),
        ({"type": "between_tools"}, "shown"),
        ({"type": "adaptive", "display": "omitted"}, "omitted"),
    ],
)
def test_thinking_is_told_to_who_asked_for_it(thinking: Any, reasoning: str) -> None:
    wanted = asked(thinking=thinking, max_tokens=2000)
    assert wanted.reasoning == reasoning
    thinks = wanted.request.options["chat_template_kwargs"]["enable_thinking"]
    assert thinks == (reasoning != "hidden")


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_a_form_of_the_answer_is_asked_of_the_engine(field: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    value = {"format": form} if field == "output_config" else form
    options = request(**{field: value}).options
    assert options["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_a_call_that_could_not_run_comes_back_as_the_model_wrote_it() -> None:
    given = {"error": "Without `path`.", "tool": "Read", "arguments": {"a": 1}}
    invalid = {**CALL, "name": "invalid_tool_call", "input": given}
    unknown = {**RESULT, "content": "There is no such tool", "is_error": True}
    told = "<tool_use_error>Without `path`.</tool_use_error>"
    assert history("Go", [invalid], [unknown])[1:] == (
        AssistantMessage((ToolUseBlock("toolu_1", "Read", {"a": 1}),)),
        ToolMessage((ToolAnswer("toolu_1", "Read", told, ok=False),)),
    )


def without(field: str) -> dict[str, Any]:
    return {key: value for key, value in body().items() if key != field}


def said(*blocks: Any, role: str = "user") -> dict[str, Any]:
    """Return a request whose last message has these blocks."""
    before = [{"role": "user", "content": "a"}] if role == "assistant" else []
    return body(*before, {"role": role, "content": list(blocks)})


def source(kind: str, **fields: Any) -> dict[str, Any]:
    return said(document(block(kind, **fields)))


def tool(**fields: Any) -> dict[str, Any]:
    return body(tools=[READ, {"name": "t", "input_schema": {"type": "object"}, **fields}])


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


IMAGE = block("base64", media_type="image/png", data=PNG)
FORCED = {"type": "tool", "name": "Read"}
WRONG: dict[str, tuple[Any, str]] = {
    "no object": ([], "body"),
    "no model": (without("model"), "model"),
    "an empty model": (body(model=""), "model"),
    "a number for a model": (body(model=1), "model"),
    "no max_tokens": (without("max_tokens"), "max_tokens"),
    "text for max_tokens": (body(max_tokens="8"), "max_tokens"),
    "a fraction of a token": (body(max_tokens=1.5), "max_tokens"),
    "fewer than no tokens": (body(max_tokens=-1), "max_tokens"),
    "no messages": (without("messages"), "messages"),
    "an empty list of messages": (body() | {"messages": []}, "messages"),
    "text for messages": (body() | {"messages": "Hi"}, "messages"),
    "a message that is text": (body() | {"messages": ["Hi"]}, "messages.0"),
    "a message without a role": (body({"content": "a"}), "messages.0.role"),
    "a message without content": (body({"role": "user"}), "messages.0.content"),
    "an unknown role": (body({"role": "tool", "content": "a"}), "messages.0.role"),
    "content that is a number": (body({"role": "user", "content": 1}), "messages.0.content"),
    "an answer first": (body({"role": "assistant", "content": "a"}), "messages.0.role"),
    "an empty prompt": (body(""), "messages.0.content"),
    "no blocks": (body([]), "messages.0.content"),
    "only empty text": (said(block("text", text="")), "messages.0.content"),
    "a block that is text": (said("a"), "messages.0.content.0"),
    "a block without a type": (said({"text": "a"}), "messages.0.content.0.type"),
    "a block of an unknown type": (said(block("video")), "messages.0.content.0.type"),
    "a type that is a list": (said({"type": ["text"]}), "messages.0.content.0.type"),
    "a text block without text": (said(block("text")), "messages.0.content.0.text"),
    "a wrong cache_control": (
        said(block("text", text="a", cache_control={"type": "eternal"})),
        "messages.0.content.0.cache_control.type",
    ),
    "a wrong ttl": (body(cache_control={"type": "ephemeral", "ttl": "2h"}), "cache_control.ttl"),
    "an image without a source": (said(block("image")), "messages.0.content.0.source"),
    "an image of an unknown kind": (
        said(block("image", source=IMAGE | {"media_type": "image/bmp"})),
        "messages.0.content.0.source.media_type",
    ),
    "an image that is not base64": (
        said(block("image", source=IMAGE | {"data": "!"})),
        "messages.0.content.0.source.data",
    ),
    "an image for a blind model": (
        said(block("text", text="a"), block("image", source=IMAGE)),
        "messages.0.content.1",
    ),
    "an image elsewhere": (
        said(block("image", source=block("url", url="http://x"))),
        "messages.0.content.0.source.type",
    ),
    "a file of the vendor's": (source("file", file_id="f"), "messages.0.content.0.source.type"),
    "a document elsewhere": (source("url", url="http://x"), "messages.0.content.0.source.type"),
    "a document of an unknown kind": (source("disk"), "messages.0.content.0.source.type"),
    "a document that is no text": (
        source("text", data="a", media_type="text/html"),
        "messages.0.content.0.source.media_type",
    ),
    "a document that is no PDF": (
        source("base64", data="YQ==", media_type="application/zip"),
        "messages.0.content.0.source.media_type",
    ),
    "a PDF that is none": (
        source("base64", data="YQ==", media_type="application/pdf"),
        "messages.0.content.0.source.data",
    ),
    "a PDF without text": (
        source("base64", data=pdf(""), media_type="application/pdf"),
        "messages.0.content.0.source.data",
    ),
    "a document with an image": (
        source("content", content=[block("image", source=IMAGE)]),
        "messages.0.content.0.source.content.0",
    ),
    "a search result without a title": (
        said(block("search_result", source="s", content=[])),
        "messages.0.content.0.title",
    ),
    "a call by the user": (said(CALL), "messages.0.content.0.type"),
    "a result by the model": (said(RESULT, role="assistant"), "messages.1.content.0.type"),
    "a call with a wrong id": (
        said(CALL | {"id": "a b"}, role="assistant"),
        "messages.1.content.0.id",
    ),
    "a call whose input is text": (
        said(CALL | {"input": "{}"}, role="assistant"),
        "messages.1.content.0.input",
    ),
    "a call that nobody has answered": (said(CALL, role="assistant"), "messages.1"),
    "a call that the next turn does not answer": (body("a", [CALL], "b"), "messages.2"),
    "an id that is used twice": (
        body("a", [CALL], [RESULT], [CALL], [RESULT]),
        "messages.3.content.0.id",
    ),
    "a result of no call": (said(RESULT), "messages.0.content.0.tool_use_id"),
    "a second result": (body("a", [CALL], [RESULT, RESULT]), "messages.2.content.1.tool_use_id"),
    "a result without an id": (said(block("tool_result")), "messages.0.content.0.tool_use_id"),
    "a result with an unknown block": (
        body("a", [CALL], [RESULT | {"content": [block("text", text="a"), block("sound")]}]),
        "messages.2.content.0.content.1.type",
    ),
    "an answer begun with a space": (body("a", "b "), "messages.1.content"),
    "a system prompt that is a number": (body(system=1), "system"),
    "a system prompt with an image": (body(system=[block("image")]), "system.0.type"),
    "tools that are no list": (body(tools={}), "tools"),
    "a tool that is text": (body(tools=["Read"]), "tools.0"),
    "a tool without a name": (body(tools=[{"input_schema": {}}]), "tools.0.name"),
    "a tool with a wrong name": (tool(name="a b"), "tools.1.name"),
    "two tools of one name": (tool(name="Read"), "tools.1.name"),
    "a tool without a schema": (body(tools=[{"name": "a"}]), "tools.0.input_schema"),
    "a schema without a type": (tool(input_schema={}), "tools.1.input_schema.type"),
    "a schema of a list": (tool(input_schema={"type": "array"}), "tools.1.input_schema.type"),
    "properties that are a list": (
        tool(input_schema={"type": "object", "properties": []}),
        "tools.1.input_schema.properties",
    ),
    "a property that is text": (
        tool(input_schema={"type": "object", "properties": {"a": "text"}}),
        "tools.1.input_schema.properties.a",
    ),
    "a required number": (
        tool(input_schema={"type": "object", "required": ["a", 1]}),
        "tools.1.input_schema.required.1",
    ),
    "an enum that is a number": (
        tool(input_schema={"type": "object", "properties": {"a": {"enum": 3}}}),
        "tools.1.input_schema.properties.a.enum",
    ),
    "an alternative that is a number": (
        tool(input_schema={"type": "object", "properties": {"a": {"anyOf": [True, 3]}}}),
        "tools.1.input_schema.properties.a.anyOf.1",
    ),
    "items without end": (
        tool(input_schema={"type": "object", "items": nested(100)}),
        "tools.1.input_schema" + ".items" * 65,
    ),
    "a description that is a list": (tool(description=[]), "tools.1.description"),
    "an unknown tool of the vendor's": (
        body(tools=[{"type": "computer_20250124", "name": "computer"}]),
        "tools.0.type",
    ),
    "only tools that the vendor runs": (
        body(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
        "tools",
    ),
    "an unknown choice": (body(tools=[READ], tool_choice={"type": "all"}), "tool_choice.type"),
    "a choice that is text": (body(tools=[READ], tool_choice="any"), "tool_choice"),
    "a choice without a name": (
        body(tools=[READ], tool_choice={"type": "tool"}),
        "tool_choice.name",
    ),
    "a choice that is not offered": (
        body(tools=[READ], tool_choice={"type": "tool", "name": "Write"}),
        "tool_choice.name",
    ),
    "a choice without tools": (body(tool_choice={"type": "any"}), "tool_choice"),
    "forced while thinking": (
        body(
            tools=[READ],
            tool_choice=FORCED,
            thinking={"type": "enabled", "budget_tokens": 1024},
            max_tokens=2000,
        ),
        "tool_choice",
    ),
    "forced where the answer must have a form": (
        body(
            tools=[READ],
            tool_choice=FORCED,
            output_config={"format": {"type": "json_schema", "schema": {}}},
        ),
        "tool_choice",
    ),
    "an unknown way to think": (body(thinking={"type": "hard"}), "thinking.type"),
    "a small budget": (
        body(thinking={"type": "enabled", "budget_tokens": 10}),
        "thinking.budget_tokens",
    ),
    "a budget above max_tokens": (
        body(thinking={"type": "enabled", "budget_tokens": 2048}),
        "max_tokens",
    ),
    "a stop sequence that is a number": (body(stop_sequences=["a", 1]), "stop_sequences.1"),
    "a blank stop sequence": (body(stop_sequences=["\n"]), "stop_sequences.0"),
    "stop sequences that are text": (body(stop_sequences="a"), "stop_sequences"),
    "a high temperature": (body(temperature=1.5), "temperature"),
    "a temperature that is text": (body(temperature="0"), "temperature"),
    "a top_p above 1": (body(top_p=2), "top_p"),
    "a top_k below 0": (body(top_k=-1), "top_k"),
    "a stream that is text": (body(stream="yes"), "stream"),
    "metadata that is text": (body(metadata="a"), "metadata"),
    "a user that is a number": (body(metadata={"user_id": 1}), "metadata.user_id"),
    "an unknown tier": (body(service_tier="gold"), "service_tier"),
    "an unknown format": (
        body(output_config={"format": {"type": "xml"}}),
        "output_config.format.type",
    ),
    "servers to connect to": (body(mcp_servers=[{"url": "http://x"}]), "mcp_servers"),
    "a conversation kept elsewhere": (body(thread={"id": "t"}), "thread"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_by_its_path(case: str) -> None:
    wrong, path = WRONG[case]
    with pytest.raises(Invalid) as refused:
        read_request(json.dumps(wrong).encode(), BLIND)
    assert str(refused.value).partition(": ")[0] == path
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b'"\\ud800"', b"[" * 100_000, b'{"max_tokens": 1e999}']
)
def test_what_is_no_json_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(Invalid, match="body: "):
        read_request(raw, BLIND)


def test_no_more_tokens_are_asked_for_than_the_context_has() -> None:
    assert request(max_tokens=2**70).max_tokens == BLIND.context


def test_counting_needs_no_max_tokens() -> None:
    raw = json.dumps(without("max_tokens")).encode()
    assert read_request(raw, BLIND, counting=True).request.max_tokens is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(sorted(WRONG)), st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_stands_anywhere_is_read_or_refused(case: str, data: st.DataObject) -> None:
    """Put any JSON in the place of any value: nothing else than a refusal may come of it."""
    changed = copy.deepcopy(WRONG[case][0])
    place: Any = changed
    while isinstance(place, dict | list) and place:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    with contextlib.suppress(Invalid):
        read_request(json.dumps(changed).encode(), BLIND)
