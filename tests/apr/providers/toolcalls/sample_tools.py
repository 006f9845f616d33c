"""Tools as an agent offers them, and a shorthand for reading a whole output."""

from typing import Any

from apr.providers.base import ToolSpec
from apr.providers.toolcalls.pieces import Call, Piece, Text, Thinking
from apr.providers.toolcalls.stream import Parser

STRING = {"type": "string"}


def tool(name: str, required: list[str], **properties: Any) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": required}
    return ToolSpec(name, f"The {name} tool.", schema)


READ = tool(
    "Read", ["file_path"], file_path=STRING, offset={"type": "integer"}, limit={"type": "integer"}
)
WRITE = tool("Write", ["file_path", "content"], file_path=STRING, content=STRING)
EDIT = tool(
    "Edit",
    ["file_path", "old_string", "new_string"],
    file_path=STRING,
    old_string=STRING,
    new_string=STRING,
    replace_all={"type": "boolean"},
)
BASH = tool("Bash", ["command"], command=STRING, timeout={"type": "number"})
LIST = tool("List", [])
TODO = tool(
    "Todo",
    ["items"],
    items={"type": "array", "items": STRING},
    options={"type": "object"},
    note={"anyOf": [{"type": "string"}, {"type": "null"}]},
)
TOOLS = (READ, WRITE, EDIT, BASH, LIST, TODO)


def read(output: str, *, cut: bool = False, tools: tuple[ToolSpec, ...] = TOOLS) -> list[Piece]:
    """Return the pieces of an output."""
    parser = Parser(tools)
    parser.feed(output)
    return parser.finish(cut=cut).pieces


def calls(output: str, *, cut: bool = False) -> list[Call]:
    """Return the calls of an output."""
    return [piece for piece in read(output, cut=cut) if isinstance(piece, Call)]


def good(output: str, *, cut: bool = False) -> list[tuple[str, dict[str, Any]]]:
    """Return name and input of each call, all of which must be fit to run."""
    found = calls(output, cut=cut)
    assert [call.reason for call in found if call.reason] == []
    return [(call.name, call.input) for call in found]


def refused(output: str, *, cut: bool = False) -> Call:
    """Return the one call of an output, which must not be fit to run."""
    (call,) = calls(output, cut=cut)
    assert call.reason
    return call


def text(output: str) -> str:
    """Return the text of the answer."""
    return "".join(piece.text for piece in read(output) if isinstance(piece, Text))


def thinking(output: str) -> list[str]:
    """Return the reasoning."""
    return [piece.text for piece in read(output) if isinstance(piece, Thinking)]
