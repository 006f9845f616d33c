"""What a tool's schema says about a call's input: the types of values, and what must be there.

Only what a model's *spelling* leaves open is settled here (`True` for true, `72.0` for 72). Whether
a value is acceptable is for the tool to say.
"""

from typing import Any

from apr.providers.base import ToolSpec
from apr.providers.toolcalls.repair import NotJSON, loads

_WORDS = {"true": True, "false": False}
_NULLS = frozenset({"null", "None"})


def read_text(text: str, tool: ToolSpec | None, key: str, *, is_json: bool = False) -> Any:
    """Return a value that stands as bare text, as in XML calls, as the type that the schema names.

    A string stays what it is, byte for byte, even where it looks like JSON; so does a value of
    which the schema says nothing, unless the call itself says that it `is_json`. What cannot be
    read as its type stays text too: the tool's own check then tells the model.
    """
    types = _types(tool, key)
    if "string" in types and not (is_json and text.strip() in _NULLS and "null" in types):
        return text
    if not types and not is_json:
        return text
    word = text.strip()
    if "boolean" in types and word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if word in _NULLS:
        return None
    try:
        value = loads(word)
    except NotJSON:
        return text
    return _whole(value) if "integer" in types else value


def read_json(value: Any, tool: ToolSpec | None, key: str) -> Any:
    """Return a value that came as JSON; numbers, booleans and lists lose quotes they are in."""
    types = _types(tool, key)
    if isinstance(value, str) and types and "string" not in types:
        return read_text(value, tool, key)
    return _whole(value) if "integer" in types else value


def problem(
    tool: ToolSpec | None, name: str, given: dict[str, Any], tools: list[str]
) -> str | None:
    """Return why the call cannot run, in words for the model, or None."""
    if tool is None:
        return f"There is no tool named {name!r}. The tools are: {', '.join(tools)}."
    missing = [key for key in tool.parameters.get("required") or () if key not in given]
    if not missing:
        return None
    names = " and ".join(f"`{key}`" for key in missing)
    return f"{name} was called without {names}. Call it again with {names} filled in."


def properties(tool: ToolSpec | None) -> dict[str, Any]:
    """Return the schemas of a tool's arguments by name."""
    return tool.parameters.get("properties") or {} if tool else {}


def _types(tool: ToolSpec | None, key: str) -> frozenset[str]:
    """Return the JSON types that the schema allows for `key`; empty where it does not say."""
    schema = properties(tool).get(key)
    if not isinstance(schema, dict):
        return frozenset()
    types: set[str] = set()
    for variant in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        named = variant.get("type", ())
        types.update([named] if isinstance(named, str) else named)
        if "type" not in variant and any(isinstance(v, str) for v in variant.get("enum", ())):
            types.add("string")
    return frozenset(types)


def _whole(value: Any) -> Any:
    """Return 72.0 as 72: some models write integers so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
