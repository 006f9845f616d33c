"""The sink that counts: what the status line, /cost and /debug say of a session."""

from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from apr.agent.events import Event, Notice, PromptDone, ToolStarted
from apr.memory.reading import Unreadable, text_of
from ccpa.trace import AssistantTurn, HookEvent, ToolResult, ToolUseBlock, Usage

_KEPT = 20
"""Hooks and notices that are remembered."""


class Answered(Struct, frozen=True, kw_only=True):
    """The last answer of the model."""

    usage: Usage
    latency_ms: int


class Ledger:
    """Counts as the session goes. What it remembers is bounded.

    Args:
        root: the project, which relative names of files start from.
    """

    def __init__(self, root: Path = Path()) -> None:
        self._root = root
        self.answers = 0
        self.requests_ms = 0
        """Milliseconds that the model's server has taken for all answers."""
        self.tokens_in = self.tokens_out = self.tokens_cached = 0
        """Of all answers, those of subagents too."""
        self.lines_added = self.lines_removed = 0
        self.last: Answered | None = None
        self.hooks: deque[HookEvent] = deque(maxlen=_KEPT)
        self.notices: deque[str] = deque(maxlen=_KEPT)
        self.tell: Callable[[str], None] | None = None
        """Told of every request and hook, where a person wants to know."""
        self._changes: dict[str, tuple[int, int]] = {}

    def __call__(self, event: Event) -> None:
        """Count the event."""
        match event:
            case AssistantTurn():
                self._answered(event)
            case ToolStarted(call):
                self._changes[call.id] = changed_lines(call, self._root)
            case ToolResult(tool_use_id=id_, ok=ok):
                added, removed = self._changes.pop(id_, (0, 0))
                if ok:
                    self.lines_added += added
                    self.lines_removed += removed
            case HookEvent():
                self.hooks.append(event)
                self._say(hook_in_a_line(event))
            case Notice(text):
                self.notices.append(text)
            case PromptDone():
                self._changes.clear()
            case _:
                pass

    def close(self) -> None:
        """Nothing is left to do."""

    def _answered(self, turn: AssistantTurn) -> None:
        usage = turn.usage or Usage(input_tokens=0, output_tokens=0)
        self.answers += 1
        self.requests_ms += turn.latency_ms or 0
        self.tokens_in += usage.input_tokens
        self.tokens_out += usage.output_tokens
        self.tokens_cached += usage.cache_read_tokens
        if turn.parent_tool_use_id is not None:
            return
        self.last = Answered(usage=usage, latency_ms=turn.latency_ms or 0)
        self._say(f"answer {self.answers}: {answer_in_a_line(self.last)}")

    def _say(self, text: str) -> None:
        if self.tell is not None:
            self.tell(text)


def answer_in_a_line(last: Answered) -> str:
    """Say what an answer took."""
    usage = last.usage
    return (
        f"{usage.input_tokens:,} tokens in ({usage.cache_read_tokens:,} remembered), "
        f"{usage.output_tokens:,} out, {last.latency_ms / 1000:.1f} s"
    )


def hook_in_a_line(event: HookEvent) -> str:
    """Say what a hook came to."""
    matcher = f"({event.matcher})" if event.matcher else ""
    took = f", {event.duration_ms} ms" if event.duration_ms is not None else ""
    said = (event.output or "").strip().partition("\n")[0]
    return f"hook {event.event}{matcher}: {event.decision}, exit {event.exit_code}{took}  {said}"


def changed_lines(call: ToolUseBlock, root: Path) -> tuple[int, int]:
    """Return how many lines an edit adds and removes. Called before it is made.

    A line that only moves counts as neither: so it takes no longer than to read the lines.
    """
    given = call.input
    old, new = given.get("old_string"), given.get("new_string")
    if call.name == "Write":
        old, new = _text(root / str(given.get("file_path"))), given.get("content")
    if not isinstance(old, str) or not isinstance(new, str):
        return 0, 0
    before, after = Counter(old.splitlines()), Counter(new.splitlines())
    return (after - before).total(), (before - after).total()


def _text(path: Path) -> str:
    try:
        return text_of(path)
    except (OSError, ValueError, Unreadable):  # a new file; no name of a file; no text
        return ""
