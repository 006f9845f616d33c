"""Where in the text of a JSON file a value stands. Used only to say what is wrong with a file."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder(strict=False)


def line_of(text: str, path: Sequence[str | int]) -> int:
    """Return the line, from 1, of the value at `path`, or of the nearest one above that exists.

    Args:
        text: valid JSON.
        path: keys of objects and indices of arrays, from the outside in.
    """
    at = _skip(text, 0)
    for step in path:
        found = [place for key, place in _members(text, at) if key == step]
        if not found:
            break
        at = found[-1]  # of a key that is there twice, the last counts
    return text.count("\n", 0, at) + 1


def _members(text: str, at: int) -> Iterator[tuple[str | int, int]]:
    """Yield the members of the object or array at `at`: key or index, and where the value is."""
    opening, index = text[at], 0
    if opening not in "{[":
        return
    at = _skip(text, at + 1)
    while text[at] not in "}]":
        key: Any = index
        if opening == "{":
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)  # past the colon
        yield key, at
        at = _skip(text, _DECODER.raw_decode(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
