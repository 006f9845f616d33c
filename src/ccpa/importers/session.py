"""A session in the making: importers say what happened, in order, and records come of it.

This is the one place that knows what makes a trace sensible (`ccpa.validate.sense`), so that
whatever a transcript holds, the result is a valid beginning of a trace. What a transcript lacks and
a trace needs is marked, never made up; what fits nowhere is left out; both are counted.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ccpa.importers.notes import Notes
from ccpa.importers.values import (
    UNKNOWN_MODEL,
    UNKNOWN_TIME,
    UNKNOWN_TREE,
    is_deep,
    session_id,
)
from ccpa.trace import (
    AssistantTurn,
    Block,
    Compaction,
    DeniedBy,
    HookDecision,
    HookEvent,
    Record,
    SessionEnd,
    SessionStart,
    SessionStop,
    SideEffects,
    SkillInvocation,
    ToolResult,
    ToolUseBlock,
    TurnStop,
    Usage,
    UserPrompt,
)

NO_RESULT = "«no result in the transcript»"
NO_PROMPT = "«no prompt in the transcript»"
TOO_DEEP = "«nested too deep»"

BLOCKED = 2
_STOPS: dict[str, TurnStop] = {
    "end_turn": "end_turn",
    "stop": "end_turn",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
}
"""What providers call the end of a turn. What stands here under no name is an ordinary end."""


class Imported(Struct, frozen=True):
    """One session: the id it had, if it had one, and its records."""

    original_id: str | None
    records: list[Record]

    @property
    def is_empty(self) -> bool:
        """The model never said anything."""
        return not any(isinstance(record, AssistantTurn) for record in self.records)


class About(Struct, kw_only=True):
    """What a transcript says of the session as a whole."""

    actor: str
    original_id: str | None = None
    ts: str | None = None
    model: str | None = None
    agent_version: str | None = None
    cwd: str | None = None
    permission_mode: str | None = None
    parent_session_id: str | None = None


class _Conversation:
    """Where a conversation stands; a subagent's begins with message 0, its prompt."""

    def __init__(self, parent: str | None) -> None:
        self.parent = parent
        self.turn = -1 if parent is None else 0
        self.asked_turn = 0
        self.open: dict[str, ToolUseBlock] = {}


class Session:
    """Takes what happened and keeps the records.

    `parent` is everywhere the tool use that started the subagent concerned, None for the main
    conversation.
    """

    def __init__(self, about: About, notes: Notes) -> None:
        self.about = about
        self.notes = notes
        self.records: list[Record] = []
        self._main = _Conversation(None)
        self._end: SessionEnd | None = None
        self._subagents: dict[str, _Conversation] = {}
        self._uses: set[str] = set()

    def prompt(self, text: str) -> None:
        """A person asked for something."""
        self._close(self._main)
        self._main.turn += 1
        self.records.append(UserPrompt(v=1, turn=self._main.turn, text=text))

    def answer(
        self,
        blocks: list[Block],
        *,
        stop: Any = None,
        usage: Usage | None = None,
        model: str | None = None,
        latency_ms: int | None = None,
        parent: str | None = None,
    ) -> None:
        """The model answered. `stop` is why it stopped, in whatever words its provider has."""
        conversation = self._conversation(parent)
        blocks = list(self._sound(blocks))
        if conversation is None or not blocks:
            self.notes.skip("answer without content" if not blocks else "answer of no known agent")
            return
        self._close(conversation)
        if conversation.turn < 0:
            self.notes.mark("answer to no prompt")
            self.prompt(NO_PROMPT)
        conversation.turn += 1
        conversation.asked_turn = conversation.turn
        uses = {block.id: block for block in blocks if isinstance(block, ToolUseBlock)}
        conversation.open = uses
        self._uses.update(uses)
        ended = _STOPS.get(stop, "end_turn") if isinstance(stop, str) else "end_turn"
        self.records.append(
            AssistantTurn(
                v=1,
                turn=conversation.turn,
                blocks=blocks,
                stop_reason="tool_use" if uses else ended,
                usage=usage,
                model=model,
                latency_ms=latency_ms,
                parent_tool_use_id=parent,
            )
        )

    def spent(self, usage: Usage | None) -> bool:
        """So much the last answer took. Say whether there is one of which that was not known."""
        for record in reversed(self.records):
            if isinstance(record, UserPrompt):
                return False
            if isinstance(record, AssistantTurn):
                if record.usage is not None:
                    return False
                record.usage = usage
                return True
        return False

    def waiting(self, use: str, parent: str | None = None) -> ToolUseBlock | None:
        """Return a tool use that has no result yet."""
        conversation = self._conversation(parent)
        return None if conversation is None else conversation.open.get(use)

    def result(
        self,
        use: str,
        content: str,
        *,
        ok: bool = True,
        side_effects: SideEffects | None = None,
        duration_ms: int | None = None,
        denied_by: DeniedBy | None = None,
        parent: str | None = None,
    ) -> None:
        """A tool use came to something."""
        conversation = self._conversation(parent)
        if conversation is None or use not in conversation.open:
            self.notes.skip("result of no open tool use")
            return
        del conversation.open[use]
        conversation.turn = conversation.asked_turn + 1
        self.records.append(
            ToolResult(
                v=1,
                turn=conversation.turn,
                tool_use_id=use,
                ok=ok and denied_by is None,
                content=content,
                side_effects=side_effects,
                duration_ms=duration_ms,
                denied_by=denied_by,
                parent_tool_use_id=parent,
            )
        )

    def hook(
        self,
        event: str,
        decision: HookDecision,
        exit_code: int,
        *,
        output: str | None = None,
        tool_use_id: str | None = None,
        duration_ms: int | None = None,
        parent: str | None = None,
    ) -> None:
        """A hook ran. One that exits 0 can block only by the JSON that it said.

        Transcripts give hooks of other events ids too, which are of no tool use.
        """
        conversation = self._conversation(parent)
        if conversation is None:
            self.notes.skip("hook of no known agent")
            return
        if decision == "block":
            exit_code = 0 if exit_code == 0 and _is_json_object(output) else BLOCKED
        else:
            decision = "allow" if exit_code == 0 else "block" if exit_code == BLOCKED else "warn"
        self.records.append(
            HookEvent(
                v=1,
                turn=max(conversation.turn, 0),
                event=event,
                decision=decision,
                exit_code=exit_code,
                output=output,
                tool_use_id=tool_use_id if tool_use_id in self._uses else None,
                duration_ms=duration_ms,
                parent_tool_use_id=parent,
            )
        )

    def skill(
        self,
        name: str,
        *,
        by_user: bool,
        injected: bool,
        parent: str | None = None,
    ) -> None:
        """A skill was put to use."""
        conversation = self._conversation(parent)
        if conversation is None:
            self.notes.skip("skill of no known agent")
            return
        self.records.append(
            SkillInvocation(
                v=1,
                turn=max(conversation.turn, 0),
                name=name,
                source="user_invoked" if by_user else "auto_matched",
                instructions_injected=injected,
                parent_tool_use_id=parent,
            )
        )

    def compaction(
        self,
        trigger: Any,
        tokens_before: int | None,
        tokens_after: int | None,
        *,
        summary_sha256: str | None = None,
    ) -> None:
        """The history was summarised. Sizes that are not known are 0."""
        if tokens_before is None or tokens_after is None:
            self.notes.mark("compaction of unknown size")
        self.records.append(
            Compaction(
                v=1,
                turn=max(self._main.turn, 0),
                trigger="manual" if trigger == "manual" else "auto",
                tokens_before=tokens_before or 0,
                tokens_after=tokens_after or 0,
                summary_sha256=summary_sha256,
            )
        )

    def end(self, stop_reason: SessionStop, **facts: Any) -> None:
        """The session ended. `facts` are optional fields of `SessionEnd`; the last end holds."""
        self._end = SessionEnd(v=1, turn=0, stop_reason=stop_reason, **facts)

    def finish(self) -> Imported:
        """Return the session as far as it got."""
        if self._end is not None:
            if self._end.stop_reason != "error":
                self._close(self._main)
            turn = max(self._main.turn, 0)
            self.records.append(msgspec.structs.replace(self._end, turn=turn))
        about = self.about
        ts = about.ts or UNKNOWN_TIME
        body = msgspec.json.Encoder().encode_lines(self.records)
        start = SessionStart(
            v=1,
            session_id=session_id(about.original_id, ts, body),
            ts=ts,
            actor=about.actor,
            model=about.model or self._first_model() or UNKNOWN_MODEL,
            cwd_sha256=UNKNOWN_TREE,
            agent_version=about.agent_version,
            schema_version=3,
            cwd=about.cwd,
            permission_mode=about.permission_mode,
            parent_session_id=about.parent_session_id,
        )
        return Imported(about.original_id, [start, *self.records])

    def _first_model(self) -> str | None:
        turns = (record for record in self.records if isinstance(record, AssistantTurn))
        return next((turn.model for turn in turns if turn.model), None)

    def _conversation(self, parent: str | None) -> _Conversation | None:
        """Return a conversation; a subagent's only if a tool use with that id was seen."""
        if parent is None:
            return self._main
        if parent not in self._subagents and parent in self._uses:
            self._subagents[parent] = _Conversation(parent)
        return self._subagents.get(parent)

    def _close(self, conversation: _Conversation) -> None:
        """Go on to the next message: tool uses that have no result get one that says so."""
        for use in list(conversation.open):
            self.notes.mark("tool use without a result")
            self.result(use, NO_RESULT, ok=False, parent=conversation.parent)

    def _sound(self, blocks: list[Block]) -> Iterator[Block]:
        """Leave out tool uses whose id an earlier one of the turn has, and inputs none can read."""
        seen: set[str] = set()
        for block in blocks:
            if isinstance(block, ToolUseBlock):
                if block.id in seen:
                    self.notes.skip("tool use with the id of another one of its turn")
                    continue
                seen.add(block.id)
                if is_deep(block.input):
                    self.notes.mark("tool input nested too deep")
                    yield ToolUseBlock(block.id, block.name, {TOO_DEEP: True})
                    continue
            yield block


def _is_json_object(output: str | None) -> bool:
    try:
        return isinstance(json.loads(output or ""), dict)
    except (ValueError, RecursionError):
        return False
