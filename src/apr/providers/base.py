"""What a model is to the agent: a request in, a stream of model events out.

A provider speaks one wire. It turns a `Request` into that wire's messages, and the answer into text
as it comes and one `Completion` at the end. It never runs a tool and never decides anything.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from apr.agent.events import Notice, PrefillProgress, Retracted, TextDelta, ThinkingDelta
from ccpa.trace import Block, TurnStop, Usage


class ToolSpec(Struct, frozen=True):
    """A tool as the model sees it. `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: dict[str, Any]


class Image(Struct, frozen=True):
    """A picture: its bytes in base64, and what they are (`image/png`)."""

    media_type: str
    data: str


class UserMessage(Struct, frozen=True, tag_field="role", tag="user"):
    """A prompt. Its images stand before its text."""

    text: str
    images: tuple[Image, ...] = ()


class AssistantMessage(Struct, frozen=True, tag_field="role", tag="assistant"):
    """An earlier answer. `raw` is the model's exact text where the wire gave it to us unparsed."""

    blocks: tuple[Block, ...]
    raw: str | None = None


class ToolAnswer(Struct, frozen=True):
    """What a tool use came to, for the model to read."""

    tool_use_id: str
    name: str
    content: str
    ok: bool = True
    images: tuple[Image, ...] = ()
    """What it has to show besides."""


class ToolMessage(Struct, frozen=True, tag_field="role", tag="tool"):
    """All the answers to one assistant message, in the order of its calls."""

    answers: tuple[ToolAnswer, ...]


Message = UserMessage | AssistantMessage | ToolMessage


class Forced(Struct, frozen=True):
    """The answer must be a call: of the tool with this name, or of any."""

    name: str | None = None


ToolChoice = Literal["auto", "none"] | Forced


class Request(Struct, frozen=True, kw_only=True):
    """Everything a model is asked with."""

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    known: Mapping[str, Callable[[], ToolSpec]] = {}
    """By name, what makes the specs of tools that the model is not told of. Calls of them are read
    as well."""
    tool_choice: ToolChoice = "auto"
    """With "none" the model sees the tools, and whatever it writes is text."""
    max_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    """Texts at which the answer ends; they are no part of it."""
    reasoning_begun: bool = False
    """Whether the prompt ends inside of reasoning, so that the answer begins in it."""
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    """Further fields of the wire's request, sent as they are: `top_p`, `seed`, ..."""


class Speed(Struct, frozen=True, kw_only=True):
    """How long the server itself worked on an answer: tokens, and the seconds they took."""

    prefill_tokens: int
    """Those of the prompt that were evaluated, not remembered."""
    prefill_s: float
    output_tokens: int
    output_s: float


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
    stop_sequence: str | None = None
    """Which of the request's `stop` texts ended it, where the server says."""
    speed: Speed | None = None
    """Where the server says (llama.cpp does)."""


ModelEvent = TextDelta | ThinkingDelta | Retracted | PrefillProgress | Notice | Completion


class Provider(Protocol):
    """One wire to one model."""

    @property
    def context(self) -> int | None:
        """Tokens that a conversation may have; None where that is not known (yet)."""
        ...

    def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
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

    `retry_after` is the number of seconds the server asked to wait, where it did. `said` is its own
    reason, where the fault is with what was asked.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        said: str | None = None,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.said = said

    @property
    def invalid(self) -> bool:
        """Whether the fault is with what was asked."""
        return self.said is not None


class Unreachable(ProviderError):
    """Nothing listens where the server should be: it is not started, or gone for the moment."""


class ContextOverflow(ProviderError):
    """The request is longer than the model's context. A shorter one may succeed."""
