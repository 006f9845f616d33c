"""Hooks in Claude Code transcripts: attachments in newer versions, system messages in older."""

import re

from msgspec import Struct

from ccpa.importers.values import JsonObject, count, exit_code, obj, objects, rendered, text
from ccpa.trace import HookDecision

_BLOCKED = 2
_OLDER = re.compile(
    r"(?P<event>[A-Z][A-Za-z]+)(:\S+)? \[.*?\] "
    r"(?P<how>completed successfully|failed with non-blocking status code (?P<code>\d{1,9}))"
    r"(: )?(?P<output>.*)",
    re.DOTALL,
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

OTHER_HOOK_NEWS = frozenset(
    {
        "hook_additional_context",
        "hook_stopped_continuation",
        "hook_system_message",
        "hook_permission_decision",
        "hook_deferred_tool",
        "async_hook_response",
    }
)
"""Attachments that tell more of a hook whose outcome stands in another one."""


class Hook(Struct, frozen=True, kw_only=True):
    """One hook that ran."""

    event: str
    decision: HookDecision
    exit_code: int
    output: str | None = None
    tool_use_id: str | None = None
    duration_ms: int | None = None


def from_attachment(attachment: JsonObject) -> Hook | None:
    """Return the hook whose outcome an attachment tells, or None where it tells none.

    A blocking outcome does not say its exit code: the one that blocks, 2, stands for it. Nor does
    a hook that was cancelled or could not run: 1 stands for that.
    """
    event = text(attachment.get("hookEvent")) or _event(attachment.get("hookName"))
    if event is None:
        return None
    code = exit_code(attachment.get("exitCode"))
    blocking = attachment.get("blockingError")
    reason = text(obj(blocking).get("blockingError")) or text(blocking)
    output = _output(attachment)
    decision: HookDecision
    match attachment.get("type"):
        case "hook_success":
            decision, code = "allow", 0
        case "hook_blocking_error":
            decision, code, output = "block", code or _BLOCKED, reason or output
        case "hook_non_blocking_error" | "hook_error_during_execution" | "hook_cancelled":
            decision, code = "warn", code or 1
        case _:
            return None
    return Hook(
        event=event,
        decision=decision,
        exit_code=code or 0,
        output=output,
        tool_use_id=text(attachment.get("toolUseID")),
        duration_ms=count(attachment.get("durationMs")),
    )


def from_system_text(content: str, tool_use_id: str | None) -> Hook | None:
    """Return the hook that a system message of an older version tells of."""
    found = _OLDER.fullmatch(_COLOUR.sub("", content))
    if found is None:
        return None
    code = exit_code(int(found["code"])) if found["code"] else 0
    return Hook(
        event=found["event"],
        decision="warn" if code else "allow",
        exit_code=code or 0,
        output=text(found["output"].strip()),
        tool_use_id=tool_use_id,
    )


def from_summary(line: JsonObject) -> list[Hook] | None:
    """Return the `Stop` hooks of a summary, or None where one failed: it does not say which."""
    if line.get("hookErrors") or line.get("preventedContinuation"):
        return None
    return [
        Hook(
            event="Stop",
            decision="allow",
            exit_code=0,
            duration_ms=count(info.get("durationMs")),
        )
        for info in objects(line.get("hookInfos"))
    ]


def _event(name: object) -> str | None:
    """`PreToolUse:Edit` is a hook of `PreToolUse`; the rest is the tool, not the matcher."""
    return text(name.partition(":")[0]) if isinstance(name, str) else None


def _output(attachment: JsonObject) -> str | None:
    """What a hook said: on exit 0 stdout, else stderr first."""
    failed = attachment.get("type") != "hook_success"
    names = ("stderr", "stdout", "content") if failed else ("stdout", "content", "stderr")
    for name in names:
        if words := rendered(attachment.get(name)).strip():
            return words
    return None
