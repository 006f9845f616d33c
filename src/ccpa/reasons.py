"""Why something is a drift, in a sentence; and where the rule that said so had to guess."""

from typing import Any

import msgspec

from ccpa import shell
from ccpa.actions import Action, HookEventView, ToolUseView
from ccpa.compare import Comparison, Side
from ccpa.drifts import Drift
from ccpa.equivalence import PATH_NAMES, RULES, Input, Malformed, decode_input, path_of
from ccpa.paths import relative

SHOWN = 60  # characters of a value in a sentence

# What a rule passes over, so that a reason does not name it.
_NOT_COMPARED = {
    "Agent": {"description", "model"},
    "Bash": {"description", "timeout"},
    "Grep": {"-n"},
}

_SENTENCES = {
    "missing_tool_call": "the student makes no such call",
    "missing_hook_event": "no such hook runs for the student",
    "missing_skill_invocation": "the student does not use this skill",
    "extra_tool_call": "the teacher makes no such call",
    "extra_hook_event": "no such hook runs for the teacher",
    "extra_skill_invocation": "the teacher does not use this skill",
    "extraneous_llm_call": "a model call more than the teacher needs for the same actions",
    "missing_llm_call": "a model call less than the teacher needs for the same actions",
    "mismatched_file_state": "the two sides leave different files behind",
}


def reason(drift: Drift, found: Comparison) -> str:
    """Say why this is a drift. The text may quote the traces: it is as untrusted as they are."""
    if drift.values is not None:
        return f"{drift.values[0]} for the teacher, {drift.values[1]} for the student"
    ours, theirs = _actions(drift, found)
    if drift.category == "turn_order_skew":
        return _order(drift, found)
    if ours is None or theirs is None:
        malformed = _is_malformed(drift, found)
        return "its required input is missing" if malformed else _SENTENCES[drift.category]
    if drift.category == "mismatched_tool_name":
        return f"{ours.name} for the teacher, {theirs.name} for the student"
    if drift.category == "mismatched_action_kind":
        return f"{_kind(ours)} for the teacher, {_kind(theirs)} for the student"
    if _is_malformed(drift, found):
        return "required input is missing, so the call equals none"
    return _differences(ours, found.teacher, theirs, found.student)


def guesses(drift: Drift, found: Comparison) -> list[str]:
    """Say what the rule could not know, where that may be all there is to the drift."""
    notes: list[str] = []
    sides = [
        (action, side, position)
        for action, side, position in zip(
            _actions(drift, found),
            (found.teacher, found.student),
            (drift.teacher_position, drift.student_position),
            strict=True,
        )
        if action is not None and position is not None
    ]
    if drift.category in {"mismatched_tool_outcome", "mismatched_side_effects"}:
        return notes
    for action, side, position in sides:
        if isinstance(action.view, ToolUseView):
            tool_input = decode_input(bytes(action.view.input))
            if tool_input is not None:
                notes += _guesses_of(action, tool_input, side, position)
    notes += _same_in_the_end(drift, found)
    return list(dict.fromkeys(notes))


def summary(action: Action) -> str:
    """Return one line that shows what an action is: the value that tells most about it."""
    view = action.view
    if isinstance(view, ToolUseView):
        tool_input = decode_input(bytes(view.input))
        if tool_input is None:
            return f"{action.name} {bytes(view.input)[:SHOWN]!r}"
        for name in ("command", *PATH_NAMES, "pattern", "skill", "url", "query", "prompt"):
            if isinstance(value := tool_input.get(name), str):
                return f"{action.name} {value}"
        return (
            f"{action.name} {msgspec.json.encode(tool_input).decode()}"
            if tool_input
            else action.name
        )
    if isinstance(view, HookEventView):
        return f"{view.event} hook, {view.decision} ({view.exit_code})"
    return f"skill {view.name}, {view.source.replace('_', ' ')}"


def _actions(drift: Drift, found: Comparison) -> tuple[Action | None, Action | None]:
    i, j = drift.teacher_position, drift.student_position
    return (
        None if i is None else found.teacher.session.actions[i],
        None if j is None else found.student.session.actions[j],
    )


def _is_malformed(drift: Drift, found: Comparison) -> bool:
    i, j = drift.teacher_position, drift.student_position
    return (i is not None and isinstance(found.teacher.keys[i], Malformed)) or (
        j is not None and isinstance(found.student.keys[j], Malformed)
    )


def _kind(action: Action) -> str:
    article = (
        "a "
        + {"tool_use": "call of ", "hook_event": "hook on ", "skill_invocation": "skill, "}[
            action.kind
        ]
    )
    return article + action.name


def _order(drift: Drift, found: Comparison) -> str:
    here = (drift.teacher_position, drift.student_position)
    for move in found.alignment.moved:
        if move.pairs[0] == here and move.exchanged is not None:
            other = found.teacher.session.actions[move.exchanged[0]]
            return f"changed places with {_short(summary(other))}"
    return f"action {here[0]} of the teacher is action {here[1]} of the student"


def _differences(ours: Action, teacher: Side, theirs: Action, student: Side) -> str:
    left, right = _fields(ours), _fields(theirs)
    skipped = _NOT_COMPARED.get(ours.name, set())
    for side, fields in ((teacher, left), (student, right)):
        for name in PATH_NAMES:
            if isinstance(value := fields.pop(name, None), str):
                fields["path"] = relative(value, side.root)
        if ours.name == "Agent" and isinstance(kind := fields.get("subagent_type"), str):
            fields["subagent_type"] = kind.casefold()
    names = [
        name
        for name in dict.fromkeys([*left, *right])
        if name not in skipped and left.get(name) != right.get(name)
    ]
    return "; ".join(f"{name}: {_contrast(left.get(name), right.get(name))}" for name in names)


def _fields(action: Action) -> Input:
    if isinstance(action.view, ToolUseView):
        return dict(decode_input(bytes(action.view.input)) or {})
    fields = msgspec.to_builtins(action.view)
    return {name: value for name, value in fields.items() if name not in {"v", "kind", "turn"}}


def _contrast(left: Any, right: Any) -> str:
    if not isinstance(left, str) or not isinstance(right, str):
        return f"{_short(_literal(left))}, not {_short(_literal(right))}"
    at = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
    at = min(len(left), len(right)) if at is None else at
    start = max(0, at - SHOWN // 3) if max(len(left), len(right)) > SHOWN else 0
    lead = "…" if start else ""
    return f"{lead}{_short(repr(left[start:]))}, not {lead}{_short(repr(right[start:]))}"


def _literal(value: Any) -> str:
    return "nothing" if value is None else msgspec.json.encode(value).decode()


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _guesses_of(action: Action, tool_input: Input, side: Side, position: int) -> list[str]:
    notes = []
    path = path_of(tool_input)
    command = tool_input.get("command")
    if action.name == "Bash" and isinstance(command, str) and shell.canonical(command) is None:
        notes.append("a command the grammar cannot read was compared character by character")
    if path is not None and path.startswith("/") and side.root.cwd is None:
        notes.append(
            "a trace without its working directory: absolute paths were compared as they are"
        )
    if action.name == "Edit":
        notes += _guesses_of_edit(side, position)
    if action.name in {"TaskOutput", "TaskStop"}:
        notes.append("background tasks were told apart by the order in which they are first named")
    if action.name not in RULES:
        notes.append(f"there is no rule for {action.name}: its input was compared as JSON")
    return notes


def _guesses_of_edit(side: Side, position: int) -> list[str]:
    replay = side.replay
    if replay is None:
        return ["without the starting files, edits were compared by their own text"]
    if position not in replay.changes:
        return [
            "the file before the edit is not known, so edits to it were compared by their own text"
        ]
    if replay.assumed is not None and replay.assumed < position:
        return [
            f"action {replay.assumed} may have changed the file before the edit; assumed it did not"
        ]
    return []


def _same_in_the_end(drift: Drift, found: Comparison) -> list[str]:
    """Say where an edit or write drifts and yet the file comes out the same, as far as is known."""
    notes = []
    for action, side in zip(_actions(drift, found), (found.teacher, found.student), strict=True):
        if action is None or action.name not in {"Edit", "Write"}:
            continue
        tool_input = (
            decode_input(bytes(action.view.input)) if isinstance(action.view, ToolUseView) else None
        )
        path = path_of(tool_input or {})
        left, right = found.teacher.replay, found.student.replay
        if path is None or left is None or right is None:
            continue
        path = relative(path, side.root)
        text = left.files.get(path)
        if text is not None and text == right.files.get(path):
            notes.append(f"in the end {path} is the same on both sides")
    return notes
