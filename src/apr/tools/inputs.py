"""A model's arguments to a tool's input: forgiving in form, strict in meaning."""

from typing import Any

import msgspec
from msgspec import Struct

from apr.tools.base import Tool, Verbatim, parameters
from apr.tools.errors import ToolError

SYNONYMS = (
    frozenset({"file_path", "path", "notebook_path"}),
    frozenset({"bash_id", "shell_id", "task_id"}),
)
"""Names that models give to one and the same field."""


def parse(tool: Tool[Any], given: dict[str, Any]) -> Struct:
    """Return the tool's input.

    `"5"` is 5 and `"true"` is True where the field asks for that, null is as good as nothing, and a
    field under the name that another tool has for it is taken.

    Raises:
        ToolError: it is no input of this tool; the message says which field is wrong and what the
            tool takes.
    """
    if not _is_text(given):
        raise ToolError(f"{tool.name}: the input holds half a character (a lone surrogate).")
    if tool.Input is Verbatim:
        return _verbatim(tool, given)
    fields = frozenset(tool.Input.__struct_encode_fields__)
    present = {name: value for name, value in given.items() if value is not None}
    renamed = {_field(name, fields, present): present[name] for name in present}
    try:
        call: Struct = msgspec.convert(renamed, tool.Input, strict=False)
    except msgspec.ValidationError as error:
        takes = _takes(parameters(tool))
        raise ToolError(f"{tool.name}: {_wrong(str(error))}. It takes {takes}.") from None
    return call


def _verbatim(tool: Tool[Any], given: dict[str, Any]) -> Verbatim:
    """Return the input as it is; what is right beyond its fields is for others to say."""
    schema = parameters(tool)
    missing = [name for name in schema["required"] if name not in given]
    if missing:
        lacks = f"it lacks the required field `{missing[0]}`"
        raise ToolError(f"{tool.name}: {lacks}. It takes {_takes(schema)}.")
    return Verbatim(given)


def _is_text(given: dict[str, Any]) -> bool:
    """Return whether the names and values can be written down; JSON's escapes allow what cannot."""
    try:
        "".join([*given, *(value for value in given.values() if isinstance(value, str))]).encode()
    except UnicodeEncodeError:
        return False
    return True


def _field(name: str, fields: frozenset[str], present: dict[str, Any]) -> str:
    """Return the field that is meant by a name."""
    if name in fields:
        return name
    for synonyms in SYNONYMS:
        meant = [other for other in synonyms & fields if other not in present]
        if name in synonyms and len(meant) == 1:
            return meant[0]
    return name


def _wrong(message: str) -> str:
    """Put msgspec's `Expected `int`, got `str` - at `$.offset`` in order."""
    what, _, where = message.partition(" - at ")
    what = what.removeprefix("Object ").replace("contains ", "").replace("missing", "it lacks the")
    what = what[0].lower() + what[1:]
    return f"{where.replace('$.', '')}: {what}" if where else what


def _takes(schema: dict[str, Any]) -> str:
    """List the fields: `file_path (string, required), offset (integer)`."""
    fields = []
    for name, field in schema["properties"].items():
        kind = "|".join(map(str, field["enum"])) if "enum" in field else field.get("type", "any")
        fields.append(f"{name} ({kind}{', required' if name in schema['required'] else ''})")
    return ", ".join(fields)
