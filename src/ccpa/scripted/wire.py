"""What the three wires have in common: what a client asked, and how an answer is told.

Each wire is one module that offers what `Wire` says. Everything behind it sees one form of request,
`Asked`, and one form of answer, `Answer`.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from ccpa.trace import AssistantTurn, Usage

PIECE = 16
"""Characters of a streamed delta: few enough that a client has to put things together."""


class Prompt(Struct, frozen=True):
    """Texts of the user's side, part by part."""

    parts: tuple[str, ...]


class Said(Struct, frozen=True):
    """Earlier answers as the client kept them: the ids of their tool uses, in order."""

    ids: tuple[str, ...]


class Results(Struct, frozen=True):
    """Results of tool uses, by their ids."""

    ids: tuple[str, ...]


Entry = Prompt | Said | Results


class Asked(Struct, frozen=True, kw_only=True):
    """What a client asked, whatever the wire."""

    model: str
    stream: bool
    system: str
    tools: tuple[str, ...]
    """The names of the tools that the client offers."""
    history: tuple[Entry, ...]
    """As `joined` returns it."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    """Stop sequences."""
    schema: dict[str, Any] | None = None
    """The JSON Schema that the text of the answer must fit, where the client demands one."""
    usage_wanted: bool = True
    """Whether a stream is to tell the usage."""
    previous: str | None = None
    """The id of the answer that this request goes on from, where it leaves out the history."""

    @property
    def opening(self) -> tuple[str, ...]:
        """The parts of the first prompt. Many agents tell their surroundings in parts before it."""
        first = self.history[0] if self.history else None
        return first.parts if isinstance(first, Prompt) else ()

    @property
    def tail(self) -> tuple[Entry, ...]:
        """What came after the last answer."""
        for at in range(len(self.history) - 1, -1, -1):
            if isinstance(self.history[at], Said):
                return self.history[at + 1 :]
        return self.history


class Answer(Struct, frozen=True, kw_only=True):
    """A turn on its way to a client. `key` is unique among the answers of a server."""

    turn: AssistantTurn
    asked: Asked
    key: str

    @property
    def usage(self) -> Usage:
        """What the recording says was used; nothing, where it does not say."""
        return self.turn.usage or Usage(input_tokens=0, output_tokens=0)


class Wire(Protocol):
    """What the module of a wire offers."""

    def read(self, body: dict[str, Any]) -> Asked:
        """Read a request.

        Raises:
            msgspec.ValidationError: it is no request of this wire; the message names the field.
        """

    def whole(self, answer: Answer) -> bytes:
        """Return the answer as one JSON object."""

    def streamed(self, answer: Answer) -> Iterator[bytes]:
        """Yield the answer as server-sent events, one at a time."""

    def error(self, status: int, message: str) -> bytes:
        """Return an error as this wire tells it."""


def joined(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the history with neighbours of one kind made one entry, and empty ones left out.

    Wires differ in what is a message of its own: each result, or all of them; each part of a
    prompt, or none.
    """
    history: list[Entry] = []
    for entry in entries:
        last = history[-1] if history else None
        match entry, last:
            case Prompt(()), _:
                pass
            case Prompt(parts), Prompt(before):
                history[-1] = Prompt(before + parts)
            case Results(ids), Results(before):
                history[-1] = Results(before + ids)
            case Said(ids), Said(before):
                history[-1] = Said(before + ids)
            case _:
                history.append(entry)
    return tuple(history)


def texts(content: str | list[dict[str, Any]] | None) -> tuple[str, ...]:
    """Return the texts of a message's content: all wires have a string or parts with a `text`."""
    if isinstance(content, str):
        return (content,)
    found = (part.get("text") for part in content or ())
    return tuple(text for text in found if isinstance(text, str))


def pieces(text: str) -> Iterator[str]:
    """Cut a text for streaming. An empty text is one empty piece: it was said, too."""
    return (text[at : at + PIECE] for at in range(0, max(len(text), 1), PIECE))


def encoded(value: dict[str, Any]) -> str:
    """Return a tool's input as JSON text, its keys in order."""
    return msgspec.json.encode(value).decode()


def event(data: dict[str, Any]) -> bytes:
    """Return a server-sent event that is named after the `type` of its data."""
    return b"event: %s\ndata: %s\n\n" % (str(data["type"]).encode(), msgspec.json.encode(data))
