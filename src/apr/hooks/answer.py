"""What a hook has said, and what that means for its event: by its exit code, or in JSON.

Exit 0 goes on, and what was printed may be JSON; 2 blocks, and the reason is what was written to
standard error; anything else is an error that stops nothing (code.claude.com/docs/en/hooks).
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from apr.hooks.base import HookName
from apr.hooks.command import Ran
from ccpa.trace import HookDecision

BLOCK = 2

# What is printed at these events is context for the model.
_PRINTS_CONTEXT = frozenset({"SessionStart", "UserPromptSubmit"})
# These cannot be blocked: they have happened, or must happen.
_CANNOT_BLOCK = frozenset(
    {"SessionStart", "SessionEnd", "Notification", "SubagentStart", "PostCompact"}
)


class Specific(Struct, rename="camel"):
    """What only some events understand."""

    hook_event_name: str | None = None
    permission_decision: Literal["allow", "deny", "ask"] | None = None
    permission_decision_reason: str | None = None
    updated_input: dict[str, Any] | None = None
    additional_context: str | None = None
    decision: dict[str, Any] | None = None


class Said(Struct, rename="camel"):
    """The JSON that a hook may print."""

    continue_: bool = msgspec.field(default=True, name="continue")
    stop_reason: str | None = None
    system_message: str | None = None
    decision: Literal["block", "approve", "allow", "deny"] | None = None
    reason: str | None = None
    hook_specific_output: Specific | None = None
    additional_context: str | None = None


class Heard(Struct, frozen=True, kw_only=True):
    """One hook's part of what all come to."""

    decision: HookDecision
    behavior: Literal["allow", "ask", "deny"] | None = None
    reason: str = ""
    updated_input: dict[str, Any] | None = None
    context: str = ""
    stop: str | None = None
    notice: str = ""


def hear(event: HookName, ran: Ran, *, block_on_failure: bool = False) -> Heard:
    """Return what a hook that ran means for its event."""
    if ran.exit_code == BLOCK:
        return _blocked(event, ran.err or ran.out or "it gave no reason")
    if ran.exit_code != 0:
        said = ran.err or ran.out or "it said nothing"
        if block_on_failure:
            heard = _blocked(event, f"it failed: {said}")
            return msgspec.structs.replace(heard, decision="warn")
        return Heard(decision="warn", notice=f"exit code {ran.exit_code}: {said}")
    if ran.out.lstrip().startswith("{"):
        try:
            return _said(event, msgspec.json.decode(ran.out, type=Said), ran.out)
        except msgspec.ValidationError as error:
            return Heard(decision="allow", notice=f"its JSON was not understood: {error}")
        except msgspec.DecodeError:
            pass  # only text that begins with a brace
    return Heard(decision="allow", context=ran.out if event in _PRINTS_CONTEXT else "")


def _blocked(event: HookName, reason: str) -> Heard:
    if event in _CANNOT_BLOCK:
        return Heard(decision="block", notice=reason)
    return Heard(decision="block", behavior="deny", reason=reason)


def _said(event: HookName, said: Said, text: str) -> Heard:
    specific = said.hook_specific_output or Specific()
    if specific.hook_event_name not in {None, event}:
        specific = Specific()
    behavior, reason = _behavior(event, said, specific, text)
    updated, interrupt = specific.updated_input, False
    if event == "PermissionRequest" and specific.decision is not None:
        updated = specific.decision.get("updatedInput", updated)
        interrupt = specific.decision.get("interrupt") is True
    stop = None
    if not said.continue_ or interrupt:
        stop = said.stop_reason or reason or "a hook has ended the run"
    return Heard(
        decision="block" if behavior == "deny" or stop is not None else "allow",
        behavior=None if event in _CANNOT_BLOCK else behavior,
        reason=reason,
        updated_input=updated if isinstance(updated, dict) else None,
        context=specific.additional_context or said.additional_context or "",
        stop=stop,
        notice=said.system_message or "",
    )


def _behavior(
    event: HookName, said: Said, specific: Specific, text: str
) -> tuple[Literal["allow", "ask", "deny"] | None, str]:
    """Return what a hook decides and why. A denial without a reason gives its whole answer."""
    if event == "PermissionRequest" and specific.decision is not None:
        chosen = specific.decision.get("behavior")
        message = str(specific.decision.get("message") or "")
        return (chosen if chosen in {"allow", "deny"} else None), message
    if specific.permission_decision is not None:
        reason = specific.permission_decision_reason or said.reason
        denied = specific.permission_decision == "deny"
        return specific.permission_decision, reason or (text.strip() if denied else "")
    if said.decision in {"block", "deny"}:
        return "deny", said.reason or text.strip()
    if said.decision in {"approve", "allow"}:
        return "allow", said.reason or ""
    return None, ""
