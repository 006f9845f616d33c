"""A run as lines of JSON, one for each thing that happens: the format that programs follow.

What the lines hold is documented for `--output-format stream-json` (code.claude.com/docs, headless
mode) and typed by the public Agent SDKs; docs/headless.md lists them.
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec

from apr.agent.events import Event, Notice, Retracted, TextDelta, ThinkingDelta
from apr.ui.lines import Lines
from apr.ui.partial import PartialAnswer
from apr.ui.result import Tally
from ccpa.trace import (
    AssistantTurn,
    Block,
    Compaction,
    HookEvent,
    ThinkingBlock,
    ToolResult,
    ToolUseBlock,
    Usage,
    UserPrompt,
)

Line = dict[str, Any]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the lines that not everybody needs are written."""

    partial: bool = False
    """Pieces of an answer as they come."""
    hooks: bool = False
    """Every hook that ran, not those of the session's start alone."""
    subagents_text: bool = False
    """What subagents say, not their tool uses alone."""
    reasoning: bool = True
    """What the model says to itself; without it, only that it does."""


class StreamJson:
    """A sink that writes lines of JSON.

    Args:
        lines: where they are written.
        introduce: returns the session as it is now: its id, model, tools and all that `init` says.
        tally: returns a new count of what happens for a prompt.
        notice: takes what a person should know.
        wanted: which of the lines that not everybody needs are written.
    """

    def __init__(
        self,
        lines: Lines,
        introduce: Callable[[], Line],
        tally: Callable[[], Tally],
        notice: Callable[[str], None],
        *,
        wanted: Wanted,
    ) -> None:
        self.wanted = wanted
        self.prompt_id: str | None = None
        """The id of the next prompt, where it has one: answers name it."""
        self.replay: Line | None = None
        """The next prompt as it came, and its `uuid`; None where it is not to be repeated."""
        self._lines = lines
        self._introduce = introduce
        self._new_tally = tally
        self._notice = notice
        self._session: Line = {}
        self._tally: Tally | None = None
        self._partial: PartialAnswer | None = None

    def __call__(self, event: Event) -> None:
        """Write the event, if it is one that programs see."""
        match event:
            case UserPrompt():
                self._begin()
            case TextDelta() if self.wanted.partial:
                self._piece(event)
            case ThinkingDelta() if self.wanted.partial and self.wanted.reasoning:
                self._piece(event)
            case Retracted():
                self._partial = None  # it begins anew, as another message
            case AssistantTurn():
                self._answer(event)
            case ToolResult():
                self._result(event)
            case HookEvent(event=name) if self.wanted.hooks or name == "SessionStart":
                self._hook(event)
            case Compaction():
                self._compaction(event)
            case Notice(text):
                self._notice(text)
            case _:
                pass
        if self._tally is not None and self._tally.take(event):
            self._end(self._tally)

    def close(self) -> None:
        """Nothing is held back."""

    def write(self, kind: str, **fields: Any) -> None:
        """Write a line of the session."""
        self._lines.write({"type": kind, **fields, **self._mark()})

    def _mark(self) -> Line:
        return {"session_id": self._introduce()["session_id"], "uuid": str(uuid4())}

    def _begin(self) -> None:
        self._session = self._introduce()
        self._tally, self._partial = self._new_tally(), None
        self.write("system", subtype="init", **self._session)
        if self.replay is not None:
            self._lines.write({**self._mark(), **self.replay, "isReplay": True})
            self.replay = None

    def _end(self, tally: Tally) -> None:
        self._tally, self._partial = None, None
        result = msgspec.to_builtins(tally.result)
        self._lines.write({**result, "uuid": str(uuid4()), **self._answers_to()})
        self.prompt_id = None

    def _piece(self, delta: TextDelta | ThinkingDelta) -> None:
        if self._partial is None:
            self._partial = PartialAnswer(_message_id(), self._session["model"])
        for event in self._partial.piece(delta):
            self.write("stream_event", event=event, parent_tool_use_id=None)

    def _answer(self, turn: AssistantTurn) -> None:
        parent = turn.parent_tool_use_id
        if not self.wanted.reasoning:
            turn = msgspec.structs.replace(turn, blocks=[_unthought(b) for b in turn.blocks])
        blocks = turn.blocks
        if parent is not None and not self.wanted.subagents_text:
            blocks = [block for block in blocks if isinstance(block, ToolUseBlock)]
            if not blocks:
                return
        partial = None
        if parent is None and self.wanted.partial:
            partial = self._partial or PartialAnswer(_message_id(), turn.model or "")
            self._partial = None
        message = {
            "id": partial.message_id if partial else _message_id(),
            "type": "message",
            "role": "assistant",
            "model": turn.model or self._session.get("model", ""),
            "content": [_block(block) for block in blocks],
            "stop_reason": turn.stop_reason,
            "stop_sequence": None,
            "usage": _usage(turn.usage),
        }
        if partial is not None:
            for event in partial.end(turn, _usage(turn.usage)):
                self.write("stream_event", event=event, parent_tool_use_id=None)
        self.write("assistant", message=message, parent_tool_use_id=parent, **self._answers_to())

    def _answers_to(self) -> Line:
        return {"user_message_uuid": self.prompt_id} if self.prompt_id is not None else {}

    def _result(self, result: ToolResult) -> None:
        content = {
            "type": "tool_result",
            "tool_use_id": result.tool_use_id,
            "content": result.content,
            "is_error": not result.ok,
        }
        self.write(
            "user",
            message={"role": "user", "content": [content]},
            parent_tool_use_id=result.parent_tool_use_id,
        )

    def _hook(self, event: HookEvent) -> None:
        name = f"{event.event}:{event.matcher}" if event.matcher else event.event
        output = event.output or ""
        self.write(
            "system",
            subtype="hook_response",
            hook_id=str(uuid4()),
            hook_name=name,
            hook_event=event.event,
            tool_use_id=event.tool_use_id,
            output=output,
            stdout="" if event.exit_code else output,
            stderr=output if event.exit_code else "",
            exit_code=event.exit_code,
            outcome="error" if event.exit_code else "success",
        )

    def _compaction(self, compaction: Compaction) -> None:
        self.write(
            "system",
            subtype="compact_boundary",
            compact_metadata={
                "trigger": compaction.trigger,
                "pre_tokens": compaction.tokens_before,
                "post_tokens": compaction.tokens_after,
            },
        )


def _message_id() -> str:
    return f"msg_{uuid4().hex}"


def _unthought(block: Block) -> Block:
    return ThinkingBlock("", block.signature) if isinstance(block, ThinkingBlock) else block


def _block(block: Block) -> Line:
    """Return a block as the Messages API has it: there reasoning always has a signature."""
    line: Line = msgspec.to_builtins(block)
    if isinstance(block, ThinkingBlock):
        line["signature"] = block.signature or ""
    return line


def _usage(usage: Usage | None) -> Line:
    """Return token counts as in the Messages API, where cached tokens are counted apart."""
    usage = usage or Usage(input_tokens=0, output_tokens=0)
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": 0,
    }
