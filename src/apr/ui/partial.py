"""An answer as it comes, told in the events of the Messages API's stream.

The format is documented with that API: platform.claude.com/docs, streaming messages. Text and
reasoning are passed on as they come. A call is known only with the whole answer, for until then
it may still turn out to be none; its input comes in one piece.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from apr.agent.events import TextDelta, ThinkingDelta
from ccpa.trace import AssistantTurn, Block, TextBlock, ThinkingBlock, ToolUseBlock

StreamEvent = dict[str, Any]


class PartialAnswer:
    """One answer. `message_id` is that of the whole."""

    def __init__(self, message_id: str, model: str) -> None:
        self.message_id = message_id
        self._model = model
        self._begun = False
        self._open: str | None = None
        """The kind of block that is being told."""
        self._told = 0

    def piece(self, delta: TextDelta | ThinkingDelta) -> Iterator[StreamEvent]:
        """Tell a piece."""
        kind = "text" if isinstance(delta, TextDelta) else "thinking"
        if not delta.text:
            return
        if self._open != kind:
            yield from self._end_block()
            yield from self._begin_block(_empty(kind))
            self._open = kind
        yield self._delta({"type": f"{kind}_delta", kind: delta.text})

    def end(self, turn: AssistantTurn, usage: dict[str, Any]) -> Iterator[StreamEvent]:
        """Tell the rest of the answer, now that it is known."""
        yield from self._end_block()
        told = self._told
        for block in turn.blocks:
            if told and not isinstance(block, ToolUseBlock):
                told -= 1
            else:
                yield from self._whole(block)
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": turn.stop_reason, "stop_sequence": None},
            "usage": usage,
        }
        yield {"type": "message_stop"}

    def _whole(self, block: Block) -> Iterator[StreamEvent]:
        match block:
            case TextBlock(text):
                yield from self._begin_block(_empty("text"))
                yield self._delta({"type": "text_delta", "text": text})
            case ThinkingBlock(thinking):
                yield from self._begin_block(_empty("thinking"))
                yield self._delta({"type": "thinking_delta", "thinking": thinking})
            case ToolUseBlock(use_id, name, given):
                yield from self._begin_block(
                    {"type": "tool_use", "id": use_id, "name": name, "input": {}}
                )
                said = msgspec.json.encode(given).decode()
                yield self._delta({"type": "input_json_delta", "partial_json": said})
        self._open = block.__struct_config__.tag  # type: ignore[assignment]
        yield from self._end_block()

    def _begin_block(self, block: dict[str, Any]) -> Iterator[StreamEvent]:
        if not self._begun:
            self._begun = True
            message: StreamEvent = {
                "id": self.message_id,
                "type": "message",
                "role": "assistant",
                "model": self._model,
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 0, "output_tokens": 0},
            }
            yield {"type": "message_start", "message": message}
        yield {"type": "content_block_start", "index": self._told, "content_block": block}

    def _delta(self, delta: dict[str, Any]) -> StreamEvent:
        return {"type": "content_block_delta", "index": self._told, "delta": delta}

    def _end_block(self) -> Iterator[StreamEvent]:
        if self._open is not None:
            yield {"type": "content_block_stop", "index": self._told}
            self._told += 1
            self._open = None


def _empty(kind: str) -> dict[str, Any]:
    if kind == "text":
        return {"type": "text", "text": ""}
    return {"type": "thinking", "thinking": "", "signature": ""}
