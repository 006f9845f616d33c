"""A shell command taken apart, so that each part can be allowed or forbidden.

Uses the Bash grammar of tree-sitter. Where that reads a text otherwise than bash does, a command
could hide; so a text is only `certain` if it is made of constructs that both are known to read
alike, and that run nothing but the commands seen in it. Bash evaluates more than it looks: an array
index, an arithmetic operand and `${x@P}` all run what is in a variable's value. Such a text can
still be searched for what is forbidden, but no rule on its parts allows it.
"""

import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from tree_sitter import Node

_SAFE_TARGETS = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr"})
_COMMANDS = frozenset({"command", "declaration_command", "unset_command", "test_command"})
_PLAIN = frozenset(
    {
        "program", "list", "pipeline", "subshell", "negated_command", "redirected_statement",
        "if_statement", "elif_clause", "else_clause", "while_statement", "do_group",
        "command_name", "word", "number", "concatenation", "string", "string_content", "raw_string",
        "simple_expansion", "variable_name", "special_variable_name", "variable_assignment",
        "process_substitution", "file_descriptor", "unary_expression", "test_operator",
    }
) | _COMMANDS  # fmt: skip
"""What is read alike by the grammar and by bash; `_is_plain` has the cases that depend."""
# White space to the grammar, part of a word to bash.
_STRANGE_SPACE = re.compile(r"[^\S \t\n]")
# The grammar's scanner looks characters up in C tables that end at 255: some beyond crash it. It is
# shown a mark in place of each such byte: like them part of a word, and never of a name.
_AS_ASCII = bytes(range(128)) + b"^" * 128
_ESCAPES = re.compile(r"\$'(?:[^'\\]|\\[a-zA-Z0-9\\])*'")


class Parts(Struct, frozen=True):
    """The simple commands of a text, substitutions included, and the files it opens."""

    commands: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    bare: tuple[str, ...]
    """The commands that have variables set for them, without these: `X=1 rm y` is `rm y`."""
    certain: bool
    """Whether this is all that the text does. If not, there may be more."""


def dissect(command: str) -> Parts:
    """Take a command apart."""
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    source = command.encode()
    parser = Parser(Language(tree_sitter_bash.language()))
    root = parser.parse(source.translate(_AS_ASCII)).root_node
    certain = not root.has_error and not _STRANGE_SPACE.search(command)
    commands: list[str] = []
    bare: list[str] = []
    opened: dict[bool, list[str]] = {False: [], True: []}
    nodes = [root]
    while nodes:
        node = nodes.pop()
        nodes.extend(reversed(node.children))
        certain = certain and (not node.is_named or _is_plain(node, source))
        if node.type in _COMMANDS:
            commands.append(_text(node, source))
            name = node.child_by_field_name("name")
            if name is not None and name.start_byte > node.start_byte:
                bare.append(source[name.start_byte : node.end_byte].decode(errors="replace"))
        elif node.type == "variable_assignment":
            if node.parent is not None and node.parent.type != "command":
                commands.append(_text(node, source))
        elif node.type == "file_redirect":
            target = _opened(node, source)
            certain = certain and target is not None
            if target and target not in _SAFE_TARGETS:
                opened[_writes(node)].append(target)
    return Parts(tuple(commands), tuple(opened[False]), tuple(opened[True]), tuple(bare), certain)


def _is_plain(node: "Node", source: bytes) -> bool:
    """Whether bash is sure to read a node as the grammar does, leaving its children aside."""
    first = node.children[0].type if node.children else ""
    match node.type:
        case "ansi_c_string":  # `$'\t'`; where an escaped quote ends one is disputed
            is_name = node.parent is not None and node.parent.type == "command_name"
            return not is_name and _ESCAPES.fullmatch(_text(node, source)) is not None
        case "comment":  # behind a word, the grammar sees comments that bash does not
            before = source[: node.start_byte].rstrip(b" \t")
            return not before or (before.endswith(b"\n") and not before.endswith(b"\\\n"))
        case "command_substitution":  # backticks nest by rules of their own
            return first == "$("
        case "compound_statement":  # `((` is arithmetic
            return first == "{"
        case "expansion":
            return [child.type for child in node.children] == ["${", "variable_name", "}"]
        case "for_statement":  # names such as PATH mean something to what is run
            variable = node.child_by_field_name("variable")
            return variable is not None and _text(variable, source).islower()
        case "file_redirect":  # `{x}>file` sets a variable
            return not source[: node.start_byte].endswith(b"}")
        case _:
            return node.type in _PLAIN


def _writes(redirect: "Node") -> bool:
    return ">" in _operator(redirect)


def _operator(redirect: "Node") -> str:
    return next((child.type for child in redirect.children if not child.is_named), "")


def _opened(redirect: "Node", source: bytes) -> str | None:
    """Return the file a redirection opens: "" for none, None where its name is computed."""
    destination = redirect.child_by_field_name("destination")
    if destination is None:
        return ""
    if _operator(redirect).endswith("&") and destination.type == "number":
        return ""
    match destination.type:
        case "word" | "number":
            text = _text(destination, source)
            return None if set(text) & set("*?[{~\\") else text
        case "raw_string":
            return _text(destination, source)[1:-1]
        case "string" if all(c.type in {'"', "string_content"} for c in destination.children):
            text = _text(destination, source)[1:-1]
            return None if "\\" in text else text
    return None


def _text(node: "Node", source: bytes) -> str:
    # A node may begin inside a character; whatever it then says, it is no name of a rule's.
    return source[node.start_byte : node.end_byte].decode(errors="replace")
