"""When do two shell commands say the same?

A command is parsed with a real grammar (tree-sitter-bash) and written out again as a flat tuple of
tokens from which everything without meaning is gone: white space, comments, the kind of quotes, a
trailing `;`, whether `;` or a newline parts two statements, the name of a heredoc's delimiter, the
place of a redirection among the arguments. What has meaning stays: an unquoted `*` is not a quoted
one, `"$x"` is not `$x`, the order of redirections, `&`.

Where a spelling could go either way the rule is strict: it may call two commands different that do
the same, never the reverse. A command that is not read in full is compared character by character.
"""

import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

MAX_BYTES = 1 << 20  # beyond this a "command" is data; parsing it would buy nothing
MAX_DEPTH = 150  # of the syntax tree; hostile nesting must not exhaust the stack

Tokens = tuple[str, ...]

_BLANK = re.compile(r"(?:\s|\\\r?\n)*")
_SEPARATORS = frozenset({";", "\n", "\r\n"})
_EXPANSIONS = frozenset(
    {"simple_expansion", "expansion", "command_substitution", "arithmetic_expansion"}
)
_WORDS = _EXPANSIONS | {
    "word",
    "number",
    "string",
    "raw_string",
    "ansi_c_string",
    "translated_string",
    "concatenation",
    "brace_expression",
    "process_substitution",
}
_PLAIN = re.compile(r"[\w./:=,@%+-]+")
_NOT_LETTERS = re.compile(rb"[^a-zA-Z0-9]+")
_DESCRIPTOR = re.compile(rb"(?:^|[\s;&|(])[0-9]+\Z")
# Where some letters or digits may have no meaning, and where it takes the grammar to say which.
_NEEDLESS = re.compile(rb"#|<<|[01][<>]")
_NEEDS_GRAMMAR = re.compile(rb"<<|[01][<>]|`|\$\(|\$\{|\(\(")
_IN_QUOTES = rb"""'[^']*'|"(?:\\.|[^"\\])*"|\\."""
_COMMENTS = re.compile(  # a word, which may hold a `#`, is kept; a comment is not
    rb"""((?:%b|[^\s;&|()<>'"\\#])(?:%b|[^\s;&|()<>'"\\])*)|#[^\n]*""" % (_IN_QUOTES, _IN_QUOTES),
    re.DOTALL,
)
_ROOT = "\ue000"  # stands for the working directory: to the grammar, a letter like any other
_HEREDOC_OPENERS = frozenset({"<<", "<<-"})
# The grammar's scanner looks characters up in C tables that end at 255: some beyond crash it. It is
# shown a mark in place of each such byte: like them part of a word, and never of a name.
_AS_ASCII = bytes(range(128)) + b"^" * 128
_IN_DOUBLE_QUOTES = re.compile(r'\\([$`"\\])|\\\r?\n')
_IN_WORD = re.compile(r"\\\r?\n|\\(.)|([*?~])|(.)", re.DOTALL)


class _UnreadError(Exception):
    """Part of the command is not in the tree, or the tree is too deep: no claim can be made."""


def canonical(command: str) -> Tokens | None:
    """Return the command's meaning as tokens, or None where the grammar does not read all of it.

    Two commands with equal tokens differ in spelling only. The text is never run or expanded.
    """
    source = command.encode("utf-8", "surrogatepass")
    return _canonical(source)[0]


def _canonical(source: bytes) -> tuple[Tokens | None, bytes]:
    """Return the tokens, and the source without comments and needless descriptors."""
    if len(source) > MAX_BYTES or (b"<<" in source and not source.isascii()):
        return None, source  # in ASCII two names of heredocs might look the same
    root = _parser().parse(source.translate(_AS_ASCII)).root_node
    if root.has_error:
        return None, source
    writer = _Writer(source)
    try:
        tokens = tuple(writer.statements(root, 0))
    except (_UnreadError, UnicodeDecodeError):  # a node may begin inside a character
        return None, source
    bare = source
    for start, end in sorted(writer.dropped, reverse=True):
        bare = bare[:start] + bare[end:]
    return tokens, bare


def meanings(commands: Collection[str]) -> dict[str, Tokens | str]:
    """Return for each command what it means: its tokens, or its own text where that will do.

    A command is parsed only if another one of the collection might mean the same, so the values are
    comparable with each other and not beyond the collection. Two commands that mean the same have
    the same letters and digits, but for comments, names of heredocs, and needless descriptors.
    """
    found: dict[str, Tokens | str] = {}
    namesakes: dict[bytes, list[str]] = {}
    contested: set[bytes] = set()
    for command in commands:
        source = command.encode("utf-8", "surrogatepass")
        if len(source) > MAX_BYTES:
            found[command] = command
        elif _NEEDS_GRAMMAR.search(source) and _NEEDLESS.search(source):
            tokens, bare = _canonical(source)
            found[command] = tokens or command
            contested.add(_letters(bare))
        else:
            namesakes.setdefault(_letters(source), []).append(command)
    for letters, group in namesakes.items():
        parse = len(group) > 1 or letters in contested
        for command in group:
            found[command] = (canonical(command) if parse else None) or command
    return found


def _letters(source: bytes) -> bytes:
    """Return letters and digits, sorted: a redirection may stand anywhere among the words."""
    if b"#" in source:
        source = _COMMENTS.sub(rb"\1", source)
    return bytes(sorted(_NOT_LETTERS.sub(b"", source)))


def with_root(command: str, roots: tuple[str, ...]) -> str:
    """Return the command with every spelling of the working directory replaced by one mark.

    `/home/a/p/x` run in `/home/a/p` and `/tmp/b/x` run in `/tmp/b` are one file of the project. A
    root whose name the shell would take apart (blanks, quotes) is left as it stands, and so is `/`.
    """
    for root in roots:
        if root in command and _PLAIN.fullmatch(root) and root != "/" and _ROOT not in command:
            bounded = rf"(?<![\w./:=,@%+-]){re.escape(root.rstrip('/'))}(?=$|[/\s'\";&|)])"
            command = re.sub(bounded, _ROOT, command)
    return command


@cache
def _parser() -> "Parser":
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


class _Writer:
    """Writes the tokens of one parsed command, and keeps which of its letters have no meaning."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.dropped: list[tuple[int, int]] = []

    def text(self, start: int, end: int) -> str:
        return self.source[start:end].decode("utf-8", "surrogatepass")

    def statements(self, node: "Node", depth: int) -> Iterator[str]:
        """Write any node that is not a word: its type, then its children, in brackets."""
        if depth > MAX_DEPTH:
            raise _UnreadError
        kind = node.type
        if kind == "comment":
            self.dropped.append((node.start_byte, node.end_byte))
            return
        if kind in _SEPARATORS:
            return
        if kind in _WORDS:
            yield from self.word(node, depth)
        elif kind == "command" or _is_redirected_command(node):
            yield from self.command(node, depth)
        elif kind == "file_redirect":
            yield from self.redirect(node, [], depth)
        elif kind == "heredoc_redirect":
            yield from self.heredoc(node, depth)
        elif not node.children:
            yield "." + self.text(node.start_byte, node.end_byte).strip()
        else:
            yield f"({kind}"
            for child in self.children(node):
                yield from self.statements(child, depth + 1)
            yield ")"

    def children(self, node: "Node") -> list["Node"]:
        """Return the children, having made sure that nothing but blanks lies between them."""
        at = node.start_byte
        found = node.children
        for child in found:
            self._must_be_blank(at, child.start_byte)
            at = max(at, child.end_byte)
        self._must_be_blank(at, node.end_byte)
        return found

    def _must_be_blank(self, start: int, end: int) -> None:
        if end > start and not _BLANK.fullmatch(self.text(start, end)):
            raise _UnreadError

    def command(self, node: "Node", depth: int) -> Iterator[str]:
        """Write a simple command: its words in order, then its redirections in order.

        The shell allows a redirection anywhere among the words, and means the same by it.
        """
        words: list[str] = []
        redirects: list[str] = []
        self._sort_out(node, words, redirects, depth)
        yield "(command"
        yield from words
        yield from redirects
        yield ")"

    def _sort_out(self, node: "Node", words: list[str], redirects: list[str], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _UnreadError
        for child in self.children(node):
            if child.type == "command":
                self._sort_out(child, words, redirects, depth + 1)
            elif child.type == "command_name":
                words.extend(self.statements(child.children[0], depth + 1))
            elif child.type == "file_redirect":
                redirects.extend(self.redirect(child, words, depth + 1))
            elif child.type.endswith("_redirect"):
                redirects.extend(self.statements(child, depth + 1))
            else:
                words.extend(self.statements(child, depth + 1))

    def redirect(self, node: "Node", words: list[str], depth: int) -> Iterator[str]:
        """Write `2>file`. The descriptor an operator has anyway is left out: `1>f` is `>f`.

        The grammar counts arguments after the target as the redirection's; they go to `words`.
        """
        descriptor, operator, target = "", "", None
        at = (0, 0)
        for child in self.children(node):
            if child.type == "file_descriptor":
                descriptor = self.text(child.start_byte, child.end_byte)
                at = child.start_byte, child.end_byte
            elif target is not None:
                words.extend(self.statements(child, depth + 1))
            elif operator:
                target = list(self.statements(child, depth + 1))
            else:
                operator = child.type
        before = self.source[max(node.start_byte - 8, 0) : node.start_byte]
        if not descriptor and _DESCRIPTOR.search(before):
            raise _UnreadError  # the grammar takes the `0` of `wc 0<f` for a word
        if descriptor == ("0" if operator.startswith("<") else "1"):
            descriptor = ""
            self.dropped.append(at)
        yield f"({descriptor}{operator}"
        yield from target or ()
        yield ")"

    def heredoc(self, node: "Node", depth: int) -> Iterator[str]:
        """Write a heredoc: its body, and whether it is expanded. The delimiter is but a name."""
        strip_tabs = quoted = False
        body = ""
        at = 0  # the end of what stands on the first line
        rest: list[str] = []
        for child in self.children(node):
            if child.type in _HEREDOC_OPENERS:
                strip_tabs = child.type == "<<-"
            elif child.type == "heredoc_end":
                body = self._heredoc_body(at, child.start_byte)
            elif child.type != "heredoc_body":
                at = child.end_byte
                if child.type == "heredoc_start":
                    quoted = any(c in "'\"\\" for c in self.text(child.start_byte, at))
                else:
                    rest.extend(self.statements(child, depth + 1))
        if strip_tabs:
            body = re.sub(r"^\t+", "", body, flags=re.MULTILINE)
        expanded = not quoted and any(c in body for c in "$`\\")
        yield "(heredoc-expanded" if expanded else "(heredoc"
        yield "=" + body
        yield from rest
        yield ")"

    def _heredoc_body(self, start: int, end: int) -> str:
        """Return the lines between. The grammar's own node leaves out blanks at their beginning."""
        blank, newline, body = self.text(start, end).partition("\n")
        if not newline or blank.strip():
            raise _UnreadError
        return body

    def word(self, node: "Node", depth: int) -> Iterator[str]:
        """Write a word: literal text in one piece, and around it what the shell acts on."""
        yield "(word"
        if node.type == "word" and _PLAIN.fullmatch(
            text := self.text(node.start_byte, node.end_byte)
        ):
            yield "=" + text
            yield ")"
            return
        literal: list[str] = []
        for mark, text in self.parts(node, depth):
            if mark == "=":
                literal.append(text)
                continue
            if literal:
                yield "=" + "".join(literal)
                literal.clear()
            yield mark + text
        if literal:
            yield "=" + "".join(literal)
        yield ")"

    def parts(self, node: "Node", depth: int) -> Iterator[tuple[str, str]]:
        """Yield (mark, text) pairs.

        The marks: `=` literal, `*` an active character, `$` and `"$` an expansion bare and in
        quotes, `!` as spelled.
        """
        if depth > MAX_DEPTH:
            raise _UnreadError
        text = self.text(node.start_byte, node.end_byte)
        kind = node.type
        if kind == "raw_string":
            yield "=", text[1:-1]
        elif kind == "string":
            yield from self.double_quoted(node, depth)
        elif kind in _EXPANSIONS:
            yield from self.expansion(node, "$", depth)
        elif text == "{}":  # what `find -exec` is given: to the shell these two are plain text
            yield "=", text
        elif kind not in {"word", "number", "concatenation"} or _has_unquoted_bracket(text):
            yield "!", text  # in braces and bracket globs, quoting a comma or dash means something
        elif kind == "concatenation":
            at = node.start_byte
            for child in node.children:
                if child.start_byte != at:
                    raise _UnreadError
                at = child.end_byte
                yield from self.parts(child, depth + 1)
        else:
            for escaped, active, plain in _IN_WORD.findall(text):
                yield ("*", active) if active else ("=", escaped or plain)

    def double_quoted(self, node: "Node", depth: int) -> Iterator[tuple[str, str]]:
        """Yield the parts of `"…"`. The grammar misplaces blanks here: a gap is literal text."""
        at, end = node.start_byte + 1, node.end_byte - 1
        yield "=", ""  # `""` is a word too
        for child in node.children:
            if child.type not in _EXPANSIONS:
                continue
            raw = self.source[child.start_byte : child.end_byte]
            start = child.start_byte + len(raw) - len(raw.lstrip())
            yield "=", _unescape(self.text(at, start))
            yield from self.expansion(child, '"$', depth)
            at = child.end_byte
        yield "=", _unescape(self.text(at, end))

    def expansion(self, node: "Node", mark: str, depth: int) -> Iterator[tuple[str, str]]:
        """Yield an expansion: `$x` is `${x}`, backticks are `$( )`, the rest is as spelled."""
        text = self.text(node.start_byte, node.end_byte).strip()
        names = [c for c in node.children if c.type.endswith("variable_name")]
        if node.type == "simple_expansion" and text.startswith("$"):
            yield mark, text[1:]
        elif node.type == "expansion" and names and text == "${" + _decoded(names[0]) + "}":
            yield mark, _decoded(names[0])
        elif node.type == "command_substitution" and not (text[0] == "`" and "\\" in text):
            inside = self.children(node)[1:-1]
            yield mark + "(", ""
            for child in inside:
                for token in self.statements(child, depth + 1):
                    yield "!", token
            yield mark + ")", ""
        else:
            yield mark + "!", text


def _is_redirected_command(node: "Node") -> bool:
    return node.type == "redirected_statement" and node.children[0].type == "command"


def _decoded(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "surrogatepass").strip()


def _unescape(text: str) -> str:
    return _IN_DOUBLE_QUOTES.sub(lambda found: found[1] or "", text)


def _has_unquoted_bracket(text: str) -> bool:
    bare = re.sub(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"", "", text, flags=re.DOTALL)
    return "{" in bare.replace("${", "") or "[" in bare
