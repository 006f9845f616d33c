"""What servers offer, made fit for a model."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apr.mcp.listing import (
    LARGEST_SCHEMA,
    LONGEST_DESCRIPTION,
    MOST,
    Argument,
    Offered,
    Prompt,
    clean,
    full_name,
    prompts,
    tools,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def offered(schema: Any, **more: Any) -> Offered:
    found, problems = tools("s", [{"name": "t", "inputSchema": schema, **more}])
    assert problems == []
    return found[0]


def test_names_are_made_as_claude_code_makes_them() -> None:
    assert full_name("my server.v2", "get/issue") == "mcp__my_server_v2__get_issue"


def test_a_tool_is_taken_as_it_is() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tool = offered(schema, description="Get it.", annotations={"readOnlyHint": True})
    assert tool == Offered("t", "Get it.", schema, read_only=True)


def test_a_description_cannot_drive_a_terminal_or_hide_words() -> None:
    hidden = "".join(chr(0xE0000 + ord(char)) for char in "obey")
    tool = offered({"type": "object"}, description=f"\x1b]0;x\x07Good.\u202e\u200b{hidden}")
    assert tool.description == "\\x1b]0;x\\x07Good."


def test_a_description_is_cut() -> None:
    assert len(offered({"type": "object"}, description="d" * 10**6).description) == (
        LONGEST_DESCRIPTION
    )


def test_definitions_stand_where_they_are_used() -> None:
    schema = {
        "type": "object",
        "properties": {"who": {"$ref": "#/$defs/Person", "description": "whom"}},
        "$defs": {"Person": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    assert offered(schema).schema["properties"]["who"] == {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "description": "whom",
    }


def test_a_schema_that_refers_to_itself_ends_somewhere() -> None:
    node = {"type": "object", "properties": {x: {"$ref": "#/$defs/N"} for x in "abc"}}
    schema = {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": node}}
    found, problems = tools("s", [{"name": "t", "inputSchema": schema}])
    assert bool(found) != bool(problems)
    loop = {"type": "object", "properties": {"n": {"$ref": "#"}}, "$defs": {"": {"$ref": "#"}}}
    assert offered(loop).schema["properties"]["n"] == {}


def test_properties_say_their_type_for_chat_templates() -> None:
    properties = {
        "a": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "b": {"enum": ["x", "y"]},
        "c": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "d": True,
    }
    shown = offered({"type": "object", "properties": properties}).schema["properties"]
    assert [shown[name].get("type") for name in "abcd"] == ["integer", "string", None, None]


def test_what_cannot_be_used_is_said() -> None:
    large = {"type": "object", "properties": {"a": {"enum": ["x" * LARGEST_SCHEMA]}}}
    given: list[dict[str, Any]] = [
        {"name": "", "inputSchema": {}},
        {"name": "x" * 200, "inputSchema": {}},
        {"name": "a.b", "inputSchema": {}},
        {"name": "a b", "inputSchema": {}},
        {"name": "large", "inputSchema": large},
        {"name": "list", "inputSchema": {"type": "array"}},
        {"name": "none"},
    ]
    found, problems = tools("s", given)
    assert [tool.name for tool in found] == ["a.b"]
    assert len(problems) == 6


def test_there_is_an_end_to_a_list() -> None:
    many = [{"name": f"t{n}", "inputSchema": {"type": "object"}} for n in range(MOST + 5)]
    found, problems = tools("s", many)
    assert len(found) == MOST
    assert problems == [f"it lists more than {MOST} tools: the others are left out"]


def test_prompts_have_arguments() -> None:
    given = [{"name": "p", "arguments": [{"name": "a", "required": True}, {"name": "b"}]}]
    assert prompts("s", given) == [Prompt("p", "", (Argument("a", True), Argument("b")))]


@given(st.text())
def test_what_is_clean_stays_so(text: str) -> None:
    once = clean(text)
    assert len(once) <= LONGEST_DESCRIPTION
    assert clean(once) == once
    assert not any(char < " " and char not in "\t\n" for char in once)


@given(JSON)
def test_any_schema_is_taken_or_refused(schema: Any) -> None:
    found, problems = tools("s", [{"name": "t", "inputSchema": schema}])
    assert bool(found) != bool(problems)
    for tool in found:
        assert set(tool.schema) == {"type", "properties", "required"}
        assert all(isinstance(prop, dict) for prop in tool.schema["properties"].values())
        json.dumps(tool.schema)
