"""Decisions, one by one: how often does the student decide as the teacher did, and where not?"""

from collections.abc import Hashable, Iterable, Sequence

from msgspec import Struct

from ccpa.measure.outcome import Call, Decision, Outcome

NO_TOOL = "(no tool)"
"""Stands in tables for a side that answered, or called for fewer tools."""

_POSITIONS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, 20), (21, 50))
_SMALLEST_CONTEXT = 1024


class Rate(Struct):
    """How many of a kind agree."""

    same: int = 0
    total: int = 0

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.same / self.total

    def count(self, same: bool) -> None:
        """Add one."""
        self.same += same
        self.total += 1


class Agreement(Struct, frozen=True):
    """How decisions agree.

    Args:
        decisions: all of them.
        by_tool: calls, by the tool that the teacher called; answers count as `NO_TOOL`.
        by_position: decisions, by their place in the conversation.
        by_context: decisions, by the tokens of history before them.
        confusion: calls, by the teacher's tool and then by the student's.
        failed: decisions that the student's context was too small for; they do not agree.
    """

    decisions: Rate
    by_tool: dict[str, Rate]
    by_position: dict[str, Rate]
    by_context: dict[str, Rate]
    confusion: dict[str, dict[str, int]]
    failed: int


def pair_calls(
    teacher: Sequence[tuple[str, Hashable]], student: Sequence[tuple[str, Hashable]]
) -> tuple[Call, ...]:
    """Pair the calls of one decision, given as tool and key: the same, then of one tool, then rest.

    Calls of one answer are independent of each other, so their order does not count. What finds no
    partner is paired with none.
    """
    left, right = list(teacher), list(student)
    pairs: list[Call] = []
    for alike in (_same, _same_tool, _any):
        for one in list(left):
            other = next((candidate for candidate in right if alike(one, candidate)), None)
            if other is not None:
                left.remove(one)
                right.remove(other)
                pairs.append(Call(one[0], other[0], alike is _same))
    pairs += [Call(name, "", same=False) for name, _ in left]
    pairs += [Call("", name, same=False) for name, _ in right]
    return tuple(pairs)


def agreement(outcomes: Iterable[Outcome]) -> Agreement:
    """Count the decisions of runs."""
    found = Agreement(Rate(), {}, {}, {}, {}, 0)
    failed = 0
    by_position: dict[int, Rate] = {}
    by_context: dict[int, Rate] = {}
    for decision in (decision for outcome in outcomes for decision in outcome.decisions):
        found.decisions.count(decision.same)
        by_position.setdefault(_place(decision.position), Rate()).count(decision.same)
        if decision.failed is not None:
            failed += 1
            continue
        by_context.setdefault(_size(decision.context), Rate()).count(decision.same)
        _count_calls(found, decision)
    return Agreement(
        found.decisions,
        dict(sorted(found.by_tool.items())),
        {_place_label(place): rate for place, rate in sorted(by_position.items())},
        {_size_label(size): rate for size, rate in sorted(by_context.items())},
        {name: dict(sorted(row.items())) for name, row in sorted(found.confusion.items())},
        failed,
    )


def _same(one: tuple[str, Hashable], other: tuple[str, Hashable]) -> bool:
    return one == other


def _same_tool(one: tuple[str, Hashable], other: tuple[str, Hashable]) -> bool:
    return one[0] == other[0]


def _any(_one: tuple[str, Hashable], _other: tuple[str, Hashable]) -> bool:
    return True


def _count_calls(found: Agreement, decision: Decision) -> None:
    for call in decision.calls or (Call("", "", same=True),):
        teacher, student = call.teacher or NO_TOOL, call.student or NO_TOOL
        row = found.confusion.setdefault(teacher, {})
        row[student] = row.get(student, 0) + 1
        found.by_tool.setdefault(teacher, Rate()).count(call.same)


def _place(position: int) -> int:
    """Return which of the ranges a position is in; beyond them all, their number."""
    fitting = (n for n, (_, last) in enumerate(_POSITIONS) if position <= last)
    return next(fitting, len(_POSITIONS))


def _place_label(place: int) -> str:
    if place == len(_POSITIONS):
        return f"> {_POSITIONS[-1][1]}"
    first, last = _POSITIONS[place]
    return f"{first}" if first == last else f"{first}-{last}"


def _size(context: int) -> int:
    """Return the least power of two, from 1,024, that holds so many tokens."""
    size = _SMALLEST_CONTEXT
    while size < context:
        size *= 2
    return size


def _size_label(size: int) -> str:
    return f"<= {size // 1024}k"
