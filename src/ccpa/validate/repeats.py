"""Does a key stand twice in an object? JSON decoders keep the last one and say nothing.

Almost no line has such a key, and looking at each in Python would cost more than all other checks
together. So the question is first answered by counting, in C and for many lines at once: what a
decoder read is encoded again, and if both texts have the same number of keys, none was dropped.
"""

import json
import re
from collections import Counter
from typing import Any, NoReturn

_SPACE_BEFORE_COLON = re.compile(rb'"[ \t\r\n]+:')
_ESCAPED_QUOTE_OR_COLON = (b"\\u0022", b"\\u003a", b"\\u003A")
_BACKSLASH = ord("\\")
_MAX_DIGITS = 4000
"""Of an integer: Python reads no more than 4300, to bound the time that takes. The rest is dropped:
such a number is beyond every limit, whatever it is."""


def surely_none(written: bytes, again: bytes) -> bool:
    r"""Say whether counting shows that no object in `written` has a key twice.

    Args:
        written: JSON text, which a decoder accepted.
        again: what the decoder kept of it, encoded without spaces; optional members may be missing.

    What is counted is `":`. It ends a key, or stands in a string as `\":`, and a string that was
    kept has as many of it in both texts. So if the counts are equal, nothing was dropped, provided
    that `written` hides none by a space before the colon or by an escape. Where it might, or where
    the counts differ for another reason, the answer is False: it takes a closer look, `any_in`.
    """
    return (
        written.count(b'":') == again.count(b'":')
        and not any(escape in written for escape in _ESCAPED_QUOTE_OR_COLON)
        and not any(
            _ends_a_string(written, found.start())
            for found in _SPACE_BEFORE_COLON.finditer(written)
        )
    )


def _ends_a_string(text: bytes, quote: int) -> bool:
    """Say whether a quote is no part of a string: an even number of backslashes is before it."""
    start = quote
    while text[start - 1] == _BACKSLASH:
        start -= 1
    return (quote - start) % 2 == 0


class _Repeated(Exception):
    """A key stands twice in an object."""


class Object(dict[str, Any]):
    """An object that remembers which of its keys stood more than once."""

    repeated: tuple[str, ...] = ()


def any_in(line: bytes) -> bool:
    """Say whether an object of this line, which must be JSON, has a key twice.

    Raises:
        RecursionError: the line is nested too deeply to tell.
    """
    try:
        _checking.decode(line.decode())
    except _Repeated:
        return True
    return False


def decode(line: bytes) -> Any:
    """Return the line's JSON value, its objects as `Object`.

    Raises:
        ValueError: it is not JSON, or not UTF-8.
        RecursionError: it is nested too deeply.
    """
    return _recording.decode(line.decode())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Repeated
    return made


def _remember(pairs: list[tuple[str, Any]]) -> Object:
    made = Object(pairs)
    if len(made) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        made.repeated = tuple(key for key, count in counts.items() if count > 1)
    return made


def _integer(digits: str) -> int:
    return int(digits[:_MAX_DIGITS])


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant} is not a JSON number")


_options: dict[str, Any] = {"parse_int": _integer, "parse_constant": _refuse}
_checking = json.JSONDecoder(object_pairs_hook=_unique, **_options)
_recording = json.JSONDecoder(object_pairs_hook=_remember, **_options)
