r"""JSON as models write it.

Accepted beyond the standard: raw control characters in strings, backslashes that escape nothing
(`"\d+"`), single quotes, trailing commas, `True`/`False`/`None`, and closing brackets missing at
the very end. Never guessed: where a string ends. A text with an unescaped quote stays an error,
because running a guess is worse than asking again.
"""

import math
from typing import Any

import msgspec

from apr.patterns import Pattern

DEEPEST = 100

_BLANKS = Pattern(r"[ \t\r\n]*")
_PLAIN = {'"': Pattern(r'[^"\\]*'), "'": Pattern(r"[^'\\]*")}
_BARE = Pattern(r"[-+.\w]+")
_HEX = Pattern(r"[0-9a-fA-F]{4}")
_NUMBER = Pattern(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"} | {c: c for c in "\"'\\/"}


class NotJSON(ValueError):
    """The text is not JSON, and no harmless reading makes it so; the message says where and why."""


def loads(text: str) -> Any:
    """Read one JSON value.

    Raises:
        NotJSON: what is wrong, and at which character.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return Reader(text).read()


class Reader:
    """A recursive-descent reader; `DEEPEST` bounds the recursion."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> Any:
        """Read the one value that the text is."""
        value = self._value(0)
        if self._peek():
            raise self._error("text after the end of the value")
        return value

    def _error(self, problem: str) -> NotJSON:
        near = self._text[self._at : self._at + 20]
        where = f"character {self._at + 1} ({near!r})" if near else "its end"
        return NotJSON(f"{problem} at {where}")

    def _peek(self) -> str:
        """Skip white space and return the next character, "" at the end."""
        match = _BLANKS.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> Any:
        if depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} levels of nesting")
        first = self._peek()
        if first == "{":
            return self._object(depth)
        if first == "[":
            return self._array(depth)
        if first in ('"', "'"):
            return self._string(first)
        return self._word()

    def _object(self, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        self._at += 1
        while (first := self._peek()) not in ("}", ""):
            if first not in ('"', "'"):
                raise self._error("a key in quotes was expected")
            key = self._string(first)
            if self._peek() != ":":
                raise self._error("a colon was expected")
            self._at += 1
            items[key] = self._value(depth + 1)
            self._comma("}")
        self._at += 1
        return items

    def _array(self, depth: int) -> list[Any]:
        items = []
        self._at += 1
        while self._peek() not in ("]", ""):
            items.append(self._value(depth + 1))
            self._comma("]")
        self._at += 1
        return items

    def _comma(self, closer: str) -> None:
        following = self._peek()
        if following == ",":
            self._at += 1
        elif following not in (closer, ""):
            raise self._error("a comma or a closing bracket was expected")

    def _string(self, quote: str) -> str:
        pieces = []
        self._at += 1
        while True:
            plain = _PLAIN[quote].match(self._text, self._at)
            if plain:
                pieces.append(plain[0])
                self._at = plain.end()
            match self._text[self._at : self._at + 1]:
                case "":
                    raise self._error("a string is not closed")
                case "\\":
                    pieces.append(self._escape())
                case _:
                    self._at += 1
                    # Halves of a pair, written as two escapes, are one character.
                    joined = "".join(pieces).encode("utf-16-le", "surrogatepass")
                    return joined.decode("utf-16-le", "replace")

    def _escape(self) -> str:
        letter = self._text[self._at + 1 : self._at + 2]
        digits = _HEX.match(self._text, self._at + 2) if letter == "u" else None
        if digits:
            self._at = digits.end()
            return chr(int(digits[0], 16))
        if letter in _ESCAPES:
            self._at += 2
            return _ESCAPES[letter]
        self._at += 1
        return "\\"

    def _word(self) -> Any:
        match = _BARE.match(self._text, self._at)
        if not match:
            raise self._error("a value was expected")
        word = match[0]
        if word in _WORDS:
            self._at = match.end()
            return _WORDS[word]
        number = _NUMBER.fullmatch(word)
        if not number:
            raise self._error("a value was expected")
        value = float(word) if number[1] or number[2] or len(word) > 300 else int(word)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error("a number too large")
        self._at = match.end()
        return value
