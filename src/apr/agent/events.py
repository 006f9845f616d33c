"""The one stream of events that a run yields, and that every sink reads.

The completed events are the trace's own records. The partial ones below exist only for people who
watch, and for the session's own store: nothing that a trace should say is in them alone.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

from ccpa.trace import Record, SessionStop, ToolUseBlock

if TYPE_CHECKING:
    from apr.providers.base import Message


class TextDelta(Struct, frozen=True):
    """A piece of the answer, as it is generated."""

    text: str


class ThinkingDelta(Struct, frozen=True):
    """A piece of the reasoning, as it is generated."""

    text: str


class Retracted(Struct, frozen=True):
    """The answer broke off: what was shown of it is void, and it comes again from its start."""


class PrefillProgress(Struct, frozen=True):
    """How many tokens of the prompt the model has evaluated; `cached` of them were remembered."""

    done: int
    total: int
    cached: int = 0


class ToolStarted(Struct, frozen=True):
    """A tool use passed every check and now runs."""

    tool_use: ToolUseBlock


class ToolProgress(Struct, frozen=True):
    """Output of a tool that is still running."""

    tool_use_id: str
    text: str


class PromptDone(Struct, frozen=True):
    """The work on a prompt is over: how it stopped, and of a failure, what it was."""

    stop_reason: SessionStop
    error: str | None = None


class Remembered(Struct, frozen=True):
    """The conversation, as the model knows it, has become longer by a message."""

    message: "Message"


class Rewritten(Struct, frozen=True):
    """The conversation, as the model knows it, is now this."""

    messages: "tuple[Message, ...]"
    back_to: int | None = None
    """The turn of the prompt that a person has gone back to, where it is that."""


class Notice(Struct, frozen=True):
    """Something a person should know that is no part of the conversation."""

    text: str


Partial = (
    TextDelta
    | ThinkingDelta
    | Retracted
    | PrefillProgress
    | ToolStarted
    | ToolProgress
    | PromptDone
    | Remembered
    | Rewritten
    | Notice
)
Event = Record | Partial
