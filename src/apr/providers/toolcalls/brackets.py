"""Where a bracketed value ends, in text that comes in pieces of any size."""

from apr.patterns import Pattern

_JSON = Pattern(r"""["'\\{}\[\]]""")
_PYTHON = Pattern(r"""["'\\{}\[\]()]""")


class Brackets:
    """Follows strings and brackets, from the first bracket to the one that closes it.

    Inside a string a bracket, and any tag, is only text. `text` is what was read so far.
    """

    def __init__(self, *, python: bool = False) -> None:
        self.depth = 0
        self._special = _PYTHON if python else _JSON
        self._quote = ""
        self._escaped = False
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """The value as far as it has come."""
        return "".join(self._parts)

    @property
    def quoted(self) -> bool:
        """Whether the text so far ends inside a string."""
        return bool(self._quote)

    def open(self, bracket: str) -> None:
        """Begin a value with its first bracket."""
        self.depth = 1
        self._parts = [bracket]
        self._quote, self._escaped = "", False

    def scan(self, text: str, start: int) -> int:
        """Read on from `start` to the end of the value or of the text; return that place."""
        position = start
        while self.depth and position < len(text):
            if self._escaped:
                self._escaped = False
                position += 1
                continue
            match = self._special.search(text, position)
            position = match.end() if match else len(text)
            if match:
                self._meet(match[0])
        self._parts.append(text[start:position])
        return position

    def _meet(self, character: str) -> None:
        if self._quote:
            self._escaped = character == "\\"
            self._quote = "" if character == self._quote else self._quote
        elif character in "\"'":
            self._quote = character
        elif character != "\\":
            self.depth += 1 if character in "{[(" else -1
