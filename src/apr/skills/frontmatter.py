"""The head of a Markdown file: `key: value` lines between two lines of hyphens."""

import re

from apr.patterns import Pattern

Head = dict[str, str | list[str]]

_FRONTMATTER = Pattern(r"\A---[ \t]*\n(.*?)(?:^---[ \t]*(?:\n|\Z))", re.DOTALL | re.MULTILINE)
_KEY = Pattern(r"([A-Za-z][\w-]*)[ \t]*:(?:[ \t]+(.*)|[ \t]*)\Z")
_ITEM = Pattern(r"[ \t]*-[ \t]+(.*)")
_COMMENT = Pattern(r"(?:^|\s)# .*")
_BLOCKS = frozenset({"|", ">", "|-", ">-", "|+", ">+"})


def split(text: str) -> tuple[Head, str]:
    """Return the head and the rest of a text.

    People write colons, globs and brackets there without quotes, which YAML takes for something
    else or refuses; so lines are read as they are meant. A value may go on in indented lines, be a
    list of `- items`, or be a block behind `|` or `>`.
    """
    match = _FRONTMATTER.match(text)
    if match is None:
        return {}, text
    head: Head = {}
    key = ""
    for line in match[1].splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if found := _KEY.match(line):
            key = found[1].lower()
            value = (found[2] or "").strip()
            head[key] = "" if value in _BLOCKS else _value(value)
        elif key and (item := _ITEM.fullmatch(line)):
            before = head[key]
            items = before if isinstance(before, list) else [before] if before else []
            head[key] = [*items, _value(item[1].strip())]
        elif key and line[0] in " \t" and isinstance(before := head[key], str):
            head[key] = f"{before} {line.strip()}".strip()
    return head, text[match.end() :]


def text_in(head: Head, key: str) -> str:
    """Return a value as text; empty where there is none."""
    value = head.get(key, "")
    return ", ".join(value) if isinstance(value, list) else value


def truth_in(head: Head, key: str, default: bool) -> bool:
    """Return a value as yes or no."""
    value = text_in(head, key).lower()
    return value in {"true", "yes", "on", "1"} if value else default


def number_in(head: Head, key: str) -> int | None:
    """Return a value as a positive whole number; None where it is none."""
    value = text_in(head, key)
    return int(value) if value.isascii() and value.isdigit() and 0 < len(value) < 10 else None


def names_in(head: Head, key: str) -> tuple[str, ...] | None:
    """Return a list, or what stands between commas or spaces outside brackets; None: not there."""
    value = head.get(key)
    if value is None:
        return None
    if isinstance(value, str):
        inner = value[1:-1] if value[:1] == "[" and value[-1:] == "]" else value
        value = _items(inner)
    return tuple(name for name in (_value(one.strip()) for one in value) if name)


def _items(text: str) -> list[str]:
    items, depth = [""], 0
    for char in text:
        depth += (char in "({") - (char in ")}")
        if depth <= 0 and (char == "," or char.isspace()):
            items.append("")
        else:
            items[-1] += char
    return items


def _value(value: str) -> str:
    """Return a value without the quotes around it, or the comment behind it."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value if value[:1] in {"'", '"'} else _COMMENT.sub("", value)
