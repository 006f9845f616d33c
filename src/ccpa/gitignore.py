r"""Git's ignore rules, for walking a tree from the top: does this entry match, and what did it say?

`pathspec` takes a quarter of the time that `apr` may spend before its first request to import, and
treats bytes above 127 and some `**` otherwise than git does. The rules here are those of
gitignore(5) and of git's `wildmatch.c`; the tests hold them against real git.

A directory that is ignored is not entered, so a pattern only ever has to match an entry itself,
never something below it. Paths and patterns are bytes, as they are for git.
"""

import re
from typing import NamedTuple

_SPECIAL = re.compile(rb"[*?\[\\]")
_STARS = re.compile(rb"\*+")
_CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"!-~",
    b"lower": rb"a-z",
    b"print": rb" -~",
    b"punct": rb"!-/:-@\[-`{-~",
    b"space": rb" \t-\r",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}


class _Pattern(NamedTuple):
    regex: bytes
    negated: bool
    directories_only: bool
    whole_path: bool
    """Match the path below the ignore file's directory; otherwise the last component alone."""


class IgnoreRules:
    """The patterns of one ignore file. Paths given to it are relative to that file's directory."""

    def __init__(self, text: bytes) -> None:
        lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        patterns = [p for line in lines if (p := _parse(line.removesuffix(b"\r")))]
        self._for_files = _compile([p for p in patterns if not p.directories_only])
        self._for_directories = _compile(patterns)

    def ignores(self, path: bytes, *, is_directory: bool) -> bool | None:
        """Say if the entry is ignored (True), taken back in (False) or not mentioned (None)."""
        regex, negated = self._for_directories if is_directory else self._for_files
        # The patterns stand in reverse, because the last one that matches decides.
        if regex is None or (match := regex.match(path)) is None or match.lastindex is None:
            return None
        return not negated[match.lastindex - 1]

    def excludes(self, path: bytes) -> bool:
        """Say whether a file is ignored, or lies in a directory that is."""
        parts = path.split(b"/")
        above = (b"/".join(parts[:depth]) for depth in range(1, len(parts)))
        return any(self.ignores(directory, is_directory=True) for directory in above) or bool(
            self.ignores(path, is_directory=False)
        )


def _compile(patterns: list[_Pattern]) -> tuple[re.Pattern[bytes] | None, list[bool]]:
    if not patterns:
        return None, []
    # `(?>…)` because a path has only one last component to try.
    anchors = [b"" if pattern.whole_path else rb"(?>.*/)?" for pattern in patterns]
    alternatives = [
        b"(%s%s)" % (anchor, pattern.regex)
        for anchor, pattern in zip(anchors, patterns, strict=True)
    ]
    regex = re.compile(rb"(?:%s)\Z" % b"|".join(reversed(alternatives)), re.DOTALL)
    return regex, [pattern.negated for pattern in reversed(patterns)]


def _parse(line: bytes) -> _Pattern | None:
    if line.startswith(b"#"):
        return None
    text = _strip_trailing_spaces(line)
    negated = text.startswith(b"!")
    text = text.removeprefix(b"!")
    directories_only = text.endswith(b"/")
    text = text.removesuffix(b"/")
    whole_path = b"/" in text
    text = text.removeprefix(b"/")
    regex = _translate(text, whole_path=whole_path)
    return None if regex is None else _Pattern(regex, negated, directories_only, whole_path)


def _strip_trailing_spaces(line: bytes) -> bytes:
    kept = len(line.rstrip(b" "))
    backslashes = kept - len(line[:kept].rstrip(b"\\"))
    return line[: kept + (backslashes % 2 and kept < len(line))]


def _translate(glob: bytes, *, whole_path: bool) -> bytes | None:
    """Return the glob as a regular expression, or None where git would never match it."""
    special = _SPECIAL.search(glob)
    if not glob or special is None:
        return re.escape(glob) if glob else None
    sections = [[b""]]  # one after each `**/`, of parts: one after each `*`
    at = 0
    while at < len(glob):
        stars = _STARS.match(glob, at)
        if stars is None:
            piece = _translate_piece(glob, at)
            if piece is None:
                return None
            sections[-1][-1] += piece[0]
            at = piece[1]
            continue
        # Git matches the text before the first special character apart from the rest, so a `**`
        # right after it counts as standing at the start.
        starts = at == special.start() or glob[at - 1 : at] == b"/"
        deep = whole_path and len(stars[0]) > 1 and starts
        at = stars.end()
        if deep and glob[at : at + 1] == b"/":
            sections.append([rb"(?:[^/]*/)*?"])
            at += 1
        else:
            sections[-1].append(rb".*" if deep and at == len(glob) else rb"[^/]*?")
    return _assemble(sections)


def _assemble(sections: list[list[bytes]]) -> bytes:
    """Join the parts so that nothing is tried twice: a hostile pattern costs its length, no more.

    Everything that follows a star is an atomic group: the leftmost place where the text between two
    stars fits is as good as any other, and so are the leftmost directories for what stands between
    two `**`. Only the last part of all must be free to move, for it has to reach the end.
    """
    *early, last = sections
    closed = [b"(?>%s)" % _atomic(section) for section in early]
    return b"".join([*closed, _atomic(last[:-1]), last[-1]])


def _atomic(parts: list[bytes]) -> bytes:
    return b"".join(b"(?>%s)" % part if number else part for number, part in enumerate(parts))


def _translate_piece(glob: bytes, at: int) -> tuple[bytes, int] | None:
    """Translate what stands at `at`, no star; return it and its end, None if it is malformed."""
    char = glob[at : at + 1]
    if char == b"[":
        return _translate_bracket(glob, at)
    if char == b"?":
        return rb"[^/]", at + 1
    if char == b"\\":
        escaped = glob[at + 1 : at + 2]
        return (re.escape(escaped), at + 2) if escaped else None
    special = _SPECIAL.search(glob, at)
    end = special.start() if special else len(glob)
    return re.escape(glob[at:end]), end


def _translate_bracket(glob: bytes, at: int) -> tuple[bytes, int] | None:
    """Translate the bracket expression at `at`; return it and its end, None if it is malformed."""
    at += 1
    negated = glob[at : at + 1] in (b"!", b"^")
    at += negated
    members: list[bytes] = []
    previous = -1  # what a following `-` would make a range from
    first = True
    while first or glob[at : at + 1] != b"]":
        if at >= len(glob):
            return None
        first = False
        char = glob[at]
        closing = glob.find(b"]", at + 2) if glob[at : at + 2] == b"[:" else -1
        if char == ord("-") and previous >= 0 and glob[at + 1 : at + 2] not in (b"", b"]"):
            at += 1 + (glob[at + 1 : at + 2] == b"\\")
            if at >= len(glob):
                return None
            if previous <= glob[at]:
                members.append(rb"\x%02x-\x%02x" % (previous, glob[at]))
            previous = -1
        elif closing > at + 2 and glob[closing - 1 : closing] == b":":
            name = glob[at + 2 : closing - 1]
            if name not in _CLASSES:
                return None
            members.append(_CLASSES[name])
            previous = -1
            at = closing
        else:
            at += char == ord("\\")
            if at >= len(glob):
                return None
            previous = glob[at]
            members.append(rb"\x%02x" % previous)
        at += 1
    if not members:  # nothing is in it, or everything but nothing
        return (b"(?!/)." if negated else b"(?!)"), at + 1
    return rb"(?!/)[%s%s]" % (b"^" if negated else b"", b"".join(members)), at + 1
