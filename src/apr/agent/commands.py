"""A shell command taken apart, so that each part can be allowed or forbidden.

Uses the Bash grammar of tree-sitter. What the grammar cannot read, and what a reader of words
cannot judge (a file name that is computed), is reported as unreadable: no rule then allows it.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from tree_sitter import Node

_SAFE_TARGETS = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr"})


class Parts(Struct, frozen=True):
    """The simple commands of a text, substitutions included, and the files it writes to."""

    commands: tuple[str, ...]
    writes: tuple[str, ...]
    bare: tuple[str, ...]
    """The commands that have variables set for them, without these: `X=1 rm y` is `rm y`."""


def dissect(command: str) -> Parts | None:
    """Take a command apart; None where it cannot be read with certainty."""
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    source = command.encode()
    root = Parser(Language(tree_sitter_bash.language())).parse(source).root_node
    if root.has_error:
        return None
    commands: list[str] = []
    writes: list[str] = []
    bare: list[str] = []
    nodes = [root]
    while nodes:
        node = nodes.pop()
        nodes.extend(reversed(node.children))
        match node.type:
            case "command" | "declaration_command" | "unset_command" | "test_command":
                commands.append(_text(node))
                name = node.child_by_field_name("name")
                if name is not None and name.start_byte > node.start_byte:
                    bare.append(source[name.start_byte : node.end_byte].decode())
            case "variable_assignment" if node.parent is not None and node.parent.type != "command":
                commands.append(_text(node))
            case "function_definition":
                return None  # it could give any later word another meaning
            case "file_redirect":
                target = _written(node)
                if target is None:
                    return None
                if target and target not in _SAFE_TARGETS:
                    writes.append(target)
    return Parts(tuple(commands), tuple(writes), tuple(bare))


def _written(redirect: "Node") -> str | None:
    """Return the file a redirection writes: "" for none, None where its name is computed."""
    operator = next((c.type for c in redirect.children if not c.is_named), "")
    destination = redirect.child_by_field_name("destination")
    if ">" not in operator or destination is None:
        return ""
    if operator.endswith("&") and destination.type == "number":
        return ""
    match destination.type:
        case "word":
            text = _text(destination)
            return None if set(text) & set("*?[{~\\") else text
        case "raw_string":
            return _text(destination)[1:-1]
        case "string" if all(c.type in {'"', "string_content"} for c in destination.children):
            text = _text(destination)[1:-1]
            return None if "\\" in text else text
    return None


def _text(node: "Node") -> str:
    return (node.text or b"").decode(errors="surrogateescape")
