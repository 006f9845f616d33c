"""The older score: what the student does at each index, compared with what the teacher does there.

An earlier meter for the same traces computes this. It is reproduced to the letter, its quirks
included, so that numbers measured with it stay comparable: one extra action shifts all that follow,
extra actions cost nothing, a path is whatever the input's `path` key says, and white space in a
command counts for nothing, not even in quotes. New measurements are better served by `ccpa.score`.
"""

import re
from collections.abc import Callable
from hashlib import sha256
from itertools import zip_longest
from typing import Any

import msgspec
from msgspec import Struct

from ccpa.actions import (
    AssistantTurnView,
    HookEventView,
    SkillInvocationView,
    ToolUseView,
    View,
)
from ccpa.equivalence import Input, decode_input
from ccpa.errors import CcpaError

Observed = ToolUseView | HookEventView | SkillInvocationView

# Unicode's White_Space; Python's own notion has four control characters more.
_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACES = re.compile(f"[{_SPACE}]+")
_TRIM = re.compile(rf"\A[{_SPACE}]+|[{_SPACE}]+\Z")
_INT_MIN, _UINT_MAX = -(1 << 63), (1 << 64) - 1

_KIND_NAMES: dict[type[Observed], str] = {
    ToolUseView: "ToolCall",
    HookEventView: "HookEvent",
    SkillInvocationView: "SkillInvocation",
}


class PositionalDrift(Struct, frozen=True):
    """One index at which the sides differ. Fields are in the order of their JSON keys."""

    category: str
    position: int
    tool_name: str


class PositionalReport(Struct, frozen=True):
    """The older meter's result for two traces."""

    drifts: list[PositionalDrift]
    matched_count: int
    score: float
    student_count: int
    teacher_count: int


def positional(teacher: list[View], student: list[View]) -> PositionalReport:
    """Compare two traces index by index."""
    ours, theirs = _observed(teacher), _observed(student)
    drifts = []
    for position, (left, right) in enumerate(zip_longest(ours, theirs)):
        category = _category(left, right)
        if category is not None:
            drifts.append(PositionalDrift(category, position, _label(left or right)))
    matched = len(ours) - sum(drift.position < len(ours) for drift in drifts)
    score = matched / len(ours) if ours else float(not theirs)
    return PositionalReport(drifts, matched, score, len(theirs), len(ours))


def _observed(views: list[View]) -> list[Observed]:
    found: list[Observed] = []
    for view in views:
        if isinstance(view, AssistantTurnView):
            found += [block for block in view.blocks if isinstance(block, ToolUseView)]
        elif isinstance(view, HookEventView | SkillInvocationView):
            found.append(view)
    return found


def _label(one: Observed | None) -> str:
    return one.event if isinstance(one, HookEventView) else one.name if one else ""


def _category(left: Observed | None, right: Observed | None) -> str | None:
    if left is None:
        return None if right is None else "Extra" + _KIND_NAMES[type(right)]
    if right is None:
        return "Missing" + _KIND_NAMES[type(left)]
    match left, right:
        case ToolUseView(), ToolUseView():
            if left.name != right.name:
                return "MismatchedToolName"
            return None if _same_input(left, right) else "MismatchedToolInput"
        case HookEventView(), HookEventView():
            return None if _hook(left) == _hook(right) else "MismatchedHookEvent"
        case SkillInvocationView(), SkillInvocationView():
            return None if _skill(left) == _skill(right) else "MismatchedSkillInvocation"
    return "MismatchedActionKind"


def _same_input(left: ToolUseView, right: ToolUseView) -> bool:
    ours, theirs = bytes(left.input), bytes(right.input)
    rule = _RULES.get(left.name)
    if rule is None:
        return _same_json(ours, theirs)
    first, second = decode_input(ours) or {}, decode_input(theirs) or {}
    posts = [one.get("post_state_sha256") for one in (first, second)]
    if left.name == "Edit" and all(isinstance(post, str) for post in posts):
        same_path = _string(first, "path") == _string(second, "path")
        return bool(same_path and posts[0] == posts[1])
    return bool(rule(first) == rule(second))


def _same_json(left: bytes, right: bytes) -> bool:
    try:
        values = [_canonical(msgspec.json.decode(raw)) for raw in (left, right)]
        return bool(values[0] == values[1])
    except (RecursionError, msgspec.DecodeError, UnicodeDecodeError):
        raise CcpaError(
            "a tool's input is nested too deep, or no UTF-8: it cannot be compared"
        ) from None


def _hook(hook: HookEventView) -> tuple[Any, ...]:
    output = _squeezed(hook.output or "")
    return hook.event, hook.matcher, hook.decision, hook.exit_code, output


def _skill(skill: SkillInvocationView) -> tuple[Any, ...]:
    return skill.name, skill.source, skill.instructions_injected


def _squeezed(text: str) -> str:
    """Collapse white space, then drop every `;` at the end, then white space before those."""
    collapsed = _SPACES.sub(" ", text).strip(" ")
    return collapsed.rstrip(";").rstrip(" ")


def _string(tool_input: Input, key: str) -> str:
    value = tool_input.get(key)
    return value if isinstance(value, str) else ""


def _count(tool_input: Input, key: str) -> int | None:
    value = tool_input.get(key)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _UINT_MAX
    return value if is_count else None


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _canonical(value: Any) -> Any:
    """Return a value that equals another one's only if the older meter prints the two alike.

    There `1` is not `1.0`, and an integer beyond 64 bits is a float.
    """
    if isinstance(value, dict):
        return "object", tuple(sorted((key, _canonical(one)) for key, one in value.items()))
    if isinstance(value, list):
        return "array", tuple(_canonical(one) for one in value)
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and not _INT_MIN <= value <= _UINT_MAX
    ):
        value = float(value)
    return type(value).__name__, repr(value)


_RULES: dict[str, Callable[[Input], Any]] = {
    "Bash": lambda one: _squeezed(_string(one, "command")),
    "Read": lambda one: (_string(one, "path"), _count(one, "offset"), _count(one, "limit")),
    "Write": lambda one: (_string(one, "path"), _digest(_string(one, "content"))),
    "Edit": lambda one: tuple(_string(one, key) for key in ("path", "old_string", "new_string")),
    "Glob": lambda one: _string(one, "pattern"),
    "Grep": lambda one: (
        _TRIM.sub("", _string(one, "pattern")),
        _string(one, "path"),
        one.get("regex") is True,
    ),
    "Agent": lambda one: (_string(one, "subagent_type"), _digest(_string(one, "prompt"))),
}
