"""A shell command taken apart, so that each part can be allowed or forbidden.

Uses the Bash grammar of tree-sitter. Where that reads a text otherwise than bash does, a command
could hide; so a text is only `certain` if it is made of constructs that both are known to read
alike, and that run nothing but the commands seen in it. Bash evaluates more than it looks: an array
index, an arithmetic operand and `${x@P}` all run what is in a variable's value. Such a text can
still be searched for what is forbidden, but no rule on its parts allows it.
"""

import os
import re
from functools import lru_cache
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


class Simple(Struct, frozen=True):
    """One simple command."""

    text: str
    """As it is written, with the variables that are set for it."""
    words: tuple[str | None, ...] = ()
    """Program and arguments as bash takes them; None where only bash can tell."""
    starts: tuple[int, ...] = ()
    """Where each word begins in the text."""
    assigned: tuple[str, ...] = ()
    """What is set for it: `NAME=value`, as it is written."""

    def behind(self, index: int) -> "Simple":
        """Return what stands from a word on, as a command of its own."""
        start = self.starts[index]
        moved = tuple(at - start for at in self.starts[index:])
        return Simple(self.text[start:], self.words[index:], moved)

    def written(self, index: int) -> str:
        """Return a word as it is written."""
        end = self.starts[index + 1] if index + 1 < len(self.starts) else None
        return self.text[self.starts[index] : end].rstrip()


class Parts(Struct, frozen=True):
    """The simple commands of a text, substitutions included, and the files it opens."""

    commands: tuple[Simple, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    certain: bool
    """Whether this is all that the text does. If not, there may be more."""
    inputs: tuple[str, ...] = ()
    """Texts that it hands to commands on their standard input."""


@lru_cache(maxsize=64)
def dissect(command: str) -> Parts:
    """Take a command apart."""
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    source = command.encode()
    parser = Parser(Language(tree_sitter_bash.language()))
    root = parser.parse(source.translate(_AS_ASCII)).root_node
    certain = not root.has_error and not _STRANGE_SPACE.search(command)
    commands: list[Simple] = []
    inputs: list[str] = []
    opened: dict[bool, list[str]] = {False: [], True: []}
    nodes = [root]
    while nodes:
        node = nodes.pop()
        nodes.extend(reversed(node.children))
        certain = certain and (not node.is_named or _is_plain(node, source))
        if node.type in _COMMANDS:
            commands.append(_simple(node, source))
        elif node.type == "variable_assignment":
            if node.parent is not None and node.parent.type != "command":
                commands.append(Simple(_text(node, source)))
        elif node.type == "heredoc_body":
            inputs.append(_text(node, source))
        elif node.type == "herestring_redirect":
            inputs += filter(None, (_value(child, source) for child in node.named_children))
        elif node.type == "file_redirect":
            target = _opened(node, source)
            certain = certain and target is not None
            if target and target not in _SAFE_TARGETS:
                opened[_writes(node)].append(target)
    reads, writes = tuple(opened[False]), tuple(opened[True])
    return Parts(tuple(commands), reads, writes, certain, tuple(inputs))


def _simple(node: "Node", source: bytes) -> Simple:
    words: list[str | None] = []
    starts: list[int] = []
    assigned: list[str] = []
    begin = node.start_byte
    for child in node.children if node.type == "command" else ():
        if child.type == "variable_assignment":
            assigned.append(_text(child, source))
        elif not child.type.endswith("redirect"):
            words.append(_value(child, source))
            starts.append(len(source[begin : child.start_byte].decode(errors="replace")))
    return Simple(_text(node, source), tuple(words), tuple(starts), tuple(assigned))


def _value(node: "Node", source: bytes) -> str | None:
    """Return the word that bash makes of this, None where that depends on more than the text."""
    text = _text(node, source)
    match node.type:
        case "command_name":
            return _value(node.children[0], source) if node.children else text
        case "number":
            return text
        case "word":
            plain = re.sub(r"\\.", "", text, flags=re.DOTALL)
            if set(plain) & set("*?[{"):
                return None
            word = re.sub(r"\\(.)", r"\1", text.replace("\\\n", ""), flags=re.DOTALL)
            return os.path.expanduser(word) if plain.startswith("~") else word  # noqa: PTH111
        case "raw_string":
            return text[1:-1]
        case "ansi_c_string":
            return _unescaped(text[2:-1])
        case "string" if all(c.type in {'"', "string_content"} for c in node.children):
            return re.sub(r'\\([$`"\\])', r"\1", text[1:-1].replace("\\\n", ""))
        case "concatenation":
            values = [_value(child, source) for child in node.children]
            known = [value for value in values if value is not None]
            return "".join(known) if len(known) == len(values) else None
    return None


def _unescaped(text: str) -> str | None:
    try:
        return text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        return None


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
