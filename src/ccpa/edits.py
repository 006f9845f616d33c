"""The files of a project as a trace leaves them, step by step.

The fixture's workspace and every write and edit of the trace so far give a file's text before an
edit, and so the *change* the edit makes. Two edits that make the same change are the same edit,
however much context each of them quoted. A change says what lines it replaces by what, and which
occurrence of them it means. From one and the same file, equal changes lead to equal files and
different ones to different files; unlike a hash of the whole file, a change is not upset by an
earlier drift elsewhere in it.
"""

from collections.abc import Callable

from msgspec import Struct

from ccpa.actions import Action, ToolUseView
from ccpa.equivalence import Input, decode_input, path_of
from ccpa.paths import Root, relative

ReadFile = Callable[[str], str | None]

# Tools that leave every file as it is. After any other tool a file's text is an assumption.
READ_ONLY = frozenset(
    {"AskUserQuestion", "ExitPlanMode", "Glob", "Grep", "Monitor", "Read", "TaskCreate", "TaskGet"}
    | {
        "Skill",
        "TaskList",
        "TaskOutput",
        "TaskStop",
        "TaskUpdate",
        "TodoWrite",
        "WebFetch",
        "WebSearch",
    }
)


class Change(Struct, frozen=True):
    """What an edit does to a file.

    Args:
        old: the lines that go, with a neighbour on either side where none goes.
        new: the lines that come in their place.
        occurrence: how many times `old` is to be found before the place that is meant.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]
    occurrence: int


class Replay(Struct):
    """What a trace does to the files.

    Args:
        changes: by index of the action, which file is changed and how.
        unknown: files in which an edit succeeded that could not have been made in the text that the
            trace leads to: something unseen has changed them.
        files: text of every file written, by path; None where it is not known.
        assumed: index of the first action that may have changed any file unseen.
    """

    changes: dict[int, tuple[str, Change]]
    unknown: set[str]
    files: dict[str, str | None]
    assumed: int | None = None


def replay(actions: list[Action], root: Root, read_file: ReadFile) -> Replay:
    """Follow a trace's writes and edits over the starting files.

    Args:
        actions: of one session.
        root: where it ran.
        read_file: the text of a starting file by its relative path; None where there is no such
        text.
    """
    found = Replay({}, set(), {})
    for index, action in enumerate(actions):
        if not isinstance(action.view, ToolUseView) or action.name in READ_ONLY:
            continue
        if action.name in {"Write", "Edit"}:
            tool_input = decode_input(bytes(action.view.input))
            path = None if tool_input is None else path_of(tool_input)
            if tool_input is not None and path is not None:
                _step(found, index, action, relative(path, root), tool_input, read_file)
        elif action.result is None or action.result.denied_by is None:
            found.assumed = index if found.assumed is None else found.assumed
            found.files |= dict.fromkeys(relative(path, root) for path in _written(action))
    return found


def known_paths(*replays: Replay) -> set[str]:
    """Return the files all of whose edits, on every side, can be compared by their change."""
    unknown = {path for one in replays for path in one.unknown}
    return {path for one in replays for path, _ in one.changes.values()} - unknown


def _step(
    found: Replay, index: int, action: Action, path: str, tool_input: Input, read_file: ReadFile
) -> None:
    succeeded = action.result is None or action.result.ok
    if action.name == "Write":
        content = tool_input.get("content")
        if succeeded and isinstance(content, str):
            found.files[path] = content
        return
    before = found.files[path] if path in found.files else read_file(path)
    after = edited(before, tool_input)
    if after is not None:
        found.changes[index] = path, change(before or "", after)
    elif succeeded:
        found.unknown.add(path)
    if succeeded:
        found.files[path] = after


def edited(text: str | None, tool_input: Input) -> str | None:
    """Return the text after an Edit, or None where the edit does not fit the text."""
    old, new = tool_input.get("old_string"), tool_input.get("new_string")
    if not isinstance(old, str) or not isinstance(new, str):
        return None
    if old == "":
        return new if not text else None
    if text is None:
        return None
    count = text.count(old)
    if count == 0 or (count > 1 and tool_input.get("replace_all") is not True):
        return None
    return text.replace(old, new)


def change(before: str, after: str) -> Change:
    """Return the change between two texts: the smallest stretch of whole lines that holds it."""
    old, new = before.split("\n"), after.split("\n")
    shorter = min(len(old), len(new))
    head = 0
    while head < shorter and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    if head + tail == len(old):  # nothing goes: the neighbours say where
        head, tail = max(head - 1, 0), max(tail - 1, 0)
    gone = old[head : len(old) - tail]
    occurrence = _beginnings(gone, old[: head + len(gone) - 1])
    return Change(tuple(gone), tuple(new[head : len(new) - tail]), occurrence)


def _beginnings(wanted: list[str], lines: list[str]) -> int:
    """Count the places where a stretch of lines is found, overlapping ones too.

    By Knuth, Morris and Pratt, for a file whose lines are all alike must not take for ever.
    """
    borders = [0] * len(wanted)  # of each beginning of `wanted`: how much of it also ends it
    found = at = 0
    for index in range(1, len(wanted)):
        while at and wanted[index] != wanted[at]:
            at = borders[at - 1]
        at += wanted[index] == wanted[at]
        borders[index] = at
    at = 0
    for line in lines:
        while at and (at == len(wanted) or line != wanted[at]):
            at = borders[at - 1]
        at += line == wanted[at]
        found += at == len(wanted)
    return found


def _written(action: Action) -> list[str]:
    effects = action.result and action.result.side_effects
    return effects.files_written if effects else []


def same_files(left: Replay, right: Replay, read_file: ReadFile) -> bool | None:
    """Tell whether two traces leave the same files.

    None where it cannot be told: a file's text is not known, or neither has written any file.
    """
    same = True
    if not left.files and not right.files:
        return None
    for path in left.files.keys() | right.files.keys():
        ours = left.files[path] if path in left.files else read_file(path)
        theirs = right.files[path] if path in right.files else read_file(path)
        known = path in left.files and ours is None, path in right.files and theirs is None
        if any(known):
            return None
        same = same and ours == theirs
    return same
