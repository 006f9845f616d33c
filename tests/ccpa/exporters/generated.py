"""Valid traces, made up by hypothesis: every kind of record, subagents in subagents, any text."""

import itertools
from collections.abc import Iterator
from typing import Any, get_args

from hypothesis import strategies as st

from ccpa.trace import (
    AssistantTurn,
    Block,
    Compaction,
    DeniedBy,
    HookEvent,
    Record,
    SessionEnd,
    SessionStart,
    SessionStop,
    SideEffects,
    SkillInvocation,
    TextBlock,
    ThinkingBlock,
    ToolResult,
    ToolUseBlock,
    TurnStop,
    Usage,
    UserPrompt,
)

DIGEST = "a" * 64
_COUNTS = st.integers(0, 2**53 - 1)
_MAYBE_COUNT = st.none() | _COUNTS
_TEXT = st.text(max_size=12)
_MAYBE_TEXT = st.none() | _TEXT
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_EFFECTS = st.none() | st.builds(
    SideEffects,
    files_read=st.lists(_TEXT, max_size=2),
    files_written=st.lists(_TEXT, max_size=2),
    exit_code=st.none() | st.integers(-(2**31), 2**32 - 1),
)
_USAGE = st.none() | st.tuples(_COUNTS, _COUNTS, st.booleans()).map(
    lambda one: Usage(
        input_tokens=one[0], output_tokens=one[1], cache_read_tokens=one[0] if one[2] else 0
    )
)


class _Author:
    """Writes records as `docs/trace.md` would have them; `draw` decides what happens."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.ids = (f"call_{number}" for number in itertools.count(1))

    def session(self, turn: int) -> Iterator[Record]:
        yield from self.aside(max(turn - 1, 0), None)
        for _ in range(self.draw(st.integers(1, 2))):
            yield UserPrompt(v=1, turn=turn, text=self.draw(_TEXT))
            for record in self.answers(turn + 1, None, depth=0):
                if getattr(record, "parent_tool_use_id", None) is None:
                    turn = max(turn, record.turn)
                yield record
            turn += 1
        stop = self.draw(_SESSION_STOPS)
        yield SessionEnd(
            v=1,
            turn=turn - 1,
            stop_reason=stop,
            elapsed_ms=self.draw(_MAYBE_COUNT),
            tokens_in=self.draw(_MAYBE_COUNT),
            tokens_out=self.draw(_MAYBE_COUNT),
            cwd_sha256_after=self.draw(st.none() | st.just(DIGEST)),
            error=self.draw(_TEXT) if stop == "error" else None,
            cost_usd=self.draw(st.none() | st.floats(0, 1e6)),
        )

    def answers(self, turn: int, parent: str | None, *, depth: int) -> Iterator[Any]:
        """Yield answers of one conversation, the last of which asks for no tool."""
        for _ in range(self.draw(st.integers(0, 2))):
            uses = [
                ToolUseBlock(next(self.ids), self.draw(_TOOLS), self.draw(_INPUTS))
                for _ in range(self.draw(st.integers(1, 3)))
            ]
            yield self.answer(turn, uses, parent)
            yield from self.results(turn, uses, parent, depth)
            turn += 2
        yield self.answer(turn, [], parent)
        yield from self.aside(turn, parent)

    def answer(self, turn: int, uses: list[ToolUseBlock], parent: str | None) -> AssistantTurn:
        said = self.draw(st.lists(_SAYING, min_size=0 if uses else 1, max_size=3))
        blocks: list[Block] = self.draw(st.permutations([*said, *uses]))
        return AssistantTurn(
            v=1,
            turn=turn,
            blocks=blocks,
            stop_reason="tool_use" if uses else self.draw(_TURN_STOPS),
            usage=self.draw(_USAGE),
            model=self.draw(_MAYBE_TEXT),
            latency_ms=self.draw(_MAYBE_COUNT),
            parent_tool_use_id=parent,
        )

    def results(
        self, turn: int, uses: list[ToolUseBlock], parent: str | None, depth: int
    ) -> Iterator[Record]:
        for number, use in enumerate(self.draw(st.permutations(uses))):
            yield from self.aside(turn + min(number, 1), parent, use.id)
            if depth < 2 and self.draw(st.integers(0, 3)) == 0:
                yield from self.answers(1, use.id, depth=depth + 1)
            denied = self.draw(st.none() | _DENIALS)
            cut = self.draw(st.booleans())
            yield ToolResult(
                v=1,
                turn=turn + 1,
                tool_use_id=use.id,
                ok=denied is None and self.draw(st.booleans()),
                content=self.draw(_TEXT),
                side_effects=self.draw(_EFFECTS),
                duration_ms=self.draw(_MAYBE_COUNT),
                denied_by=denied,
                parent_tool_use_id=parent,
                content_sha256=DIGEST if cut else None,
                truncated=True if cut else None,
            )
            yield from self.aside(turn + 1, parent, use.id)

    def aside(self, turn: int, parent: str | None, use: str | None = None) -> Iterator[Record]:
        """Yield, perhaps, a hook, a skill or a compaction."""
        match self.draw(st.integers(0, 8)):
            case 0 | 1 | 2:
                event = self.draw(st.sampled_from(["PreToolUse", "PostToolUse", "Stop"]))
                decision, code = self.draw(_DECISIONS)
                yield HookEvent(
                    v=1,
                    turn=turn,
                    event=event,
                    decision=decision,
                    exit_code=code,
                    matcher=self.draw(_MAYBE_TEXT),
                    output=self.draw(_MAYBE_TEXT),
                    tool_use_id=use,
                    duration_ms=self.draw(_MAYBE_COUNT),
                    parent_tool_use_id=parent,
                )
            case 3:
                yield SkillInvocation(
                    v=1,
                    turn=turn,
                    name=self.draw(_TEXT),
                    source=self.draw(st.sampled_from(["user_invoked", "auto_matched"])),
                    instructions_injected=self.draw(st.booleans()),
                    parent_tool_use_id=parent,
                )
            case 4:
                yield Compaction(
                    v=1,
                    turn=turn,
                    trigger=self.draw(st.sampled_from(["manual", "auto"])),
                    tokens_before=self.draw(_COUNTS),
                    tokens_after=self.draw(_COUNTS),
                    parent_tool_use_id=parent,
                )


_SAYING: st.SearchStrategy[Block] = st.builds(TextBlock, _TEXT) | st.builds(
    ThinkingBlock, _TEXT, _MAYBE_TEXT
)
_TOOLS = st.sampled_from(["Bash", "Read", "Edit", "Agent", "exec_command", "mcp__tea__brew"])
# A tool without its required input equals nothing, not even itself: these have all that any needs.
_NEEDED = {
    "command": "ls -l",
    "file_path": "/work/tea.py",
    "old_string": "green",
    "new_string": "black",
    "prompt": "Look for tea.",
    "subagent_type": "Explore",
}
_INPUTS = st.dictionaries(_TEXT, _JSON, max_size=2).map(lambda more: more | _NEEDED)
_SESSION_STOPS: st.SearchStrategy[SessionStop] = st.sampled_from(get_args(SessionStop))
_TURN_STOPS: st.SearchStrategy[TurnStop] = st.sampled_from(["end_turn", "max_tokens"])
_DENIALS: st.SearchStrategy[DeniedBy] = st.sampled_from(get_args(DeniedBy))
_DECISIONS: st.SearchStrategy[Any] = st.sampled_from([("allow", 0), ("block", 2), ("warn", 1)])


@st.composite
def traces(draw: st.DrawFn) -> list[Record]:
    """Return a trace that is valid, or the beginning of one: some are cut short anywhere."""
    resumed = draw(st.none() | st.just("01980f3a-5c9e-7b21-9d3c-0242ac120001"))
    start = SessionStart(
        v=1,
        session_id="01980f3a-5c9e-7b21-9d3c-0242ac120002",
        ts=draw(st.sampled_from(["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456+00:00"])),
        actor=draw(st.sampled_from(["claude-code", "apr-code", "codex", "mini-swe-agent"])),
        model=draw(_TEXT),
        cwd_sha256=DIGEST,
        agent_version=draw(_MAYBE_TEXT),
        schema_version=3,
        cwd=draw(st.none() | st.just("/work")),
        permission_mode=draw(_MAYBE_TEXT),
        parent_session_id=resumed,
    )
    records = list(_Author(draw).session(0 if resumed is None else draw(st.integers(0, 9))))
    if draw(st.integers(0, 4)) == 0:
        records = records[: draw(st.integers(1, len(records)))]
    return [start, *records]
