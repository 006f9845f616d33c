"""The gate before every tool: hooks first, then rules and mode, then a person if there is one."""

import msgspec
from msgspec import Struct

from apr.agent.asking import Answer, Asker, Question
from apr.agent.calls import Checked, Ready, Refused, Tools, check
from apr.agent.permissions import Decision, Policy, Rule, decide
from apr.hooks.base import NOTHING, Fired, Hooks, NoHooks
from apr.tools.base import Context
from ccpa.trace import DeniedBy


class Admitted(Struct, frozen=True):
    """What the gate decided, and the hooks that ran for it."""

    came_to: Ready | Refused
    fired: tuple[Fired, ...] = ()
    interrupt: bool = False
    """Whether the person wants the run to end."""


class Gate:
    """Decides whether tool uses may happen.

    Args:
        policy: rules and mode; another takes its place when the mode changes or a rule is added.
        hooks: asked before the rules. They may deny what is allowed and allow what would be asked,
            but never what a rule forbids.
        ask: asks a person; None where nobody can be asked.
    """

    def __init__(
        self, policy: Policy, *, hooks: Hooks | None = None, ask: Asker | None = None
    ) -> None:
        self.policy = policy
        self.granted: tuple[Rule, ...] = ()
        """What a command or skill allows besides, until the next prompt."""
        self.hooks = hooks or NoHooks()
        self.ask = ask

    async def admit(self, checked: Checked, tools: Tools, context: Context) -> Admitted:
        """Decide on a call that could run, as far as its input goes."""
        call = checked.call
        for name in checked.access.reserved:
            if call.input.get(name):
                told = f"`{name}` is for the user to give: leave it out."
                return Admitted(Refused(f"<tool_use_error>{told}</tool_use_error>"))
        fired = await self.hooks.fire(
            "PreToolUse",
            subject=checked.tool.name,
            tool_use_id=call.id,
            tool_name=checked.tool.name,
            tool_input=call.input,
        )
        if fired.behavior == "deny":
            blocked = f"A hook blocked this use of {checked.tool.name}: {fired.reason}"
            return Admitted(Refused(blocked, "hook"), (fired,))
        if fired.updated_input is not None:
            again = _with_input(checked, fired.updated_input, tools, context)
            if isinstance(again, Refused):
                return Admitted(again, (fired,))
            checked = again
        return await self._decided(checked, tools, context, fired)

    def decide(self, checked: Checked) -> Decision:
        """Decide by the rules and the mode alone."""
        policy = self.policy
        if self.granted:
            policy = msgspec.structs.replace(policy, allow=(*policy.allow, *self.granted))
        return decide(policy, checked.tool.name, checked.access)

    async def _decided(
        self, checked: Checked, tools: Tools, context: Context, fired: Fired
    ) -> Admitted:
        decision = self.decide(checked)
        if decision.behavior == "deny":
            return Admitted(Refused(f"Permission denied. {decision.reason}", decision.by), (fired,))
        reason, by = decision.reason, decision.by
        if fired.behavior == "ask":
            reason, by = fired.reason or "A hook asks for a person's consent.", "hook"
        elif decision.behavior == "allow" or (fired.behavior == "allow" and by != "rule"):
            return Admitted(Ready(checked.call, checked.tool, checked.input), (fired,))
        if self.policy.mode == "dontAsk":
            return Admitted(Refused(f"Permission denied. {_sentence(reason)}", by), (fired,))
        requested = await self._permission_hooks(checked)
        heard: tuple[Fired, ...] = (fired, requested)
        answer = _hooks_answer(requested)
        if answer is None and self.ask is not None:
            heard = (*heard, await self._notify(checked.tool.name))
            answer = await self.ask(
                Question(call=checked.call, access=checked.access, reason=reason)
            )
        if answer is None:
            told = f"Permission denied. {_sentence(reason)} Nobody can be asked in this run."
            return Admitted(Refused(told, by), heard)
        return self._answered(checked, answer, tools, context, heard)

    async def _notify(self, tool: str) -> Fired:
        """Have hooks call the person who is about to be asked."""
        kind = "permission_prompt"
        return await self.hooks.fire(
            "Notification",
            subject=kind,
            notification_type=kind,
            message=f"apr needs your permission to use {tool}",
        )

    async def _permission_hooks(self, checked: Checked) -> Fired:
        return await self.hooks.fire(
            "PermissionRequest",
            subject=checked.tool.name,
            tool_use_id=checked.call.id,
            tool_name=checked.tool.name,
            tool_input=checked.call.input,
        )

    def _answered(
        self,
        checked: Checked,
        answer: Answer,
        tools: Tools,
        context: Context,
        fired: tuple[Fired, ...],
    ) -> Admitted:
        if not answer.allow:
            by: DeniedBy = "hook" if fired[1].behavior == "deny" else "user"
            told = f"The {by} did not allow this use of {checked.tool.name}."
            refused = Refused(f"{told} {answer.message}".rstrip(), by)
            return Admitted(refused, fired, interrupt=answer.interrupt)
        self.policy = msgspec.structs.replace(
            self.policy,
            allow=(*self.policy.allow, *(r for r in answer.rules if r not in self.policy.allow)),
            mode=answer.mode or self.policy.mode,
        )
        if answer.updated_input is not None:
            again = _with_input(checked, answer.updated_input, tools, context)
            if isinstance(again, Refused):
                return Admitted(again, fired)
            decision = self.decide(again)
            if decision.behavior == "deny":
                told = f"Permission denied. {decision.reason}"
                return Admitted(Refused(told, decision.by), fired)
            checked = again
        return Admitted(Ready(checked.call, checked.tool, checked.input), fired)


def _sentence(text: str) -> str:
    """End what somebody else has written as a sentence ends."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _with_input(
    checked: Checked, given: dict[str, object], tools: Tools, context: Context
) -> Checked | Refused:
    """Check the call anew with another input: it may touch something else now."""
    call = msgspec.structs.replace(checked.call, input=given)
    return check(call, {}, tools, context)


def _hooks_answer(fired: Fired) -> Answer | None:
    """Return what hooks say in a person's place, None if they leave it to the person."""
    if fired is NOTHING or fired.behavior not in {"allow", "deny"}:
        return None
    return Answer(
        allow=fired.behavior == "allow",
        message=fired.reason,
        updated_input=fired.updated_input,
    )
