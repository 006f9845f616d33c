"""Two traces in, everything the meter has to say about them out."""

from collections.abc import Mapping
from itertools import chain

import msgspec
from msgspec import Struct

from ccpa import drifts, edits
from ccpa.actions import (
    HookEventView,
    Session,
    SkillInvocationView,
    ToolUseView,
    View,
    session,
)
from ccpa.align import Alignment, align
from ccpa.drifts import Drift
from ccpa.edits import ReadFile, Replay
from ccpa.equivalence import (
    Key,
    Malformed,
    decode_input,
    hook_key,
    parsed,
    skill_key,
    task_id,
    tool_key,
)
from ccpa.paths import Root, is_windows
from ccpa.score import Score, score

NO_WEIGHTS: Mapping[str, float] = {}
_BACKGROUND = frozenset({"TaskOutput", "TaskStop"})


class Side(Struct):
    """One of the two traces.

    Args:
        session: what it holds.
        root: where it ran.
        keys: of its actions, by the rules of `ccpa.equivalence`.
        replay: what it did to the files; None where the starting files are not known.
    """

    session: Session
    root: Root
    keys: list[Key]
    replay: Replay | None = None


class Comparison(Struct):
    """Everything there is to say about two traces.

    Args:
        teacher: the one that is measured against.
        student: the one that is measured.
        alignment: of their actions.
        drifts: in the order of the conversation.
        score: of the alignment and the files.
        same_files: whether the files are equal in the end; None where that is not known of both.
    """

    teacher: Side
    student: Side
    alignment: Alignment
    drifts: list[Drift]
    score: Score
    same_files: bool | None


def compare(
    teacher_views: list[View],
    student_views: list[View],
    *,
    read_file: ReadFile | None = None,
    aliases: tuple[str, ...] = (),
    weights: Mapping[str, float] = NO_WEIGHTS,
    same_files: bool | None = None,
) -> Comparison:
    """Compare a student's trace with a teacher's.

    Args:
        teacher_views: records of the one, as `ccpa.actions` reads them.
        student_views: records of the other.
        read_file: a starting file's text by relative path, where the starting files are known.
        aliases: other absolute spellings of either working directory.
        weights: how much an action counts, as in `ccpa.score.score`.
        same_files: whether the files are equal in the end, where the caller knows. None:
            what the traces say.
    """
    ours, theirs = session(teacher_views), session(student_views)
    teacher, student = _sides(ours, theirs, aliases)
    _fill_in_keys(teacher, student)
    if read_file is not None:
        _compare_edits_by_change(teacher, student, read_file)
    found = align(
        teacher.keys,
        student.keys,
        [one.kind + one.name for one in ours.actions],
        [one.kind + one.name for one in theirs.actions],
    )
    if same_files is None:
        same_files = _same_files(teacher, student, read_file)
    listed = drifts.of_actions(ours, theirs, found)
    listed += drifts.of_outcomes(ours, theirs, found, teacher.root, student.root)
    listed += drifts.of_calls(ours, theirs, found)
    listed += drifts.of_ends(ours, theirs, listed)
    listed = drifts.in_order(listed, ours, theirs, found)
    if same_files is False:
        listed.append(Drift(category="mismatched_file_state"))
    points = score(ours, theirs, found, same_files, weights)
    return Comparison(teacher, student, found, listed, points, same_files)


def _sides(ours: Session, theirs: Session, aliases: tuple[str, ...]) -> tuple[Side, Side]:
    cwds = [one.start.cwd if one.start else None for one in (ours, theirs)]
    fold_case = all(is_windows(cwd) for cwd in cwds)
    roots = [Root(cwd, aliases, fold_case) for cwd in cwds]
    return Side(ours, roots[0], []), Side(theirs, roots[1], [])


def _fill_in_keys(teacher: Side, student: Side) -> None:
    """Key every action. One and the same input in one and the same place is looked at once."""
    teacher_keys: dict[tuple[str, bytes], Key] = {}
    student_keys = teacher_keys if teacher.root == student.root else {}
    teacher.keys = _keys(teacher, teacher_keys)
    student.keys = _keys(student, student_keys)
    if teacher.keys != student.keys:
        meaning = parsed(chain(teacher_keys.values(), student_keys.values()))
        for side in (teacher, student):
            for index, action in enumerate(side.session.actions):
                if action.name == "Bash":
                    key = side.keys[index]
                    side.keys[index] = meaning.get(key, key)


def _keys(side: Side, known: dict[tuple[str, bytes], Key]) -> list[Key]:
    keys: list[Key] = []
    tasks: dict[str, int] = {}
    for action in side.session.actions:
        view = action.view
        if type(view) is ToolUseView:
            raw = bytes(view.input)
            if action.name in _BACKGROUND:
                raw = _with_task_number(raw, tasks)
            key = known.get((action.name, raw))
            if key is None or isinstance(key, Malformed):  # which equals not even the like of it
                key = known[action.name, raw] = tool_key(action.name, raw, side.root)
            keys.append(key)
        elif type(view) is HookEventView:
            keys.append((action.kind, hook_key(view, side.root)))
        elif type(view) is SkillInvocationView:
            keys.append((action.kind, skill_key(view)))
    return keys


def _with_task_number(raw: bytes, tasks: dict[str, int]) -> bytes:
    """Name a background task by its number in the session: its id is the harness's invention."""
    tool_input = decode_input(raw)
    name = None if tool_input is None else task_id(tool_input)
    if tool_input is None or name is None:
        return raw
    number = tasks.setdefault(name, len(tasks))
    return msgspec.json.encode(tool_input | {"task_id": f"{number}"})


def _compare_edits_by_change(teacher: Side, student: Side, read_file: ReadFile) -> None:
    replays = []
    for side in (teacher, student):
        side.replay = edits.replay(side.session.actions, side.root, read_file)
        replays.append(side.replay)
    known = edits.known_paths(*replays)
    for side, replay in zip((teacher, student), replays, strict=True):
        for index, (path, change) in replay.changes.items():
            if path in known:
                side.keys[index] = ("Edit", path, change)


def _same_files(teacher: Side, student: Side, read_file: ReadFile | None) -> bool | None:
    """Compare the files in the end: by the trees' ids, else by following the traces."""
    ends = [side.session.end and side.session.end.cwd_sha256_after for side in (teacher, student)]
    if all(ends):
        return ends[0] == ends[1]
    left, right = teacher.replay, student.replay
    if read_file is None or left is None or right is None:
        return None
    if left.assumed is not None or right.assumed is not None:
        return None
    return edits.same_files(left, right, read_file)
