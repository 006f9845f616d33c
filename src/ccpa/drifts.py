"""Where and how two sessions drift apart: an alignment, in words that name the kind of drift.

Drifts of actions come from the alignment. The others (how many model calls, why they ended, how
tools came out, what they touched, what is on disk in the end) are looked for only where the actions
agree: what a wrong action leads to is not a second mistake.
"""

from bisect import bisect_left
from math import inf
from typing import Literal

from msgspec import Struct

from ccpa.actions import Action, Session, SideEffectsView, ToolResultView
from ccpa.align import Alignment
from ccpa.paths import Root, relative

Category = Literal[
    "missing_tool_call",
    "extra_tool_call",
    "mismatched_tool_name",
    "mismatched_tool_input",
    "missing_hook_event",
    "extra_hook_event",
    "mismatched_hook_event",
    "missing_skill_invocation",
    "extra_skill_invocation",
    "mismatched_skill_invocation",
    "mismatched_action_kind",
    "turn_order_skew",
    "extraneous_llm_call",
    "missing_llm_call",
    "mismatched_tool_outcome",
    "mismatched_side_effects",
    "mismatched_stop_reason",
    "mismatched_file_state",
]

_MISSING: dict[str, Category] = {
    "tool_use": "missing_tool_call",
    "hook_event": "missing_hook_event",
    "skill_invocation": "missing_skill_invocation",
}
_EXTRA: dict[str, Category] = {
    "tool_use": "extra_tool_call",
    "hook_event": "extra_hook_event",
    "skill_invocation": "extra_skill_invocation",
}
_MISMATCHED: dict[str, Category] = {
    "tool_use": "mismatched_tool_input",
    "hook_event": "mismatched_hook_event",
    "skill_invocation": "mismatched_skill_invocation",
}


class Drift(Struct, frozen=True, kw_only=True):
    """One difference.

    Args:
        category: the kind.
        name: the tool, hook event or skill that it is about (the teacher's where the two differ);
            empty for model calls, ends and files.
        teacher_position: index among the teacher's actions, where it is about one of them.
        teacher_turn: its turn; for a model call, the call's.
        student_position: the same of the student.
        student_turn: the same of the student.
        values: what the two sides have, where that says it all.
    """

    category: Category
    name: str = ""
    teacher_position: int | None = None
    teacher_turn: int | None = None
    student_position: int | None = None
    student_turn: int | None = None
    values: tuple[str, str] | None = None


def of_actions(teacher: Session, student: Session, found: Alignment) -> list[Drift]:
    """Return the drifts that the alignment itself shows."""
    ours, theirs = teacher.actions, student.actions
    drifts = [_between(_kind_of(ours[i], theirs[j]), ours, i, theirs, j) for i, j in found.replaced]
    drifts += [_between("turn_order_skew", ours, m.teacher, theirs, m.student) for m in found.moved]
    for i in found.missing:
        one = ours[i]
        category = _MISSING[one.kind]
        drifts.append(
            Drift(category=category, name=one.name, teacher_position=i, teacher_turn=one.turn)
        )
    for j in found.extra:
        one = theirs[j]
        category = _EXTRA[one.kind]
        drifts.append(
            Drift(category=category, name=one.name, student_position=j, student_turn=one.turn)
        )
    return drifts


def of_outcomes(
    teacher: Session, student: Session, found: Alignment, teacher_root: Root, student_root: Root
) -> list[Drift]:
    """Return where equal tool uses came out differently or touched different files.

    `denied_by` counts only between version-3 traces: older ones cannot say it. Side effects count
    where both traces have them, and an exit code where both have one.
    """
    can_deny = all(one.start and one.start.schema_version == 3 for one in (teacher, student))
    same_root = teacher_root == student_root
    pairs = found.matched + [pair for move in found.moved for pair in move.pairs]
    drifts = []
    for i, j in pairs:
        ours, theirs = teacher.actions[i].result, student.actions[j].result
        if ours is None or theirs is None or ours.ok != theirs.ok or can_deny:
            outcome = (_outcome(ours, can_deny), _outcome(theirs, can_deny))
            if outcome[0] != outcome[1]:
                category: Category = "mismatched_tool_outcome"
                drifts.append(_between(category, teacher.actions, i, student.actions, j, outcome))
        if ours is None or theirs is None or not ours.side_effects or not theirs.side_effects:
            continue
        if same_root and ours.side_effects == theirs.side_effects:  # almost always, and quick
            continue
        effects = _effects(ours.side_effects, teacher_root, theirs.side_effects, student_root)
        if effects[0] != effects[1]:
            category = "mismatched_side_effects"
            drifts.append(_between(category, teacher.actions, i, student.actions, j, effects))
    return drifts


def of_calls(teacher: Session, student: Session, found: Alignment) -> list[Drift]:
    """Return where the number of model calls differs, and where calls that agree ended differently.

    A call all of whose actions are missing, extra or moved is part of those drifts and not counted
    again. What remains is compared between one pair of actions and the next: calls that took no
    action, and calls whose actions the other side spread over more or fewer.
    """
    if found.cost == 0 and _shape(teacher) == _shape(student):  # almost always, and quick
        return []
    anchors = sorted(found.matched + found.replaced)
    pairs = [(teacher.actions[i].call, student.actions[j].call) for i, j in anchors]
    ends = [(a, b) for a, b in pairs if a is not None and b is not None]
    ours = _counted(teacher, {a for a, _ in ends})
    theirs = _counted(student, {b for _, b in ends})
    drifts: list[Drift] = []
    at_i = at_j = 0
    for end_i, end_j in [*ends, (len(teacher.calls), len(student.calls))]:
        if (end_i, end_j) == (at_i, at_j) and end_i < len(teacher.calls):  # the next on both sides
            if teacher.calls[end_i].stop_reason != student.calls[end_j].stop_reason:
                drifts += _stretch(teacher, student, [end_i], [end_j])
            at_i, at_j = end_i + 1, end_j + 1
            continue
        # Up to and including the calls that hold this pair; a call that holds several is met once.
        left = [k for k in range(at_i, min(end_i + 1, len(teacher.calls))) if k in ours]
        right = [k for k in range(at_j, min(end_j + 1, len(student.calls))) if k in theirs]
        at_i, at_j = max(at_i, end_i + 1), max(at_j, end_j + 1)
        drifts += _stretch(teacher, student, left, right)
    return drifts


def of_ends(teacher: Session, student: Session, known: list[Drift]) -> list[Drift]:
    """Return whether the sessions ended differently, unless the last model call says so already."""
    values = tuple(one.end.stop_reason if one.end else "cut short" for one in (teacher, student))
    said = any(one.values == values for one in known if one.category == "mismatched_stop_reason")
    if values[0] == values[1] or said:
        return []
    return [
        Drift(
            category="mismatched_stop_reason",
            teacher_turn=teacher.end.turn if teacher.end else None,
            student_turn=student.end.turn if student.end else None,
            values=(values[0], values[1]),
        )
    ]


def in_order(
    drifts: list[Drift], teacher: Session, student: Session, found: Alignment
) -> list[Drift]:
    """Return the drifts in the order of the teacher's stream.

    What only the student has comes after the last action before it that both have. A model call
    comes before the first action of its turn or a later one, and what has no turn comes last.
    """
    if len(drifts) < 2:
        return drifts
    shared = sorted((j, i) for i, j in found.matched + found.replaced)
    shared_here = [j for j, _ in shared]
    turns = [[one.turn for one in side.actions] for side in (teacher, student)]

    def place(drift: Drift) -> tuple[float, float]:
        i, j = drift.teacher_position, drift.student_position
        if i is not None:
            return i, 0
        if drift.teacher_turn is not None:
            return bisect_left(turns[0], drift.teacher_turn) - 0.25, 0
        if j is None:
            if drift.student_turn is None:
                return inf, 0
            j = bisect_left(turns[1], drift.student_turn)
        before = bisect_left(shared_here, j)
        return (shared[before - 1][1] if before else -1) + 0.5, j

    return sorted(drifts, key=place)


def _kind_of(ours: Action, theirs: Action) -> Category:
    if ours.kind != theirs.kind:
        return "mismatched_action_kind"
    if ours.kind == "tool_use" and ours.name != theirs.name:
        return "mismatched_tool_name"
    return _MISMATCHED[ours.kind]


def _between(
    category: Category,
    ours: list[Action],
    i: int,
    theirs: list[Action],
    j: int,
    values: tuple[str, str] | None = None,
) -> Drift:
    return Drift(
        category=category,
        name=ours[i].name,
        teacher_position=i,
        teacher_turn=ours[i].turn,
        student_position=j,
        student_turn=theirs[j].turn,
        values=values,
    )


def _outcome(result: ToolResultView | None, can_deny: bool) -> str:
    if result is None:
        return "no result"
    if can_deny and result.denied_by is not None:
        return f"denied by {result.denied_by}"
    return "ok" if result.ok else "failed"


def _effects(
    ours: SideEffectsView, our_root: Root, theirs: SideEffectsView, their_root: Root
) -> tuple[str, str]:
    """Return what differs between two tool uses' effects, as text; equal where nothing does."""
    left, right = [], []
    for field in ("files_read", "files_written"):
        a = {relative(path, our_root) for path in getattr(ours, field)}
        b = {relative(path, their_root) for path in getattr(theirs, field)}
        if a != b:
            left.append(f"{field} {', '.join(sorted(a)) or 'none'}")
            right.append(f"{field} {', '.join(sorted(b)) or 'none'}")
    codes = (ours.exit_code, theirs.exit_code)
    if None not in codes and codes[0] != codes[1]:
        left.append(f"exit code {codes[0]}")
        right.append(f"exit code {codes[1]}")
    return "; ".join(left), "; ".join(right)


def _shape(session: Session) -> list[tuple[str, int]]:
    """Return how each model call ended and how many actions it took."""
    return [(call.stop_reason, call.actions) for call in session.calls]


def _counted(session: Session, answered: set[int]) -> set[int]:
    """Return the model calls that took no action, or one that the other side has in its place."""
    return {k for k, call in enumerate(session.calls) if not call.actions or k in answered}


def _stretch(teacher: Session, student: Session, left: list[int], right: list[int]) -> list[Drift]:
    """Compare the calls of one stretch. Those that act stand last, so pair from there."""
    common = min(len(left), len(right))
    drifts = [
        Drift(category="missing_llm_call", teacher_turn=teacher.calls[a].turn)
        for a in left[: len(left) - common]
    ]
    drifts += [
        Drift(category="extraneous_llm_call", student_turn=student.calls[b].turn)
        for b in right[: len(right) - common]
    ]
    for a, b in zip(left[len(left) - common :], right[len(right) - common :], strict=True):
        ours, theirs = teacher.calls[a], student.calls[b]
        if ours.stop_reason != theirs.stop_reason:
            drifts.append(
                Drift(
                    category="mismatched_stop_reason",
                    teacher_turn=ours.turn,
                    student_turn=theirs.turn,
                    values=(ours.stop_reason, theirs.stop_reason),
                )
            )
    return drifts
