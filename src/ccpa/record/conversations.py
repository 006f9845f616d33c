"""Whose request is it? Conversations told apart by what their requests hold.

- A tool use id in a request's history names its conversation.
- Else the first prompt does.
- Else, in the first request after a conversation was summarised, the summary does.
- What fits none is a new conversation: the first one is the main one. A later one is a subagent's
  if its first prompt holds the longest text of a tool use that is waiting for its result; of
  several that ask the same, each has one.

A conversation that is neither the main one nor a tool use's has a trace of its own.
"""

from collections.abc import Iterator

from msgspec import Struct, field

from ccpa.record.writing import TraceFile
from ccpa.scripted.wire import Asked, Prompt, Said
from ccpa.trace import ToolUseBlock

_SUMMARY_HEAD = 200
"""Characters of a summary that tell it from others: agents wrap it, and may cut its end."""


class Conversation(Struct, eq=False):
    """One model's conversation, as far as it has come.

    Args:
        trace: where it is written.
        parent: the tool use that started it; None for a trace's main conversation.
        opening: the parts of its first prompt.
        tools: whether it offers any.
        uses: every tool use in it, by id.
        open: those that are waiting for their results.
        answers: how many the model gave.
        prompted: how many it had given when the last prompt was written down.
        summary: of its history, if that was summarised.
    """

    trace: TraceFile
    parent: str | None
    opening: tuple[str, ...]
    tools: bool
    uses: dict[str, ToolUseBlock] = field(default_factory=dict)
    open: dict[str, ToolUseBlock] = field(default_factory=dict)
    answers: int = 0
    prompted: int = -1
    summary: str | None = None


class Conversations:
    """All conversations of a recording, the main one first."""

    def __init__(self) -> None:
        self.known: list[Conversation] = []

    @property
    def main(self) -> Conversation | None:
        """The main conversation, once there is one."""
        return self.known[0] if self.known else None

    def open_uses(self) -> dict[str, ToolUseBlock]:
        """Return the tool uses that are waiting for their results and are not subagents."""
        parents = {one.parent for one in self.known}
        waiting = (item for one in self.known for item in one.open.items())
        return {use: block for use, block in waiting if use not in parents}

    def find(self, asked: Asked) -> Conversation | None:
        """Return the conversation that a request goes on with; None if it begins one."""
        return next(self._candidates(asked), None)

    def parent_of(self, asked: Asked) -> tuple[Conversation, str] | None:
        """Return the tool use that started a new conversation, and whose it is."""
        taken = {one.parent for one in self.known}
        fitting = [
            (len(text), one, use)
            for one in self.known
            for use, block in one.open.items()
            if use not in taken
            and (text := _longest_text(block))
            and any(text in part for part in asked.opening)
        ]
        best = max(fitting, key=lambda found: found[0], default=None)
        return best and best[1:]

    def _candidates(self, asked: Asked) -> Iterator[Conversation]:
        same = [one for one in self.known if one.opening == asked.opening]
        said = [set(entry.ids) for entry in reversed(asked.history) if isinstance(entry, Said)]
        for ids in said:
            having = [one for one in self.known if ids & one.uses.keys()]
            yield from (one for one in having if one in same)
            yield from having
        if said:
            yield from reversed(same)
        yield from (one for one in same if not one.answers)
        for one in self.known:
            if one.summary and any(one.summary in part for part in _prompts(asked)):
                yield one
        if not said and self.parent_of(asked) is None:  # as if there had been no answer
            yield from (one for one in same if one.answers == 1 and one.open)


def _longest_text(block: ToolUseBlock) -> str:
    texts = (value.strip() for value in block.input.values() if isinstance(value, str))
    return max(texts, key=len, default="")


def summary_mark(text: str) -> str | None:
    """Return what of a summary tells a history that begins with it."""
    bare = text.replace("<summary>", "").replace("</summary>", "").strip()
    return bare[:_SUMMARY_HEAD].strip() or None


def _prompts(asked: Asked) -> Iterator[str]:
    for entry in asked.history:
        if isinstance(entry, Prompt):
            yield from entry.parts
