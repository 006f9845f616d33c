"""A text, looked for in all that was said and done in a session."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from apr.sessions.places import SessionError
from apr.sessions.stored import load
from ccpa.trace import AssistantTurn, Record, TextBlock, ToolResult, UserPrompt

_BEFORE, _AFTER = 40, 60
"""Characters around a text that are shown with it."""


def passage(path: Path, text: str) -> str | None:
    """Return what stands around a text in a session; None where it is not in it.

    Case does not count.

    Raises:
        SessionError: the session cannot be read.
    """
    wanted = text.casefold()
    if wanted.isascii() and not _mentions(path, wanted):
        return None
    for said in _texts(load(path).records):
        at = said.casefold().find(wanted)
        if at >= 0:
            return said[max(0, at - _BEFORE) : at + len(wanted) + _AFTER]
    return None


def _mentions(path: Path, wanted: str) -> bool:
    """Whether the file has the text at all: most have not, and are not read line by line."""
    try:
        return msgspec.json.encode(wanted)[1:-1].lower() in path.read_bytes().lower()
    except OSError as error:
        raise SessionError(f"cannot read the session {path}: {error.strerror}") from None


def _texts(records: Iterable[Record]) -> Iterator[str]:
    for record in records:
        match record:
            case UserPrompt(text=text):
                yield text
            case AssistantTurn(blocks=blocks):
                yield from (block.text for block in blocks if isinstance(block, TextBlock))
            case ToolResult(content=content):
                yield content
            case _:
                pass
