"""JSON objects on a stream, one a line: each whole, none too long for who reads them."""

from collections.abc import Mapping
from typing import Any, BinaryIO

import msgspec

MOST_BYTES = 1_000_000
"""The public SDKs give up on a line of more than 1 MiB."""

_encoder = msgspec.json.Encoder()


class TooLong(ValueError):
    """An object that must be sent as it is, and does not fit into a line."""


class Lines:
    """Writes objects, one a line."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, line: Mapping[str, Any] | msgspec.Struct) -> None:
        """Write an object. Where it is too long, its longest texts are cut.

        Raises:
            OSError: it cannot be written.
        """
        self._send(_encoder.encode(shortened(line)))

    def write_whole(self, line: Mapping[str, Any]) -> None:
        """Write an object that means something else when it is cut.

        Raises:
            TooLong: it does not fit into a line.
            OSError: see `write`.
        """
        encoded = _encoder.encode(line)
        if len(encoded) > MOST_BYTES:
            raise TooLong(f"it takes {len(encoded):,} bytes, and a line has {MOST_BYTES:,}")
        self._send(encoded)

    def _send(self, encoded: bytes) -> None:
        self._out.write(encoded + b"\n")
        self._out.flush()


def shortened(line: Any, most: int = MOST_BYTES) -> Any:
    """Return the object, its texts cut as far as it takes to fit into `most` bytes."""
    longest = most
    while len(_encoder.encode(line)) > most and longest > 1:
        longest //= 2
        line = _cut(msgspec.to_builtins(line), longest)
    return line


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value) > longest:
        return f"{value[:longest]} [{len(value) - longest:,} characters cut]"
    if isinstance(value, dict):
        return {key: _cut(inner, longest) for key, inner in value.items()}
    if isinstance(value, list):
        return [_cut(inner, longest) for inner in value]
    return value
