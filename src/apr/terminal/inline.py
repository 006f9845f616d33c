"""What stands within a paragraph of Markdown: emphasis, code, links."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from apr.terminal.ink import Line
from apr.ui.terminal import plain

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_STYLES = {"em": "italic", "strong": "bold", "s": "strike", "link": "underline"}
CODE = "ansicyan"
_MARKERS = frozenset("*_`[]<~\\&!")
"""What may come to mean something by what follows."""


def inline(text: str) -> Line:
    r"""Return a paragraph's text in its styles; line ends stay, as `\n`."""
    if not _MARKERS.intersection(text) and "  \n" not in text:
        return [("", text)]
    line: Line = []
    styles: list[str] = []
    links: list[tuple[str, int]] = []
    for token in _children(text):
        match token.type:
            case "softbreak" | "hardbreak":
                line.append(("", "\n"))
            case "code_inline":
                line.append((_joined([*styles, CODE]), plain(token.content)))
            case "image":
                said = token.content or "image"
                line.append((_joined(styles), plain(f"{said} ({token.attrGet('src')})")))
            case "link_open":
                links.append((str(token.attrGet("href") or ""), len(line)))
                styles.append("underline")
            case "link_close":
                styles.pop()
                target, begin = links.pop()
                shown = "".join(text for _, text in line[begin:])
                if target.removeprefix("mailto:") != shown:
                    line.append(("dim", f" ({plain(target)})"))
            case kind if kind.endswith("_open"):
                styles.append(_STYLES.get(kind.removesuffix("_open"), ""))
            case kind if kind.endswith("_close"):
                styles.pop()
            case _:  # text; an entity may have become any character
                line.append((_joined(styles), plain(token.content)))
    return line


def sure(line: Line) -> int:
    """Return how many characters of a paragraph no further text can change, blanks not counted."""
    count = 0
    for style, text in line:
        literal = CODE not in style
        for char in text:
            if literal and char in _MARKERS:
                return count
            count += not char.isspace()
    return count


def _joined(styles: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(filter(None, styles)))


def _children(text: str) -> "list[Token]":
    (whole,) = _parser().parseInline(text)
    return whole.children or []


@lru_cache(maxsize=1)
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # 30 ms, when there is a mark to read

    return MarkdownIt("commonmark", {"html": False}).enable("strikethrough")
