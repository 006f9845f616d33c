"""File name patterns, as ripgrep and gitignore understand them.

`*` and `?` stop at a `/`, `**` does not, `[a-z]` and `{a,b}` choose. The regular expressions never
back up over a choice that was right, so that no pattern makes matching slow.
"""

import re

from apr.tools.errors import ToolError

_ALTERNATIVES = 200
"""Patterns that the braces of one may stand for."""
_MAGIC = re.compile(r"[*?\[{\\]")
_FOLDERS = "(?:[^/]+/)"


def split(pattern: str) -> tuple[str, str]:
    """Return the folder a pattern names before anything is open, and the pattern inside it.

    The folder is `""` where the pattern names none. The file's name stays part of the pattern.
    """
    parts = pattern.split("/")
    count = 0
    while count < len(parts) - 1 and not _MAGIC.search(parts[count]):
        count += 1
    folder = "/".join(parts[:count]) or ("/" if count else "")
    return folder, "/".join(parts[count:])


def compiled(pattern: str, *, anywhere: bool) -> re.Pattern[str]:
    """Return the expression that fully matches the relative paths that the pattern means.

    Raises:
        ToolError: its braces stand for too many patterns.
    """
    if pattern.endswith("/"):
        pattern += "**"
    if anywhere:
        pattern = f"**/{pattern}"
    return re.compile("|".join(_path(one) for one in _alternatives(pattern)), re.DOTALL)


def _alternatives(pattern: str) -> list[str]:
    """Write out the braces, innermost first."""
    done, todo = [], [pattern]
    while todo:
        one = todo.pop()
        match = re.search(r"(?<!\\)\{([^{}]*)\}", one)
        if match is None:
            done.append(one)
        else:
            head, tail = one[: match.start()], one[match.end() :]
            todo.extend(head + choice + tail for choice in match[1].split(","))
        if len(done) + len(todo) > _ALTERNATIVES:
            raise ToolError(
                f"the braces of the pattern stand for more than {_ALTERNATIVES} patterns"
            )
    return done


def _path(pattern: str) -> str:
    """Return the expression of a pattern without braces."""
    groups: list[list[str]] = [[]]
    for part in pattern.split("/"):
        if part == "**":
            groups.append([])
        elif part not in ("", "."):
            groups[-1].append(_name(part))
    groups[-1] = groups[-1] or ["[^/]+"]  # a `**` at the end: any file below
    texts = ["".join(f"{name}/" for name in group) for group in groups[:-1]]
    return _gaps([*texts, "/".join(groups[-1])], _FOLDERS)


def _name(pattern: str) -> str:
    """Return the expression of one part of a path."""
    pieces = [""]
    for item in re.findall(r"\\.|\[[!^]?\]?[^\]]*\]|\*+|.", pattern, re.DOTALL):
        if item[0] == "*":
            pieces.append("")
        else:
            pieces[-1] += _item(item)
    return _gaps(pieces, "[^/]")


def _item(item: str) -> str:
    if item == "?":
        return "[^/]"
    if item[0] == "[" and len(item) > 1:
        inside = item[1:-1]
        negated = inside[0] in "!^"
        inside = re.sub(r"([\\\[\]&~|^])", r"\\\1", inside[1:] if negated else inside)
        expression = f"[^/{inside}]" if negated else f"(?!/)[{inside}]"
        try:
            re.compile(expression)
        except re.error:  # a range that runs backwards
            return re.escape(item)
        return expression
    return re.escape(item[-1])


def _gaps(pieces: list[str], gap: str) -> str:
    """Join pieces with repetitions of `gap`.

    The earliest place for a piece between two gaps is always good enough, so it is taken for good.
    """
    if len(pieces) == 1:
        return pieces[0]
    between = "".join(f"(?>{gap}*?{piece})" for piece in pieces[1:-1])
    return f"{pieces[0]}{between}{gap}*{pieces[-1]}"
