"""The tools of a Messages request -> the tools that the model sees.

Tools come in three kinds. A custom one brings its schema. Of some the vendor's models know the
schema (`bash_…`, `text_editor_…`, `memory_…`): the client runs them as well, so a model here is
given a schema for them. Tools that the vendor's service runs (`web_search_…`) cannot be here.
"""

import re
from typing import Any

from apr.providers.base import ToolSpec
from apr.serve.messages_errors import Invalid, items, read, shown
from apr.serve.messages_schema import BuiltInTool, CustomTool

_DATED = re.compile(r"(\w+?)_?([0-9]{8})")
_SERVER_RUN = frozenset(
    {
        "advisor", "code_execution", "tool_search_tool_bm25", "tool_search_tool_regex",
        "web_fetch", "web_search",
    }
)  # fmt: skip
_NO_UNDO = "20250429"
"""From this version on the text editor cannot undo, and has another name."""

DEEPEST_SCHEMA = 64
_KEYWORDS: dict[str, Any] = {
    "type": str | list[str],
    "description": str,
    "enum": list[Any],
    "required": list[str] | None,
    "properties": dict[str, Any] | None,
    "$defs": dict[str, Any],
    "definitions": dict[str, Any],
    "anyOf": list[Any],
    "oneOf": list[Any],
    "allOf": list[Any],
}

_PATH = {"type": "string", "description": "Absolute path of a file or directory."}
_LINES = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "First and last line to show, counted from 1; -1 is the end of the file.",
}


def _string(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


_OLD = _string("Text to replace, exactly as it stands in the file, and only once.")
_NEW = _string("Text to put in its place.")
_INSERT_LINE = {
    "type": "integer",
    "description": "The text is inserted behind this line; 0 is the top.",
}


def read_tools(tools: Any, path: str = "tools") -> tuple[tuple[ToolSpec, ...], tuple[str, ...]]:
    """Return the tools that the model sees, and the types of those that were left out.

    Raises:
        Invalid: one is not as it must be, or none is left.
    """
    seen: dict[str, ToolSpec] = {}
    left_out = []
    for tool, place in items(tools, path):
        if not isinstance(tool, dict):
            raise Invalid(place, f"Expected `object`, got {shown(tool)}")
        kind = tool.get("type")
        spec = _custom(tool, place) if kind in (None, "custom") else _built_in(tool, place)
        if spec is None:
            left_out.append(str(kind))
        elif spec.name in seen:
            raise Invalid(f"{place}.name", f"Tool names must be unique, and {spec.name} is not")
        else:
            seen[spec.name] = spec
    if left_out and not seen:
        raise Invalid(
            path, f"{left_out[0]} would be run by the vendor's service. Offer tools of your own."
        )
    return tuple(seen.values()), tuple(left_out)


def _custom(tool: dict[str, Any], path: str) -> ToolSpec:
    custom = read(tool, CustomTool, path)
    schema, place = custom.input_schema, f"{path}.input_schema"
    if schema.get("type") != "object":
        problem = "Field required" if "type" not in schema else "Input should be 'object'"
        raise Invalid(f"{place}.type", problem)
    _check_schema(schema, place)
    return ToolSpec(custom.name, custom.description or "", schema)


def _check_schema(schema: Any, path: str, depth: int = 0) -> None:
    """Check as much of a JSON Schema as the templates of models print.

    Raises:
        Invalid: it is none, or nested too deeply.
    """
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise Invalid(path, f"Expected a JSON Schema, got {shown(schema)}")
    if depth > DEEPEST_SCHEMA:
        raise Invalid(path, f"More than {DEEPEST_SCHEMA} levels of nesting")
    for keyword, kind in _KEYWORDS.items():
        if keyword in schema:
            read(schema[keyword], kind, f"{path}.{keyword}")
    for keyword in ("properties", "$defs", "definitions"):
        for name, part in (schema.get(keyword) or {}).items():
            _check_schema(part, f"{path}.{keyword}.{name}", depth + 1)
    for keyword in ("anyOf", "oneOf", "allOf"):
        for index, part in enumerate(schema.get(keyword) or ()):
            _check_schema(part, f"{path}.{keyword}.{index}", depth + 1)
    if "items" in schema:
        _check_schema(schema["items"], f"{path}.items", depth + 1)


def _built_in(tool: dict[str, Any], path: str) -> ToolSpec | None:
    """Return a tool that the vendor describes, None if the vendor runs it."""
    kind = read(tool, BuiltInTool, path).type
    dated = _DATED.fullmatch(kind)
    family, version = (dated[1], dated[2]) if dated else (kind, "")
    if family in _SERVER_RUN:
        return None
    match family:
        case "bash":
            return _bash()
        case "text_editor":
            return _text_editor(undo=version < _NO_UNDO)
        case "memory":
            return _memory()
    raise Invalid(
        f"{path}.type",
        f"{shown(kind)} is a tool that a model here cannot use. Describe it as a custom tool.",
    )


def _spec(name: str, description: str, required: list[str], **properties: Any) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": required}
    return ToolSpec(name, description, schema)


def _bash() -> ToolSpec:
    return _spec(
        "bash",
        "Run a command in a shell that stays open between calls. Give `command`, or `restart` "
        "alone to begin with a fresh shell.",
        [],
        command=_string("The command."),
        restart={"type": "boolean", "description": "Begin with a fresh shell."},
    )


def _text_editor(*, undo: bool) -> ToolSpec:
    commands = ["view", "create", "str_replace", "insert", *(["undo_edit"] if undo else [])]
    inserted = "new_str" if undo else "insert_text"
    return _spec(
        "str_replace_editor" if undo else "str_replace_based_edit_tool",
        "View, create and edit text files.",
        ["command", "path"],
        command={"type": "string", "enum": commands},
        path=_PATH,
        view_range=_LINES,
        file_text=_string("For create: the whole text of the file."),
        old_str=_OLD,
        new_str=_NEW,
        insert_line=_INSERT_LINE,
        **({} if undo else {inserted: _string("For insert: the text.")}),
    )


def _memory() -> ToolSpec:
    return _spec(
        "memory",
        "Notes that outlast this conversation: files under /memories. Look there before you begin, "
        "and write down there what a later conversation should know.",
        ["command"],
        command={
            "type": "string",
            "enum": ["view", "create", "str_replace", "insert", "delete", "rename"],
        },
        path=_PATH,
        view_range=_LINES,
        file_text=_string("For create: the whole text of the file."),
        old_str=_OLD,
        new_str=_NEW,
        insert_line=_INSERT_LINE,
        insert_text=_string("For insert: the text."),
        old_path=_string("For rename: the file's path."),
        new_path=_string("For rename: its new path."),
    )
