"""ExitPlanMode: show a plan, and ask whether to go ahead with it."""

from typing import ClassVar

import msgspec
from msgspec import Struct

from apr.agent.gate import Gate
from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError


class ExitPlanModeInput(Struct, forbid_unknown_fields=True):
    """What ExitPlanMode takes."""

    plan: str


class ExitPlanMode:
    """Ends plan mode, with a person's consent."""

    name: ClassVar[str] = "ExitPlanMode"
    description: ClassVar[str] = (
        "In plan mode, show your plan when it is complete and ask whether to go ahead. Do not ask "
        "in your own words."
    )
    Input = ExitPlanModeInput
    read_only: ClassVar[bool] = False

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def access(self, call: ExitPlanModeInput, context: Context) -> Access:
        """A person has to agree."""
        return Access(kind="consent")

    async def run(self, call: ExitPlanModeInput, context: Context) -> Outcome:
        """Leave plan mode: the person has agreed."""
        policy = self._gate.policy
        if policy.mode == "plan":
            self._gate.policy = msgspec.structs.replace(policy, mode="default")
        elif not call.plan.strip():
            raise ToolError("there is no plan, and plan mode is off")
        return Outcome(content="The user agrees to the plan. Go ahead with it.")
