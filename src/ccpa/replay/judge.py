"""What a replay is worth: the student's trace held against the teacher's, outcomes and all.

The model says the same to both, so that the same tools are used is nearly given. What an agent
program adds is what the uses come to. So here an action is matched only if its outcome is, too: the
result, its side effects, who denied it. Two items are counted beside the actions: the files in the
end, and the calls to the model, which must be those of the recording, no more and no fewer.
"""

from msgspec import Struct

from ccpa import trace
from ccpa.actions import ToolUseView, decode_views, read_views
from ccpa.compare import Comparison, compare
from ccpa.drifts import Category, Drift
from ccpa.fixtures import Fixture, read_trace
from ccpa.pairs import text_reader
from ccpa.replay.outcomes import difference, uses
from ccpa.replay.run import Played
from ccpa.scripted.play import Finding

_OUTCOMES: frozenset[Category] = frozenset({"mismatched_tool_outcome", "mismatched_side_effects"})


class Judged(Struct, frozen=True, kw_only=True):
    """What one replay scored, and every drift."""

    score: float
    drifts: list[Drift]


def judge(fixture: Fixture, played: Played) -> Judged:
    """Compare what was played with the fixture's recording.

    Raises:
        CcpaError: what the student wrote is no trace; the message begins with the line.
    """
    student_views = decode_views(played.student)
    recorded = read_trace(fixture.teacher_trace)
    found = compare(
        read_views(fixture.teacher_trace),
        student_views,
        read_file=None if fixture.workspace is None else text_reader(fixture.workspace),
        same_files=played.same_files,
    )
    listed = [*found.drifts]
    listed += _contents(found, recorded, list(trace.read(played.student.split(b"\n"))))
    listed += _calls(listed, played.calls)
    return Judged(score=_score(found, listed, played.calls), drifts=listed)


def _contents(
    found: Comparison, recorded: list[trace.Record], replayed: list[trace.Record]
) -> list[Drift]:
    """Return where the contents of results differ, of actions that agree in all else."""
    known = {drift.teacher_position for drift in found.drifts if drift.category in _OUTCOMES}
    ours = uses(recorded, found.teacher.root)
    theirs = uses(replayed, found.student.root)
    listed = []
    for i, j in found.alignment.matched:
        left, right = found.teacher.session.actions[i], found.student.session.actions[j]
        if not isinstance(left.view, ToolUseView) or not isinstance(right.view, ToolUseView):
            continue
        one, other = ours.get(left.view.id), theirs.get(right.view.id)
        if one is None or other is None or i in known:
            continue
        values = difference(one, other)
        if values is not None:
            listed.append(
                Drift(
                    category="mismatched_tool_outcome",
                    name=left.name,
                    teacher_position=i,
                    teacher_turn=left.turn,
                    student_position=j,
                    student_turn=right.turn,
                    values=values,
                )
            )
    return listed


def _calls(listed: list[Drift], calls: list[Finding]) -> list[Drift]:
    """Return a drift for each kind of wrong call that the traces do not show."""
    shown = {drift.category for drift in listed}
    return [Drift(category=kind) for kind in {call.category for call in calls} if kind not in shown]


def _score(found: Comparison, listed: list[Drift], calls: list[Finding]) -> float:
    spoiled = {d.teacher_position for d in listed if d.category in _OUTCOMES}
    matched = sum(i not in spoiled for i, _ in found.alignment.matched)
    items = len(found.teacher.session.actions) + len(found.student.session.actions)
    same = [not calls] + ([] if found.same_files is None else [found.same_files])
    return 2 * (matched + sum(same)) / (items + 2 * len(same))
