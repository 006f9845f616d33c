"""The GGUF container: reads what precedes the weights, and believes none of it.

A model file comes from strangers and is loaded by native code, so every count, length, offset and
type is held against the size of the file before it is used. Whatever a header claims, reading it
takes time and memory for what is really there, and no more than for the longest real ones. The
rules are those of llama.cpp's `gguf_init_from_reader` and the GGUF specification.
"""

import io
import struct
from typing import BinaryIO, NamedTuple

from msgspec import Struct

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_DIMS = 4
MAX_NAME = 1 << 16
"""Longest key that GGUF allows, in bytes."""
MAX_TEXT = 1 << 22
"""More bytes than any text of a real model has; the longest, chat templates, have 100,000."""
MAX_TENSOR_NAME = 63
"""GGML_MAX_NAME, less the terminator."""
SHORT_ARRAY = 1024
"""Arrays of numbers up to this length (a value per layer) are kept; longer ones are counted."""
MOST_NUMBERS = 1 << 16
"""Numbers of arrays that are kept of one header."""
MAX_TEXTS = 1 << 21
"""More strings in arrays than any real model has: the largest have 262,144 tokens and as many
merges twice over."""
MAX_COUNT = 1 << 14
"""More metadata entries, or tensors, than any real model has: the largest have a few thousand."""
CHUNK = 1 << 20
"""Bytes that are read at a time."""
MAX_HEADER = 64 << 20
"""Bytes; the vocabulary is most of a header, and 262,144 tokens with their merges take 15 MB."""

STRING, ARRAY = 8, 9
SCALARS = {
    kind: struct.Struct("<" + code)
    for kind, code in {
        **dict(enumerate("BbHhIif?")),
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}
_U32, _U64 = SCALARS[4], SCALARS[10]

TENSOR_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}
"""ggml's numeric types: name, weights in a block, bytes of a block."""

FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
    39: "NVFP4", 40: "Q1_0",
}  # fmt: skip
"""llama.cpp's names for mixtures of numeric types (`general.file_type`)."""


class GgufError(ValueError):
    """The bytes are not a sound GGUF header. The message says what is wrong with them."""


class Array(Struct, frozen=True):
    """An array whose elements were passed over: texts, or very many numbers."""

    count: int


Value = int | float | str | tuple[int | float, ...] | Array


class Tensor(NamedTuple):
    """Where one tensor lies: `offset` from the start of the file and `size`, in bytes."""

    name: str
    kind: str
    weights: int
    offset: int
    size: int


class Header(NamedTuple):
    """Everything that precedes the weights."""

    metadata: dict[str, Value]
    tensors: dict[str, Tensor]


def parse(file: BinaryIO | bytes) -> Header:
    """Read the header of a whole GGUF file, and no more of it than that.

    The file is read, not mapped: one that is shortened meanwhile would end the process.

    Raises:
        GgufError: it is not GGUF, is cut short, or contradicts itself or the size of the file.
        OSError: it cannot be read.
    """
    cursor = _Cursor(io.BytesIO(file) if isinstance(file, bytes) else file)
    if not cursor.size:
        raise GgufError("not a GGUF file, or cut short: it is empty")
    magic = cursor.take(len(MAGIC), "the magic number")
    if magic != MAGIC:
        raise GgufError(f"not a GGUF file: it starts with {magic!r}, not b'GGUF'")
    version = cursor.number(_U32, "the version")
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
        problem = "it is big-endian" if swapped else f"GGUF version {version} is not 2 or 3"
        raise GgufError(f"cannot be read: {problem}")
    tensor_count = cursor.count("tensors", smallest=24)
    value_count = cursor.count("metadata entries", smallest=13)
    metadata: dict[str, Value] = {}
    for _ in range(value_count):
        key = cursor.text("a metadata key", MAX_NAME)
        what = repr(key[:80])
        if key in metadata:
            raise GgufError(f"the metadata key {what} occurs twice")
        metadata[key] = cursor.value(cursor.number(_U32, f"the type of {what}"), what)
    tensors = [cursor.tensor() for _ in range(tensor_count)]
    alignment = _alignment(metadata)
    start = -(-cursor.at // alignment) * alignment
    return Header(metadata, _place(tensors, start, alignment, cursor.size))


def _alignment(metadata: dict[str, Value]) -> int:
    """Return what the weights are aligned to, in bytes."""
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise GgufError("general.alignment is not a power of two")
    return alignment


def _place(tensors: list[Tensor], start: int, alignment: int, size: int) -> dict[str, Tensor]:
    """Count the tensors' offsets from the start of the file, and hold them against its size.

    They must follow each other without gaps or overlaps, in the order of the header: so llama.cpp
    demands it.
    """
    placed: dict[str, Tensor] = {}
    expected = 0
    for tensor in tensors:
        if tensor.name in placed:
            raise GgufError(f"the tensor {tensor.name!r} occurs twice")
        if tensor.offset % alignment:
            raise GgufError(f"the tensor {tensor.name!r} is not aligned to {alignment} bytes")
        missing = start + tensor.offset + tensor.size - size
        if missing > 0:
            raise GgufError(
                f"cut short, or broken: the tensor {tensor.name!r} ends {missing:,} bytes past the "
                f"end of the file ({size:,} bytes); download it again"
            )
        if tensor.offset != expected:
            how = "overlaps the one before" if tensor.offset < expected else "comes after a gap"
            raise GgufError(
                f"broken: the tensor {tensor.name!r} {how} (at {tensor.offset:,}, not {expected:,})"
            )
        expected += -(-tensor.size // alignment) * alignment
        placed[tensor.name] = tensor._replace(offset=start + tensor.offset)
    return placed


class _Cursor:
    """A position in the header."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self.data = bytearray()
        self.at = 0
        self.end = min(self.size, MAX_HEADER)
        self.numbers_left = MOST_NUMBERS
        self.texts_left = MAX_TEXTS

    def take(self, size: int, what: str) -> bytes:
        if self.lacks(size):
            raise GgufError(f"cut short, or broken: the header ends in {what}")
        start, self.at = self.at, self.at + size
        self.read_to(self.at)
        return bytes(self.data[start : self.at])

    def read_to(self, position: int) -> None:
        """Have the header in memory up to there, at least."""
        while len(self.data) < position:
            chunk = self.file.read(max(CHUNK, position - len(self.data)))
            if not chunk:
                raise GgufError("cut short while it was read")
            self.data += chunk

    def lacks(self, size: int) -> bool:
        """Whether fewer than `size` bytes of the header are left."""
        return self.at + size > self.end

    def number(self, form: struct.Struct, what: str) -> int:
        value: int = form.unpack(self.take(form.size, what))[0]
        return value

    def count(self, what: str, *, smallest: int) -> int:
        """Read how many things follow, each of which takes at least `smallest` bytes."""
        count = self.number(_U64, f"the number of {what}")
        if count > MAX_COUNT or self.lacks(count * smallest):
            raise GgufError(
                f"cut short, or broken: claims {count:,} {what}, more than the file can hold"
            )
        return count

    def text(self, what: str, limit: int = MAX_TEXT) -> str:
        """Read a string. Bytes that are not UTF-8 become U+FFFD: a label is no reason to fail."""
        size = self.number(_U64, f"the length of {what}")
        if self.lacks(size) or size > limit:
            raise GgufError(
                f"cut short, or broken: claims {size:,} bytes for {what}, more than there can be"
            )
        return self.take(size, what).decode("utf-8", "replace")

    def value(self, kind: int, what: str) -> Value:
        if kind == STRING:
            return self.text(what)
        if kind == ARRAY:
            return self.array(what)
        form = SCALARS.get(kind)
        if form is None:
            raise GgufError(f"{what} has the unknown type {kind}")
        return self.number(form, what)

    def array(self, what: str) -> tuple[int | float, ...] | Array:
        kind = self.number(_U32, f"the element type of {what}")
        count = self.number(_U64, f"the length of {what}")
        if kind == STRING:
            self.skip_texts(count, what)
            return Array(count)
        form = SCALARS.get(kind)
        if form is None:
            raise GgufError(f"{what} is an array of the unknown or nested type {kind}")
        if self.lacks(count * form.size):
            raise GgufError(f"cut short, or broken: {what} claims {count:,} elements")
        if count > SHORT_ARRAY or count > self.numbers_left:
            self.at += count * form.size
            return Array(count)
        self.numbers_left -= count
        return tuple(number for (number,) in form.iter_unpack(self.take(count * form.size, what)))

    def skip_texts(self, count: int, what: str) -> None:
        """Pass over strings. A vocabulary has 300,000, so this loop does nothing it need not."""
        if count > self.texts_left or self.lacks(count * _U64.size):
            raise GgufError(f"cut short, or broken: {what} claims {count:,} elements")
        self.texts_left -= count
        unpack, data, at, end = _U64.unpack_from, self.data, self.at, self.end
        texts = iter(range(count))
        while at <= end:
            try:
                for _ in texts:
                    at += 8 + unpack(data, at)[0]
                    if at > end:
                        break
                break
            except struct.error:  # the length of the text lies past what has been read
                if at + 8 > end:
                    at = end + 1
                else:
                    self.read_to(at + 8)
                    at += 8 + unpack(data, at)[0]
        if at > end:
            raise GgufError(f"cut short, or broken: a string of {what} does not end")
        self.at = at

    def tensor(self) -> Tensor:
        """Read where a tensor lies; its offset is still counted from the start of the weights."""
        name = self.text("a tensor's name", MAX_TENSOR_NAME)
        what = f"the tensor {name!r}"
        rank = self.number(_U32, what)
        if rank > MAX_DIMS:
            raise GgufError(f"{what} has {rank:,} dimensions, more than {MAX_DIMS}")
        dims = [self.number(_U64, what) for _ in range(rank)]
        number = self.number(_U32, what)
        offset = self.number(_U64, what)
        if number not in TENSOR_TYPES:
            raise GgufError(f"{what} has the unknown type {number}; it may need a newer apr")
        kind, block, block_size = TENSOR_TYPES[number]
        weights = 1
        for dim in dims:
            weights *= dim
        if not weights or (dims[0] if dims else 1) % block:
            raise GgufError(f"{what} has the shape {dims}, impossible for {kind}")
        return Tensor(name, kind, weights, offset, weights // block * block_size)
