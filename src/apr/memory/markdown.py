"""What in an instruction file is text, and what is code or a comment. Pure."""

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from apr.patterns import Pattern

Kind = Literal["code", "comment"]

_OPENING = Pattern(r"(?m)^ {0,3}(?P<fence>`{3,}|~{3,})|(?P<run>`+)|(?P<comment><!--)")
_IMPORT = Pattern(r"(?<!\S)@((?:\\ |[^\s\\`])+)")
_TRAILING = ".,;:!?)]}>'\"*_"
_FRONTMATTER = Pattern(r"---[ \t]*\n(.*?\n)?---[ \t]*(?:\n|\Z)", re.DOTALL)
_LONGEST_IMPORT = 1024
_LONGEST_RUN = 32
"""Backticks in a row that can still begin a code span; more are none to us."""


class Span(Struct, frozen=True):
    """Part of a text that is no prose: from `start` up to `end`."""

    start: int
    end: int
    kind: Kind


def spans(text: str) -> Iterator[Span]:
    """Yield fenced code, code spans and HTML comments, in order; they do not overlap.

    What is never closed is no code span and no comment; a fence that is not reaches to the end.
    """
    at = limit = 0
    unclosed: set[tuple[int, int]] = set()
    comments = True
    while match := _OPENING.search(text, at):
        at = match.end()
        end: int | None = None
        if match["fence"]:
            end = _fence_end(text, match)
        elif match["run"]:
            length = len(match["run"])
            limit = limit if at <= limit else _paragraph_end(text, at)
            if length <= _LONGEST_RUN and (length, limit) not in unclosed:
                end = _run_end(text, length, at, limit)
                if end is None:
                    unclosed.add((length, limit))
        elif comments:
            found = text.find("-->", at)
            comments = found >= 0
            end = found + 3 if comments else None
        if end is not None:
            yield Span(match.start(), end, "comment" if match["comment"] else "code")
            at = end


def imports(text: str) -> list[str]:
    r"""Return the paths that a text imports with `@path`, in order, each once.

    A path begins after white space, and ends before it (`\ ` is a space in it) or before the
    punctuation of the sentence. What stands in code or in a comment imports nothing.
    """
    prose = _masked(text)
    found = (match[1] for match in _IMPORT.finditer(prose))
    paths = (one.rstrip(_TRAILING).replace("\\ ", " ") for one in found)
    return list(dict.fromkeys(path for path in paths if 0 < len(path) <= _LONGEST_IMPORT))


def uncommented(text: str) -> str:
    """Return the text without the comments that begin a line, which are for people to read."""
    pieces, at = [], 0
    for span in spans(text):
        if span.kind != "comment":
            continue
        line = text.rfind("\n", max(span.start - 4, 0), span.start) + 1  # up to three spaces
        begins = line > 0 or span.start <= 3
        if begins and not text[line : span.start].strip() and line >= at:
            pieces.append(text[at:line])
            at = span.end
            if text.startswith("\n", at):
                at += 1
    return "".join(pieces) + text[at:]


def frontmatter(text: str) -> tuple[tuple[str, ...], str]:
    """Return the `paths` of a rule, and its text without the frontmatter.

    People write globs without quotes there, which YAML takes for aliases; so lists, lists in
    brackets and comma-separated values are read as they are meant.
    """
    match = _FRONTMATTER.match(text)
    if match is None:
        return (), text
    paths: list[str] = []
    inside = False
    for line in (match[1] or "").splitlines():
        if key := re.match(r"([\w-]+)\s*:(.*)", line):
            inside = key[1] == "paths"
            if inside:
                paths += _items(key[2])
        elif inside and (item := re.match(r"\s*-\s+(.*)", line)):
            paths += _items(item[1])
    return tuple(paths), text[match.end() :]


def _items(text: str) -> list[str]:
    text = re.sub(r"(?:^|\s)#.*", "", text).strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    items, depth = [""], 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if char == "," and depth <= 0:
            items.append("")
        else:
            items[-1] += char
    return [item for item in (one.strip().strip("'\"") for one in items) if item]


def _masked(text: str) -> str:
    """Return the text with code and comments taken out."""
    pieces, at = [], 0
    for span in spans(text):
        # A tick ends a path, and an `@` right behind it begins none.
        pieces += [text[at : span.start], "`"]
        at = span.end
    return "".join(pieces) + text[at:]


def _fence_end(text: str, opening: re.Match[str]) -> int:
    mark = opening["fence"]
    closing = re.compile(rf"(?m)^ {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$")
    match = closing.search(text, opening.end())
    return match.end() if match else len(text)


def _run_end(text: str, length: int, at: int, limit: int) -> int | None:
    match = re.compile(rf"(?<!`)`{{{length}}}(?!`)").search(text, at, limit)
    return match.end() if match else None


def _paragraph_end(text: str, at: int) -> int:
    end = text.find("\n\n", at)
    return end if end >= 0 else len(text)
