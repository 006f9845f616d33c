"""A call that has a result: in a line and a few more, or all of it."""

from collections.abc import Iterable, Iterator

from apr.terminal import calls
from apr.terminal.cells import cut, cut_line, isolated, line_width, width
from apr.terminal.differences import counts, drawn
from apr.terminal.ink import Line
from apr.terminal.work import Crew, Going
from apr.ui.terminal import line as one_line
from ccpa.trace import ToolResult

_DIFFERENCE = 40
"""Lines of a difference that are shown without being asked for."""


def in_short(going: Going, result: ToolResult, crew: Crew | None, columns: int) -> Iterator[Line]:
    """Yield the call, what it came to, and what of that people look for at once.

    Args:
        going: the call.
        result: its result.
        crew: the subagent that it has started, if it is such a call.
        columns: those there are.
    """
    yield from _summary(going, result, crew, columns)
    if going.change is not None and result.ok:
        if going.shown:
            return
        lines, left_out = drawn(going.change, columns - 2, _DIFFERENCE)
    else:
        found, left_out = calls.glance(going.call, result)
        lines = [cut_line(line, columns - 2) for line in found]
        left_out = left_out if lines else 0
    yield from indented(lines)
    if left_out:
        yield [("dim", f"  … +{left_out:,} lines (Ctrl-O)")]


def in_full(going: Going, result: ToolResult, columns: int) -> Iterator[Line]:
    """Yield all of a call and of what it came to."""
    yield calls.headline(going.call, columns)
    if going.change is not None:
        yield from indented(drawn(going.change, columns - 2)[0])
    else:
        yield from indented(calls.arguments(calls.further(going.call))[0])
    told = one_line(calls.outcome(going.call, result))
    yield [("dim" if result.ok else "ansired", f"  {'⎿' if result.ok else '✗'} {isolated(told)}")]
    lines = calls.body(result)
    yield from ([("dim", f"    {text}")] for text in (lines if lines != [told] else ()))


def _summary(going: Going, result: ToolResult, crew: Crew | None, columns: int) -> Iterator[Line]:
    """Yield the call and what it came to: in one line, or of a failure, in two."""
    told = one_line(calls.outcome(going.call, result))
    if not result.ok:
        yield calls.headline(going.call, columns)
        yield [("ansired", f"  ✗ {isolated(told)}")]
        return
    before: list[str] = []
    if crew is not None:
        before.append(crew.told())
    if going.change is not None:
        come, go = counts(going.change)
        before += ["new file"] if going.change.before is None else []
        before.append(f"+{come:,} -{go:,}")
    told = " · ".join(filter(None, (*before, told)))
    room = min(width(told) + 3, columns // 2) if told else 0
    head = calls.headline(going.call, columns - room)
    rest = cut(told, columns - line_width(head) - 3)
    yield [*head, ("dim", f" · {isolated(rest)}")] if told else head


def indented(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield lines further to the right."""
    return ([("", "  "), *line] for line in lines)
