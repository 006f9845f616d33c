"""Bytes of a file to text and back, losing nothing.

The encoding is told by a byte order mark, else UTF-8 if the bytes are that, else Latin-1, which
holds any byte. Line endings stay as they are: whoever compares or inserts text sees to them.
"""

import codecs

from msgspec import Struct

_MARKS = (  # UTF-32 first: its little-endian mark starts with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SNIFFED = 8192
"""Bytes looked at for a NUL, the rule by which git and grep call a file binary."""
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n\f\r\x1b"})
_MOST_CONTROLS = 0.02
"""Share of control characters above which bytes that are no UTF-8 are not Latin-1 text either."""


class NotTextError(ValueError):
    """The bytes are no text in any encoding that is recognised."""


class Encoding(Struct, frozen=True):
    """How a file's text is stored: a Python codec, and the byte order mark in front of it."""

    codec: str = "utf-8"
    mark: bytes = b""

    @property
    def guessed(self) -> bool:
        """Whether nothing in the file says that it is so."""
        return self.codec == "latin-1"

    def decode(self, data: bytes) -> str:
        """Return the text of a whole file."""
        return data[len(self.mark) :].decode(self.codec)

    def encode(self, text: str) -> bytes:
        """Return the bytes of a whole file.

        Raises:
            UnicodeEncodeError: the encoding has no way to write one of the characters.
        """
        return self.mark + text.encode(self.codec)


def detect(data: bytes, *, whole: bool = True) -> Encoding:
    """Return the encoding of a file from its bytes, or from its first bytes if not `whole`.

    Raises:
        NotTextError: it is a binary file.
    """
    for mark, codec in _MARKS:
        if data.startswith(mark):
            if not _decodes(data[len(mark) :], codec, whole):
                raise NotTextError(f"starts like {codec.upper()} but is not")
            return Encoding(codec, mark)
    if b"\0" in data[:SNIFFED]:
        raise NotTextError("has NUL bytes")
    if _decodes(data, "utf-8", whole):
        return Encoding()
    sample = data[:SNIFFED]
    if len(sample) - len(sample.translate(None, _CONTROLS)) > _MOST_CONTROLS * len(sample):
        raise NotTextError("has many control characters and is not UTF-8")
    return Encoding("latin-1")


def newline(text: str) -> str | None:
    r"""Return the line ending that most lines have, `\n` or `\r\n`; None where there is none."""
    breaks = text.count("\n")
    if not breaks:
        return None
    return "\r\n" if 2 * text.count("\r\n") > breaks else "\n"


def with_newline(text: str, ending: str | None) -> str:
    """Return the text with all line endings as given; unchanged if None is."""
    if ending is None:
        return text
    text = text.replace("\r\n", "\n")
    return text if ending == "\n" else text.replace("\n", ending)


def _decodes(data: bytes, codec: str, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(codec)().decode(data, final=whole)
    except UnicodeDecodeError:
        return False
    return True
