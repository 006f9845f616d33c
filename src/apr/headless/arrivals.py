"""What a program that drives the agent says: one JSON object a line, on our standard input.

The lines are those of the public Agent SDKs, typed by them; docs/headless.md lists them.
"""

import base64
import binascii
from typing import Any, Literal

import msgspec
from msgspec import Struct

from apr.agent.prompt import Prompt
from apr.errors import AprError
from apr.legible import legible
from apr.providers.base import Image


class BadLine(AprError):
    """A line that is none of those that are understood. The message shows its beginning."""


class TextPart(Struct, tag_field="type", tag="text"):
    """Text of a prompt."""

    text: str


class Base64Source(Struct, tag_field="type", tag="base64"):
    """Bytes, as they stand."""

    media_type: str
    data: str


class PlainSource(Struct, tag_field="type", tag="text"):
    """A document's text."""

    data: str


class ImagePart(Struct, tag_field="type", tag="image"):
    """A picture in a prompt."""

    source: Base64Source


class DocumentPart(Struct, tag_field="type", tag="document"):
    """A text in a prompt that somebody else wrote."""

    source: PlainSource
    title: str | None = None


class Words(Struct):
    """A prompt, in the form of the Messages API."""

    content: str | list[TextPart | ImagePart | DocumentPart]
    role: Literal["user"] = "user"


class UserLine(Struct, tag_field="type", tag="user"):
    """A prompt."""

    message: Words
    uuid: str | None = None
    client_composed: bool = False
    """Whether no command and no file that it names is looked up."""


class ControlRequest(Struct, tag_field="type", tag="control_request"):
    """The program wants something of the session; it waits for the answer."""

    request_id: str
    request: dict[str, Any]

    @property
    def subtype(self) -> str:
        """What it wants."""
        return str(self.request.get("subtype"))


class Response(Struct):
    """What the program answers."""

    request_id: str
    subtype: Literal["success", "error"]
    response: dict[str, Any] | None = None
    error: str | None = None


class ControlResponse(Struct, tag_field="type", tag="control_response"):
    """The answer to a request of ours."""

    response: Response


class ControlCancel(Struct, tag_field="type", tag="control_cancel_request"):
    """The program waits no longer for an answer. Ours come at once, so there is nothing to end."""

    request_id: str


class KeepAlive(Struct, tag_field="type", tag="keep_alive"):
    """Nothing, now and then, so that no connection between us falls asleep."""


Arrival = UserLine | ControlRequest | ControlResponse | ControlCancel | KeepAlive

_decoder: msgspec.json.Decoder[Arrival] = msgspec.json.Decoder(Arrival)
_SHOWN = 100


def read(line: bytes) -> Arrival:
    """Read a line.

    Raises:
        BadLine: it is not one.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        shown = line[:_SHOWN].decode(errors="replace") + ("…" if len(line) > _SHOWN else "")
        raise BadLine(f"a line of standard input was not understood: {error}: {shown}") from None


def prompt_of(line: UserLine) -> Prompt:
    """Return what is asked for.

    Raises:
        BadLine: it asks for nothing, or a picture is none.
    """
    content = line.message.content
    parts = [TextPart(content)] if isinstance(content, str) else content
    texts: list[str] = []
    images: list[Image] = []
    for part in parts:
        match part:
            case TextPart(text):
                texts.append(text)
            case DocumentPart(source, title):
                texts.append(f"{title}:\n{source.data}" if title else source.data)
            case ImagePart(source):
                images.append(_image(source))
    text = legible("\n\n".join(texts))
    if not text.strip() and not images:
        raise BadLine("a prompt on standard input is empty")
    return Prompt(text, tuple(images), verbatim=line.client_composed)


def _image(source: Base64Source) -> Image:
    if not source.media_type.startswith("image/"):
        raise BadLine(f"a picture in a prompt is of type {source.media_type!r}")
    try:
        base64.b64decode(source.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadLine(f"a picture in a prompt is not base64: {error}") from None
    return Image(source.media_type, source.data)
