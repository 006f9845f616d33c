"""What is wrong with a sequence of records that are each in order.

The rules are those of `docs/trace.md`. One fault is told once: after a wrong turn number, counting
goes on from that number, and a line that could not be read excuses what only it could explain.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

from ccpa.trace import (
    AssistantTurn,
    Compaction,
    HookEvent,
    Record,
    SessionEnd,
    SessionStart,
    SkillInvocation,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
    record_type,
)
from ccpa.validate import formats
from ccpa.validate.wording import quoted

Tell = Callable[[int, str, str], None]
"""Takes a fault: the line, the field as a JSON path, and what is wrong."""

REMEMBERED = 10_000
"""So many tool uses and subagents, the latest, are known: memory must not grow with the trace."""

_BLOCKED = 2


class Conversation:
    """Where a conversation of one model stands: the main one, or a subagent's."""

    __slots__ = ("answered", "asked_line", "asked_turn", "doubtful", "open", "spoken_to", "turn")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        """The number of its last message."""
        self.open: dict[str, None] = {}
        """The tool uses of its last assistant turn that have no result yet, in order."""
        self.answered: set[str] = set()
        """Those that have one."""
        self.asked_turn = turn
        self.asked_line = 0
        self.spoken_to = False
        """A hook that blocked may have given the model a message that is no record."""
        self.doubtful = False
        """A line that could not be read may have belonged to it."""


class Session:
    """Takes a trace's records in order and tells what makes no sense.

    Args:
        tell: called with every fault.
        prefix: the trace may stop anywhere.
    """

    def __init__(self, tell: Tell, *, prefix: bool) -> None:
        self.tell = tell
        self.prefix = prefix
        self.started = False
        self.ended: int | None = None
        self.after_end = False
        self.any_first_turn = False
        self.main = Conversation(-1)
        self.subagents: dict[str, Conversation] = {}
        self.known_ids: set[str] = set()
        self.older_ids: set[str] = set()
        takes: dict[str, Callable[[Any, int], None]] = {
            "session_start": self._session_start,
            "user_prompt": self._user_prompt,
            "assistant_turn": self._assistant_turn,
            "tool_result": self._tool_result,
            "hook_event": self._hook_event,
            "skill_invocation": self._beside,
            "compaction": self._compaction,
            "session_end": self._session_end,
        }
        self._takes = {
            kind: takes[kind.__struct_config__.tag]
            for version in (2, 3)
            for kind in get_args(record_type(version))
        }

    def take(self, record: Record, line: int) -> None:
        """Take the next record, which stands on this line."""
        if not self.started and type(record).__name__ != "SessionStart":
            self.tell(line, "$.kind", "the first record must be a session_start")
        if self.ended is None:
            self._takes[type(record)](record, line)
        elif not self.after_end:
            self.after_end = True
            self.tell(line, "$", f"the session ended on line {self.ended}; nothing may follow")
        self.started = True

    def lose(self, kind: str | None, line: int) -> None:
        """Go on after a line that is no record, though it may claim to be of a kind."""
        if not self.started and kind not in ("session_start", None):
            self.tell(line, "$.kind", "the first record must be a session_start")
        self.started = True
        if kind == "session_end":
            self.ended = line
        for conversation in (self.main, *self.subagents.values()):
            conversation.doubtful = True

    def finish(self, line: int) -> None:
        """Tell what is missing at the end of the trace, after this many lines."""
        if self.prefix:
            return
        if not self.started:
            self.tell(max(line, 1), "$", "there is no record")
        elif self.ended is None:
            self.tell(line, "$", "no session_end: the trace is cut short (--prefix accepts that)")

    def _session_start(self, record: SessionStart, line: int) -> None:
        if self.started:
            self.tell(line, "$.kind", "a second session_start: one file holds one session")
            return
        self.any_first_turn = record.parent_session_id is not None
        self._formats(record, line)

    def _user_prompt(self, record: UserPrompt, line: int) -> None:
        main = self.main
        self._close_turn(main, line)
        if main.turn < 0 and self.any_first_turn:
            main.turn = record.turn - 1
        self._next_message(main, record.turn, line)

    def _assistant_turn(self, record: AssistantTurn, line: int) -> None:
        parent = record.parent_tool_use_id
        conversation = self.main if parent is None else self._subagent(parent, line)
        self._close_turn(conversation, line)
        self._next_message(conversation, record.turn, line)
        conversation.asked_turn = record.turn
        conversation.asked_line = line
        uses = conversation.open
        for index, block in enumerate(record.blocks):
            if type(block) is ToolUseBlock:
                if block.id in uses:
                    message = f"{quoted(block.id)} is the id of an earlier tool use of this turn"
                    self.tell(line, f"$.blocks[{index}].id", message)
                uses[block.id] = None
        if (record.stop_reason == "tool_use") is not bool(uses):
            has = "has a tool use" if uses else "has no tool use"
            self.tell(
                line, "$.stop_reason", f"the turn {has}, but stopped for {record.stop_reason}"
            )
        if uses:
            self._remember(uses)

    def _tool_result(self, record: ToolResult, line: int) -> None:
        parent = record.parent_tool_use_id
        conversation = self.main if parent is None else self._subagent(parent, line)
        use = record.tool_use_id
        if use in conversation.open:
            del conversation.open[use]
            conversation.answered.add(use)
            if record.turn != conversation.asked_turn + 1:
                message = (
                    f"results of turn {conversation.asked_turn} are turn "
                    f"{conversation.asked_turn + 1}, not {record.turn}"
                )
                self.tell(line, "$.turn", message)
        elif use in conversation.answered:
            self.tell(line, "$.tool_use_id", f"tool use {quoted(use)} has a result already")
        elif not conversation.doubtful:
            message = f"answers no tool use of the assistant turn before it: {quoted(use)}"
            self.tell(line, "$.tool_use_id", message)
        conversation.turn = record.turn
        if record.denied_by is not None and record.ok:
            self.tell(line, "$.ok", f"true, though {record.denied_by} denied the tool use")
        if record.content_sha256 is not None:
            self._formats(record, line)

    def _hook_event(self, record: HookEvent, line: int) -> None:
        self._beside(record, line)
        code, decision = record.exit_code, record.decision
        if code == 0 and decision == "block":
            if not _is_json_object(record.output):
                message = "a hook that exits 0 and blocks does so in JSON, which is not here"
                self.tell(line, "$.output", message)
        elif decision != (right := {0: "allow", _BLOCKED: "block"}.get(code, "warn")):
            self.tell(line, "$.decision", f"exit code {code} means {right}, not {decision}")
        if decision == "block":
            for conversation in (self.main, *self.subagents.values()):
                conversation.spoken_to = True

    def _compaction(self, record: Compaction, line: int) -> None:
        self._beside(record, line)
        self._formats(record, line)

    def _session_end(self, record: SessionEnd, line: int) -> None:
        main = self.main
        self.ended = line
        if record.stop_reason != "error":
            self._close_turn(main, line)
        last = max(main.turn, 0)
        if record.turn != last and not (main.doubtful or (main.turn < 0 and self.any_first_turn)):
            self.tell(line, "$.turn", f"the last message is turn {last}, not {record.turn}")
        self._formats(record, line)

    def _beside(self, record: HookEvent | SkillInvocation | Compaction, line: int) -> None:
        """Take a record that is no message: it belongs to the last message or to the next."""
        turn, parent = record.turn, record.parent_tool_use_id
        if parent is not None:
            places = [self._subagent(parent, line)]
        elif 0 <= turn - self.main.turn <= 1 or (self.main.turn < 0 and self.any_first_turn):
            return
        else:
            places = [self.main, *self.subagents.values()]
        if any(place.doubtful or 0 <= turn - place.turn <= 1 for place in places):
            return
        last = places[0].turn
        expected = f"{last} or {last + 1}" if last >= 0 else "0"
        self.tell(line, "$.turn", f"belongs to turn {expected} here, not {turn}")

    def _subagent(self, parent: str, line: int) -> Conversation:
        """Return a subagent's conversation. Its prompt, message 0, is the input of its tool use."""
        known = self.subagents.get(parent)
        if known is not None:
            return known
        if not (self.main.doubtful or parent in self.known_ids or parent in self.older_ids):
            self.tell(
                line, "$.parent_tool_use_id", f"no tool use before has the id {quoted(parent)}"
            )
        if len(self.subagents) == REMEMBERED:
            del self.subagents[next(iter(self.subagents))]
        self.subagents[parent] = begun = Conversation(0)
        return begun

    def _remember(self, uses: dict[str, None]) -> None:
        if len(self.known_ids) > REMEMBERED:
            self.older_ids = self.known_ids
            self.known_ids = set()
        self.known_ids.update(uses)

    def _close_turn(self, conversation: Conversation, line: int) -> None:
        """Forget the tool uses of the last assistant turn; tell which were never answered."""
        if conversation.open and not conversation.doubtful:
            asked = conversation.asked_line
            for use in conversation.open:
                self.tell(line, "$", f"tool use {quoted(use)} of line {asked} was never answered")
            conversation.doubtful = True  # whether the results' turn was counted cannot be known
        conversation.open.clear()
        conversation.answered.clear()

    def _next_message(self, conversation: Conversation, turn: int, line: int) -> None:
        expected = conversation.turn + 1
        unseen = conversation.spoken_to and turn == expected + 1
        if turn != expected and not unseen and not conversation.doubtful:
            self.tell(line, "$.turn", f"must be {expected}, the next message; it is {turn}")
        conversation.turn = turn
        conversation.spoken_to = conversation.doubtful = False

    def _formats(self, record: Record, line: int) -> None:
        kind = str(type(record).__struct_config__.tag)
        for field, message in formats.faults(kind, partial(getattr, record)):
            self.tell(line, field, message)


def _is_json_object(text: str | None) -> bool:
    try:
        return isinstance(json.loads(text or ""), dict)
    except (ValueError, RecursionError):
        return False
