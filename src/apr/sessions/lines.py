"""The lines of a stored session. A line is one thing that happened; none is ever changed."""

from functools import cache

import msgspec
from msgspec import Struct

from apr.providers.base import Message
from ccpa.trace import Record


class Opened(Struct, frozen=True, kw_only=True, tag_field="type", tag="opened", omit_defaults=True):
    """A process has begun to work on the session. The first line is one of these."""

    id: str
    cwd: str
    model: str
    ts: str
    agent_version: str
    parent: str | None = None
    """The session that this one was forked from."""
    branch: str | None = None
    """What git had checked out."""


class Recorded(Struct, frozen=True, tag_field="type", tag="record", omit_defaults=True):
    """A record of the trace."""

    record: Record
    at: int | None = None
    """When: seconds since 1970. Prompts have it."""


class Said(Struct, frozen=True, tag_field="type", tag="message"):
    """A message has been added to what the model knows."""

    message: Message


class Rewrote(Struct, frozen=True, tag_field="type", tag="rewritten", omit_defaults=True):
    """What the model knows is now this: the history was summarised, or a person went back in it."""

    messages: tuple[Message, ...]
    back_to: int | None = None
    """The turn of the prompt that they went back to."""


class Seen(Struct, frozen=True, tag_field="type", tag="seen"):
    """The model knows a file with this content."""

    path: str
    stamp: str
    """In hexadecimal. Empty: the model does not know the file any more."""


class Named(Struct, frozen=True, tag_field="type", tag="named"):
    """The user has given the session a name."""

    name: str


Line = Opened | Recorded | Said | Rewrote | Seen | Named


def encode(line: Line) -> bytes:
    """Return a line as it stands in the file, with its end."""
    return msgspec.json.encode(line) + b"\n"


def decode(text: bytes) -> Line:
    """Read a line.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    try:
        return _decoder().decode(text)
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None


@cache
def _decoder() -> msgspec.json.Decoder[Line]:
    return msgspec.json.Decoder(Line)
