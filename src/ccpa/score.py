"""What an alignment is worth: F1 of the actions, and whether that is enough.

`parity_score` is F1 over the actions of both sides, so that what the student leaves out costs as
much as what it adds. The final state of the files is one item more, where both sides have one. An
action out of place is not matched. Where there was nothing to compare there is no score.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from ccpa.actions import Action, Session
from ccpa.align import Alignment

MEAN_MIN = 0.95  # of a corpus
EACH_MIN = 0.80  # of every fixture

Verdict = Literal["pass", "fail", "inconclusive"]


class Score(Struct, frozen=True):
    """How near the student comes. Each number is in 0..1, or None where its denominator is zero.

    Args:
        parity: F1, the harmonic mean of the other two.
        recall: how much of what the teacher did the student did too.
        precision: how much of what the student did the teacher did too.
    """

    parity: float | None
    recall: float | None
    precision: float | None


def score(
    teacher: Session,
    student: Session,
    found: Alignment,
    same_files: bool | None,
    weights: Mapping[str, float],
) -> Score:
    """Score an alignment.

    Args:
        teacher: the one side.
        student: the other.
        found: their alignment.
        same_files: whether the files are equal in the end; None where that is not known of both.
        weights: how much an action counts, by tool name, `hook_event`, `skill_invocation` or
            `file_state`. What is not named counts 1.
    """
    matched = _sum((teacher.actions[i] for i, _ in found.matched), weights, len(found.matched))
    wanted = _sum(teacher.actions, weights, len(teacher.actions))
    done = _sum(student.actions, weights, len(student.actions))
    if same_files is not None:
        files = weights.get("file_state", 1.0)
        matched, wanted, done = matched + files * same_files, wanted + files, done + files
    return Score(
        parity=_ratio(2 * matched, wanted + done),
        recall=_ratio(matched, wanted),
        precision=_ratio(matched, done),
    )


def verdict(value: float | None, at_least: float) -> Verdict:
    """Judge a score. None is no evidence either way, and passes no gate."""
    if value is None:
        return "inconclusive"
    return "pass" if value >= at_least else "fail"


def _sum(actions: Iterable[Action], weights: Mapping[str, float], count: int) -> float:
    if not weights:
        return count
    names = (one.name if one.kind == "tool_use" else one.kind for one in actions)
    return sum(weights.get(name, 1.0) for name in names)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
