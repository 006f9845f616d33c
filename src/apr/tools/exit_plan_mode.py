"""ExitPlanMode: show a plan, and ask whether to go ahead with it."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from apr.agent.gate import Gate
from apr.tools.base import Access, Context, Outcome


class ExitPlanModeInput(Struct, forbid_unknown_fields=True):
    """What ExitPlanMode takes."""

    plan: Annotated[str, Meta(min_length=1)]


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
        """Leave plan mode: the person has agreed, and may have named the mode to go on in."""
        policy = self._gate.policy
        if policy.mode == "plan":
            self._gate.policy = msgspec.structs.replace(policy, mode="default")
        return Outcome(content="The user agrees to the plan. Go ahead with it.")
