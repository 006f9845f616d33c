"""What the work on a prompt came to: the `result` object of the formats for programs."""

import time
from typing import Any, Literal, TextIO

import msgspec
from msgspec import Struct

from apr.agent.endings import INTERRUPTED
from apr.agent.events import Event, PromptDone
from apr.agent.limits import MAX_TURNS
from ccpa.trace import AssistantTurn, SessionEnd, TextBlock, ToolResult, ToolUseBlock, Usage

STRUCTURED = "StructuredOutput"
"""The tool that an answer in a form is given with."""
NO_STRUCTURE = "no_structured_output"
"""What the error begins with of a run that ended without such an answer."""

Subtype = Literal[
    "success",
    "error_max_turns",
    "error_max_structured_output_retries",
    "error_during_execution",
]


class Denial(Struct, frozen=True):
    """A tool use that was not permitted."""

    tool_name: str
    tool_use_id: str
    tool_input: dict[str, Any]


class TotalUsage(Struct):
    """Tokens of all model calls, subagents' too; as in the Messages API, cached ones apart."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    def add(self, usage: Usage) -> None:
        """Add one call's."""
        self.input_tokens += usage.input_tokens - usage.cache_read_tokens
        self.output_tokens += usage.output_tokens
        self.cache_read_input_tokens += usage.cache_read_tokens


class Result(Struct, kw_only=True, tag_field="type", tag="result"):
    """What a prompt came to."""

    subtype: Subtype = "success"
    is_error: bool = False
    result: str = ""
    error: str | None = None
    errors: list[str] = msgspec.field(default_factory=list)
    session_id: str = ""
    model: str = ""
    num_turns: int = 0
    duration_ms: int = 0
    duration_api_ms: int = 0
    stop_reason: str | None = None
    terminal_reason: Literal["completed", "max_turns", "aborted_streaming", "error"] = "completed"
    usage: TotalUsage = msgspec.field(default_factory=TotalUsage)
    structured_output: dict[str, Any] | None = None
    """The answer in the form that was asked for."""
    permission_denials: list[Denial] = msgspec.field(default_factory=list)
    total_cost_usd: float | None = None
    """None: what the server's tokens cost is not known here."""


class Tally:
    """Counts what happens for a prompt.

    Args:
        session_id: the session's.
        model: its model.
        cost: what it costs in USD, where that is known: a model on this machine costs nothing.
    """

    def __init__(self, session_id: str, model: str, cost: float | None) -> None:
        self.result = Result(session_id=session_id, model=model, total_cost_usd=cost)
        self._calls: dict[str, ToolUseBlock] = {}
        self._began = time.monotonic()
        self._ended = False

    def finish(self) -> None:
        """Nothing more happens. If it was not over, it has failed."""
        if not self._ended:
            self._end(PromptDone("error", "the run broke off"))

    def take(self, event: Event) -> bool:
        """Take an event into account; return whether it is the last one for the prompt."""
        result = self.result
        match event:
            case AssistantTurn(blocks=blocks, usage=usage):
                self._calls |= {b.id: b for b in blocks if isinstance(b, ToolUseBlock)}
                if usage is not None:
                    result.usage.add(usage)
                result.duration_api_ms += event.latency_ms or 0
                if event.parent_tool_use_id is None:
                    result.num_turns += 1
                    result.result = "".join(b.text for b in blocks if isinstance(b, TextBlock))
            case ToolResult(denied_by=str(), tool_use_id=use) if use in self._calls:
                call = self._calls[use]
                result.permission_denials.append(Denial(call.name, call.id, call.input))
            case ToolResult(ok=True, parent_tool_use_id=None, tool_use_id=use) if (
                use in self._calls
            ):
                if self._calls[use].name == STRUCTURED:
                    result.structured_output = self._calls[use].input
            case PromptDone() | SessionEnd():
                self._end(event)
                return True
            case _:
                pass
        return False

    def _end(self, event: PromptDone | SessionEnd) -> None:
        self._ended = True
        result = self.result
        result.stop_reason = event.stop_reason
        result.duration_ms = int((time.monotonic() - self._began) * 1000)
        if event.stop_reason != "error" and event.error is None:
            return
        error = event.error or "the run failed"
        result.is_error = True
        result.error, result.errors = error, [error]
        result.subtype, result.terminal_reason = "error_during_execution", "error"
        if error.startswith(MAX_TURNS):
            result.subtype, result.terminal_reason = "error_max_turns", "max_turns"
        elif error.startswith(NO_STRUCTURE):
            result.subtype = "error_max_structured_output_retries"
        elif error == INTERRUPTED:
            result.terminal_reason = "aborted_streaming"


class ResultPrinter:
    """A sink that says nothing until the end, and then everything at once."""

    def __init__(self, out: TextIO, tally: Tally) -> None:
        self._out = out
        self._tally = tally

    def __call__(self, event: Event) -> None:
        """Take the event into account."""
        self._tally.take(event)

    def close(self) -> None:
        """Print the result; of a run that has broken off, that it has."""
        self._tally.finish()
        self._out.write(msgspec.json.encode(self._tally.result).decode() + "\n")
        self._out.flush()
