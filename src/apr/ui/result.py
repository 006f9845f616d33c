"""A run as one JSON object: the `result` line of the headless formats."""

from typing import Any, Literal, TextIO

import msgspec
from msgspec import Struct

from apr.agent.events import Event
from apr.agent.limits import MAX_TURNS
from ccpa.trace import (
    AssistantTurn,
    SessionEnd,
    SessionStart,
    TextBlock,
    ToolResult,
    ToolUseBlock,
    Usage,
)


class Denial(Struct, frozen=True):
    """A tool use that was not permitted."""

    tool_name: str
    tool_use_id: str
    tool_input: dict[str, Any]


class TotalUsage(Struct):
    """Tokens of all model calls."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0

    def add(self, usage: Usage) -> None:
        """Add one call's."""
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cache_read_input_tokens += usage.cache_read_tokens


class Result(Struct, kw_only=True, tag_field="type", tag="result"):
    """What a headless run came to."""

    subtype: Literal["success", "error_max_turns", "error_during_execution"] = "success"
    is_error: bool = False
    result: str = ""
    error: str | None = None
    session_id: str = ""
    model: str = ""
    num_turns: int = 0
    duration_ms: int = 0
    stop_reason: str | None = None
    usage: TotalUsage = msgspec.field(default_factory=TotalUsage)
    permission_denials: list[Denial] = msgspec.field(default_factory=list)
    total_cost_usd: float | None = None


class ResultPrinter:
    """A sink that says nothing until the end, and then everything at once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._calls: dict[str, ToolUseBlock] = {}
        self.result = Result()

    def __call__(self, event: Event) -> None:
        """Take the event into account."""
        result = self.result
        match event:
            case SessionStart(session_id=session_id, model=model):
                result.session_id, result.model = session_id, model
            case AssistantTurn(blocks=blocks, usage=usage):
                result.num_turns += 1
                result.result = "".join(b.text for b in blocks if isinstance(b, TextBlock))
                self._calls |= {b.id: b for b in blocks if isinstance(b, ToolUseBlock)}
                if usage is not None:
                    result.usage.add(usage)
            case ToolResult(denied_by=str(), tool_use_id=tool_use_id):
                call = self._calls[tool_use_id]
                result.permission_denials.append(Denial(call.name, call.id, call.input))
            case SessionEnd():
                self._end(event)
            case _:
                pass

    def close(self) -> None:
        """Print the result."""
        self._out.write(msgspec.json.encode(self.result).decode() + "\n")
        self._out.flush()

    def _end(self, event: SessionEnd) -> None:
        result = self.result
        result.stop_reason = event.stop_reason
        result.duration_ms = event.elapsed_ms or 0
        if event.stop_reason == "error":
            limit = (event.error or "").startswith(MAX_TURNS)
            result.subtype = "error_max_turns" if limit else "error_during_execution"
            result.is_error = True
            result.error = event.error
