"""The tool uses that are going on, the session's own and those of its subagents."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct, field

from apr.terminal.calls import headline
from apr.terminal.cells import cut, isolated, overwritten, untabbed
from apr.terminal.differences import Change, change
from apr.terminal.ink import Line
from apr.tools.registry import ALIASES
from apr.ui.terminal import line as one_line
from apr.ui.terminal import plain
from ccpa.trace import AssistantTurn, ToolResult, ToolUseBlock

_AT_ONCE = 6
"""Calls that are shown beside each other."""
_TAIL = 5
"""Lines of output that are shown of a command while it runs."""
_KEPT = 8000
"""Characters of its output that are kept for that."""


class Going(Struct, kw_only=True):
    """A tool use that has no result yet."""

    call: ToolUseBlock
    parent: str | None
    since: float | None = None
    """When it began to run; None before that."""
    change: Change | None = None
    """Of an edit, what it changes; seen before it is made."""
    shown: bool = False
    """Whether that has been seen already, with a question."""
    output: str = ""
    """The end of what a command has said so far."""


class Crew(Struct, kw_only=True):
    """What a subagent has done so far."""

    task: str
    since: float
    behind: bool = False
    """Whether nobody waits for it."""
    done: bool = False
    calls: int = 0
    failed: int = 0
    latest: Line = field(default_factory=list)

    def told(self) -> str:
        """Return what it has done in a few words."""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.calls} call{'' if self.calls == 1 else 's'}{failed}"


class Work:
    """What is being done.

    Args:
        root: where the files are that edits name.
        clock: returns seconds.
    """

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self._root = root
        self._clock = clock
        self._going: dict[str, Going] = {}
        self._crews: dict[str, Crew] = {}
        self._shown: dict[str, Change] = {}

    def asked(self, turn: AssistantTurn) -> None:
        """Take an answer: the calls in it will have results."""
        parent = turn.parent_tool_use_id
        calls = [_named(block) for block in turn.blocks if isinstance(block, ToolUseBlock)]
        for call in calls:
            self._going[call.id] = Going(call=call, parent=parent)
        if parent is not None and (crew := self._crew(parent)):
            crew.done = not calls

    def started(self, call: ToolUseBlock) -> Going:
        """Take a call that now runs."""
        call = _named(call)
        going = self._going.setdefault(call.id, Going(call=call, parent=None))
        going.call, going.since = call, self._clock()  # a hook may have changed the input
        crew = self._crew(going.parent)
        if crew is not None:
            crew.calls += 1
            crew.latest = headline(call, 60)
        elif call.name == "Agent":
            task = f"{call.input.get('subagent_type', 'agent')}: {call.input.get('description')}"
            self._crews[call.id] = Crew(task=one_line(task), since=self._clock())
        else:
            going.change = change(call, self._root)
            going.shown = _same(self._shown.pop(call.id, None), going.change)
        return going

    def said(self, call_id: str, text: str) -> None:
        """Take output of a call that runs."""
        if (going := self._going.get(call_id)) is not None:
            going.output = (going.output + text)[-_KEPT:]

    def ended(self, result: ToolResult) -> Going | None:
        """Take a result, and return the call it is of."""
        going = self._going.pop(result.tool_use_id, None)
        if going is None:
            return None
        if going.parent is not None and not result.ok and (crew := self._crew(going.parent)):
            crew.failed += 1
        own = self._crews.get(result.tool_use_id)
        if own is not None:
            own.behind = result.ok and bool(going.call.input.get("run_in_background"))
            own.done = not own.behind
        return going

    def cleared(self) -> None:
        """Forget the calls of a prompt that is over. What runs in the background goes on."""
        self._shown.clear()
        self._going = {key: going for key, going in self._going.items() if going.parent}
        self._crews = {key: crew for key, crew in self._crews.items() if not crew.done}

    def crew(self, call_id: str) -> Crew | None:
        """Return what the subagent has done that a call has started."""
        return self._crews.get(call_id)

    def who(self, call_id: str) -> str | None:
        """Return who makes a call: None for the session itself, else what the subagent does."""
        going = self._going.get(call_id)
        if going is not None and going.parent is None:
            return None
        crew = self._crew(going.parent) if going is not None else None
        return f"a subagent ({crew.task})" if crew is not None else "a subagent"

    def has_shown(self, call_id: str, made: Change) -> None:
        """Remember that this has been shown of a call; if it changes something else, that is."""
        self._shown[call_id] = made

    def lines(self, columns: int) -> Iterator[Line]:
        """Yield what is going on, a line for each call, and more for one that says something."""
        own = [g for g in self._going.values() if g.parent is None and g.since is not None]
        for going in own[:_AT_ONCE]:
            yield from self._line(going, columns, alone=len(own) == 1)
        if len(own) > _AT_ONCE:
            yield [("dim", f"  … and {len(own) - _AT_ONCE} more")]
        for crew in self._crews.values():
            if crew.behind and not crew.done:
                yield [("ansicyan", "◦ "), ("", cut(isolated(crew.task), columns // 2)), *_so(crew)]

    def _line(self, going: Going, columns: int, *, alone: bool) -> Iterator[Line]:
        elapsed = self._clock() - (going.since or 0)
        clock = f" · {elapsed:.0f} s" if elapsed >= 1 else ""
        yield [*headline(going.call, columns - len(clock)), ("dim", clock)]
        crew = self._crews.get(going.call.id)
        if crew is not None and crew.calls:
            yield [("dim", "  ⎿"), *_so(crew)]
        if alone and going.output:
            for text in going.output.rstrip("\r\n").split("\n")[-_TAIL:]:
                shown = untabbed(plain(overwritten(text)))
                yield [("dim", f"  {isolated(cut(shown, columns - 2))}")]

    def _crew(self, parent: str | None) -> Crew | None:
        return self._crews.get(parent) if parent is not None else None


def _named(call: ToolUseBlock) -> ToolUseBlock:
    """Return a call under the one name of its tool."""
    return msgspec.structs.replace(call, name=ALIASES.get(call.name, call.name))


def _same(shown: Change | None, made: Change | None) -> bool:
    """Whether two changes are one, whatever the file is called in each."""
    if shown is None or made is None:
        return False
    return (shown.before, shown.after) == (made.before, made.after)


def _so(crew: Crew) -> Line:
    return [("dim", f" {crew.told()} · "), *crew.latest[1:]]
