"""Pictures: told from other files by their first bytes, and handed to the model as they are."""

import base64

from apr.providers.base import Image
from apr.tools.base import Outcome
from apr.tools.errors import ToolError

LARGEST = 5_000_000
"""Bytes of a picture; what servers take."""


def kind_of(data: bytes) -> str | None:
    """Return the media type of a picture that models can be shown, None if it is none."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def show(data: bytes, kind: str, name: str, *, sees: bool) -> Outcome:
    """Return a picture for the model to see.

    Raises:
        ToolError: it cannot see, or the picture is too large.
    """
    told = f"{name} is a picture ({kind}, {len(data):,} bytes)"
    if not sees:
        raise ToolError(f"{told}, and this model cannot see pictures.")
    if len(data) > LARGEST:
        raise ToolError(f"{told}; {LARGEST:,} bytes are the most. Make a smaller copy and read it.")
    image = Image(kind, base64.b64encode(data).decode())
    return Outcome(content=f"[{name}: {kind}, {len(data):,} bytes]", images=(image,))
