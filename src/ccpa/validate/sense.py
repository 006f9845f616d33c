"""What is wrong with a sequence of records that are each in order.

The rules are those of `docs/trace.md`. One fault is told once: after a wrong turn number, counting
goes on from that number, and a line that could not be read excuses what only it could explain.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
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

REMEMBERED_USES = 10_000
REMEMBERED_SUBAGENTS = 1_000
"""So many, the latest, are known at least: memory must not grow with the trace."""

_BLOCKED = 2


class Conversation:
    """Where a conversation of one model stands: the main one, or a subagent's."""

    __slots__ = ("answered", "asked_turn", "line", "open", "turn")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        """The number of its last message."""
        self.line = 0
        """Where its last prompt or answer is."""
        self.asked_turn = turn
        """The number of its last answer."""
        self.open: dict[str, None] = {}
        """The tool uses of that answer that have no result yet, in order."""
        self.answered: set[str] = set()
        """Those that have one."""


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
        self.lost_line = 0
        """The last line that was no record, and may have belonged to any conversation."""
        self.block_line = 0
        """The last hook that blocked, and may have given a model a message that is no record."""
        self.main = Conversation(-1)
        self.subagents: dict[str, Conversation] = {}
        self.subagent_turns: Counter[int] = Counter()
        """How many subagents are at which turn."""
        self.known_ids: set[int] = set()
        """Hashes of tool use ids, since the ids themselves may be of any length."""
        self.older_ids: set[int] = set()
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
        self.lost_line = line

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
        if main.turn < 0 and self.any_first_turn:
            main.turn = record.turn - 1
        self._next_message(main, record.turn, line)

    def _assistant_turn(self, record: AssistantTurn, line: int) -> None:
        parent = record.parent_tool_use_id
        conversation = self.main if parent is None else self._subagent(parent, line)
        self._next_message(conversation, record.turn, line)
        conversation.asked_turn = record.turn
        uses = conversation.open
        for index, block in enumerate(record.blocks):
            if type(block) is ToolUseBlock:
                if block.id in uses:
                    message = f"{quoted(block.id)} is the id of an earlier tool use of this turn"
                    self.tell(line, f"$.blocks[{index}].id", message)
                uses[block.id] = None
        # An answer that was cut at the token limit may hold whole calls before the cut.
        cut = record.stop_reason == "max_tokens"
        if not cut and (record.stop_reason == "tool_use") is not bool(uses):
            has = "has a tool use" if uses else "has no tool use"
            self.tell(
                line, "$.stop_reason", f"the turn {has}, but stopped for {record.stop_reason}"
            )
        if uses:
            self._remember(uses)

    def _tool_result(self, record: ToolResult, line: int) -> None:
        parent = record.parent_tool_use_id
        conversation = self.main if parent is None else self._subagent(parent, line)
        use, turn = record.tool_use_id, conversation.asked_turn + 1
        if use in conversation.open:
            del conversation.open[use]
            conversation.answered.add(use)
            if record.turn != turn:
                message = f"results of turn {turn - 1} are turn {turn}, not {record.turn}"
                self.tell(line, "$.turn", message)
            self._move(conversation, record.turn)
        elif use in conversation.answered:
            self.tell(line, "$.tool_use_id", f"tool use {quoted(use)} has a result already")
        else:
            doubtful = self._is_doubtful(conversation)
            if not doubtful:
                message = f"answers no tool use of the assistant turn before it: {quoted(use)}"
                self.tell(line, "$.tool_use_id", message)
            if doubtful or record.turn == turn:
                self._move(conversation, record.turn)
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
            self.block_line = line

    def _compaction(self, record: Compaction, line: int) -> None:
        self._beside(record, line)
        self._formats(record, line)

    def _session_end(self, record: SessionEnd, line: int) -> None:
        main = self.main
        self.ended = line
        if record.stop_reason != "error":
            self._close_turn(main, line)
        last = max(main.turn, 0)
        unseen = self.block_line > main.line and record.turn == last + 1
        free = self._is_doubtful(main) or (main.turn < 0 and self.any_first_turn)
        if record.turn != last and not unseen and not free:
            self.tell(line, "$.turn", f"the last message is turn {last}, not {record.turn}")
        self._formats(record, line)

    def _beside(self, record: HookEvent | SkillInvocation | Compaction, line: int) -> None:
        """Take a record that is no message: it belongs to the last message or to the next."""
        turn, parent = record.turn, record.parent_tool_use_id
        place = self.main if parent is None else self._subagent(parent, line)
        if 0 <= turn - place.turn <= 1 or self._is_doubtful(place):
            return
        if parent is None:
            if self.main.turn < 0 and self.any_first_turn:
                return
            if self.subagent_turns[turn] or self.subagent_turns[turn - 1]:
                return
            if self.subagents and self.lost_line:  # it may have moved any of them
                return
        expected = f"{place.turn} or {place.turn + 1}" if place.turn >= 0 else "0"
        self.tell(line, "$.turn", f"belongs to turn {expected} here, not {turn}")

    def _subagent(self, parent: str, line: int) -> Conversation:
        """Return a subagent's conversation. Its prompt, message 0, is the input of its tool use."""
        known = self.subagents.get(parent)
        if known is not None:
            return known
        use = hash(parent)
        if not (self.lost_line or use in self.known_ids or use in self.older_ids):
            message = f"no tool use before has the id {quoted(parent)}"
            self.tell(line, "$.parent_tool_use_id", message)
        if len(self.subagents) == REMEMBERED_SUBAGENTS:
            oldest = self.subagents.pop(next(iter(self.subagents)))
            self._count(oldest.turn, -1)
        self.subagents[parent] = begun = Conversation(0)
        self._count(0, 1)
        return begun

    def _remember(self, uses: Iterable[str]) -> None:
        if len(self.known_ids) > REMEMBERED_USES:
            self.older_ids = self.known_ids
            self.known_ids = set()
        self.known_ids.update(map(hash, uses))

    def _next_message(self, conversation: Conversation, turn: int, line: int) -> None:
        """Go on to a prompt or an answer."""
        all_answered = self._close_turn(conversation, line)
        expected = conversation.turn + 1
        unseen = self.block_line > conversation.line and turn == expected + 1
        # Where a result is missing, whether the results' turn was counted cannot be known.
        if turn != expected and not unseen and all_answered and not self._is_doubtful(conversation):
            self.tell(line, "$.turn", f"must be {expected}, the next message; it is {turn}")
        self._move(conversation, turn)
        conversation.line = line

    def _close_turn(self, conversation: Conversation, line: int) -> bool:
        """Forget the last answer's tool uses; tell which have no result, return if all have one."""
        left = conversation.open
        if left and not self._is_doubtful(conversation):
            for use in left:
                message = f"tool use {quoted(use)} of line {conversation.line} was never answered"
                self.tell(line, "$", message)
        conversation.open = {}
        conversation.answered.clear()
        return not left

    def _move(self, conversation: Conversation, turn: int) -> None:
        if conversation is not self.main:
            self._count(conversation.turn, -1)
            self._count(turn, 1)
        conversation.turn = turn

    def _count(self, turn: int, change: int) -> None:
        """Keep `subagent_turns`, without the turns where no subagent is."""
        self.subagent_turns[turn] += change
        if not self.subagent_turns[turn]:
            del self.subagent_turns[turn]

    def _is_doubtful(self, conversation: Conversation) -> bool:
        """Say whether a line that was no record may have moved the conversation on."""
        return self.lost_line > conversation.line

    def _formats(self, record: Record, line: int) -> None:
        kind = str(type(record).__struct_config__.tag)
        for field, message in formats.faults(kind, partial(getattr, record)):
            self.tell(line, field, message)


def _is_json_object(text: str | None) -> bool:
    try:
        return isinstance(json.loads(text or ""), dict)
    except (ValueError, RecursionError):
        return False
