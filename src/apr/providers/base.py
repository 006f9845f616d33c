"""What a model is to the agent: a request in, a stream of model events out.

A provider speaks one wire. It turns a `Request` into that wire's messages, and the answer into text
as it comes and one `Completion` at the end. It never runs a tool and never decides anything.
"""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from apr.agent.events import Notice, PrefillProgress, TextDelta, ThinkingDelta
from ccpa.trace import Block, TurnStop, Usage


class ToolSpec(Struct, frozen=True):
    """A tool as the model sees it. `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: dict[str, Any]


class UserMessage(Struct, frozen=True):
    """A prompt."""

    text: str


class AssistantMessage(Struct, frozen=True):
    """An earlier answer. `raw` is the model's exact text where the wire gave it to us unparsed."""

    blocks: tuple[Block, ...]
    raw: str | None = None


class ToolAnswer(Struct, frozen=True):
    """What a tool use came to, for the model to read."""

    tool_use_id: str
    name: str
    content: str
    ok: bool = True


class ToolMessage(Struct, frozen=True):
    """All the answers to one assistant message, in the order of its calls."""

    answers: tuple[ToolAnswer, ...]


Message = UserMessage | AssistantMessage | ToolMessage


class Request(Struct, frozen=True, kw_only=True):
    """Everything a model is asked with."""

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None


class Completion(Struct, frozen=True, kw_only=True):
    """The whole answer.

    `blocks` may be empty (a model can answer with nothing). `malformed` names, by tool use id, the
    calls among `blocks` that could not be read as a call of an offered tool, and why: those must be
    answered with that error, never run.
    """

    blocks: tuple[Block, ...]
    stop_reason: TurnStop
    usage: Usage
    model: str
    raw: str | None = None
    malformed: dict[str, str] = msgspec.field(default_factory=dict)


ModelEvent = TextDelta | ThinkingDelta | PrefillProgress | Notice | Completion


class Provider(Protocol):
    """One wire to one model."""

    def stream(self, request: Request) -> AsyncIterator[ModelEvent]:
        """Ask the model. The last event is the `Completion`; nothing follows it.

        Closing the iterator cancels generation.

        Raises:
            ProviderError: the server could not be reached, refused, or broke off.
        """
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


class ProviderError(Exception):
    """The model's server failed. `retryable` where asking again may help.

    `retry_after` is the number of seconds the server asked to wait, where it did.
    """

    def __init__(
        self, message: str, *, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class ContextOverflow(ProviderError):
    """The request is longer than the model's context. A shorter one may succeed."""
