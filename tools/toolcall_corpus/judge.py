"""What became of the calls of an output: right, altered, lost or invented.

All parsers are judged alike, as an agent meets them: a call of a tool that was not offered, or
without a required argument, is one that the agent refuses, whichever parser let it through.
"""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from apr.providers.base import ToolSpec
from toolcall_corpus.cases import Case

Verdict = Literal["right", "lost", "altered", "invented"]
Got = tuple[str, Any]
"""Name and input of a call, as a parser returned it."""


class Faults(Struct, frozen=True):
    """How many calls were lost, came with another name or value, and should not have been."""

    lost: int = 0
    altered: int = 0
    invented: int = 0

    @property
    def verdict(self) -> Verdict:
        """The worst of them."""
        if self.invented:
            return "invented"
        if self.altered:
            return "altered"
        return "lost" if self.lost else "right"


def judge(case: Case, got: Sequence[Got], tools: Sequence[ToolSpec]) -> Faults:
    """Compare the calls that a parser returned, and an agent would run, with those expected."""
    runs = [call for call in got if _fit(call, tools)]
    readings = [case.calls] if case.or_calls is None else [case.calls, case.or_calls]
    return min(
        (_compare([(call.name, call.input) for call in reading], runs) for reading in readings),
        key=lambda faults: (faults.lost + faults.altered + faults.invented, faults.invented),
    )


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are one: 1 is 1.0, but neither is true, and keys have no order."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def _fit(call: Got, tools: Sequence[ToolSpec]) -> bool:
    """Whether an agent that offers `tools` would run the call."""
    name, given = call
    schema = next((tool.parameters for tool in tools if tool.name == name), None)
    return schema is not None and isinstance(given, dict) and set(schema["required"]) <= set(given)


def _compare(expected: list[Got], got: list[Got]) -> Faults:
    """Pair equal calls in order; what is left of both is altered, of one is lost or invented."""
    missing = list(expected)
    surplus = []
    for name, given in got:
        place = next(
            (i for i, want in enumerate(missing) if want[0] == name and same(want[1], given)), None
        )
        if place is None:
            surplus.append(name)
        else:
            del missing[place]
    in_order = [same([*want], [*have]) for want, have in zip(expected, got, strict=False)]
    if not missing and not surplus and not all(in_order):
        return Faults(altered=in_order.count(False))
    altered = min(len(missing), len(surplus))
    return Faults(len(missing) - altered, altered, len(surplus) - altered)
