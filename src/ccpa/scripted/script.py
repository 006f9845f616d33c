"""What there is to say: a recording taken apart into its conversations."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from ccpa.trace import (
    AssistantTurn,
    Compaction,
    Record,
    ToolUseBlock,
    UserPrompt,
)

MAIN = "main"


class Conversation(Struct, frozen=True, kw_only=True):
    """The turns of one conversation, in order.

    Args:
        name: `main`, or the id of the tool use that started the subagent.
        prompt: its first prompt; None where the recording does not hold it.
        turns: what the model says.
        compacted: how many turns were said when the history was last summarised, for each time.
        said: how many turns an earlier session has said.
    """

    name: str
    prompt: str | None
    turns: tuple[AssistantTurn, ...]
    compacted: tuple[int, ...] = ()
    said: int = 0


class Script(Struct, frozen=True):
    """The conversations of a session, the main one first.

    A script that is not `checked` is one row of turns: each request gets the next one, whatever it
    asks. It is for tests that are about something else.
    """

    conversations: tuple[Conversation, ...]
    checked: bool = True

    @classmethod
    def from_trace(cls, records: Iterable[Record]) -> "Script":
        """Take a trace apart: its main conversation, and one for each subagent.

        A subagent's records carry the id of the tool use that started it, and its prompt is that
        tool use's `prompt` input. Conversations without a turn are left out, but for the main one.
        """
        records = list(records)
        turns = [record for record in records if isinstance(record, AssistantTurn)]
        prompts = {
            block.id: given
            for turn in turns
            for block in turn.blocks
            if isinstance(block, ToolUseBlock)
            and isinstance(given := block.input.get("prompt"), str)
        }
        parents = dict.fromkeys(t.parent_tool_use_id for t in turns if t.parent_tool_use_id)
        asked = next((r.text for r in records if isinstance(r, UserPrompt)), None)
        main = Conversation(
            name=MAIN,
            prompt=asked,
            turns=_turns(records, None),
            compacted=_compacted(records, None),
        )
        subagents = (
            Conversation(
                name=parent,
                prompt=prompts.get(parent),
                turns=_turns(records, parent),
                compacted=_compacted(records, parent),
            )
            for parent in parents
        )
        return cls((main, *subagents))

    def after(self, earlier: "Script") -> "Script":
        """Return this script as one that goes on with another: its history is to be known, too."""
        main, before = self.conversations[0], earlier.conversations[0]
        said = len(before.turns)
        whole = Conversation(
            name=MAIN,
            prompt=before.prompt,
            turns=before.turns + main.turns,
            compacted=before.compacted + tuple(said + at for at in main.compacted),
            said=said,
        )
        return Script((whole, *self.conversations[1:]), self.checked)

    @classmethod
    def unchecked(cls, turns: Iterable[AssistantTurn]) -> "Script":
        """Make a script of turns alone."""
        return cls((Conversation(name=MAIN, prompt=None, turns=tuple(turns)),), checked=False)


def _turns(records: Sequence[Record], parent: str | None) -> tuple[AssistantTurn, ...]:
    return tuple(
        record
        for record in records
        if isinstance(record, AssistantTurn) and record.parent_tool_use_id == parent
    )


def _compacted(records: Sequence[Record], parent: str | None) -> tuple[int, ...]:
    said = 0
    found: list[int] = []
    for record in records:
        if isinstance(record, AssistantTurn) and record.parent_tool_use_id == parent:
            said += 1
        elif isinstance(record, Compaction) and record.parent_tool_use_id == parent:
            found.append(said)
    return tuple(found)
