"""BashOutput and KillShell, which also know the subagents in the background."""

from apr.subagents.company import Company
from apr.tools.base import Context, Outcome
from apr.tools.bash_output import BashOutput, BashOutputInput
from apr.tools.kill_shell import KillShell, KillShellInput


class TaskOutput(BashOutput):
    """Shows what a background shell or a subagent has come to."""

    def __init__(self, company: Company) -> None:
        self._company = company

    async def run(self, call: BashOutputInput, context: Context) -> Outcome:
        """Show it."""
        worker = self._company.background.get(call.bash_id)
        if worker is None:
            return await super().run(call, context)
        if worker.outcome is None:
            return Outcome(content=f"[running]\n{worker.said or '[it has said nothing yet]'}")
        state = "killed" if worker.stopped else "done" if worker.outcome.ok else "failed"
        return Outcome(content=f"[{state}]\n{worker.outcome.content}")


class TaskStop(KillShell):
    """Ends a background shell or a subagent."""

    def __init__(self, company: Company) -> None:
        self._company = company

    async def run(self, call: KillShellInput, context: Context) -> Outcome:
        """End it."""
        worker = self._company.background.get(call.shell_id)
        if worker is None:
            return await super().run(call, context)
        if worker.outcome is not None:
            return Outcome(content=f"{call.shell_id} had ended.")
        await self._company.stop(call.shell_id)
        return Outcome(content=f"Killed {call.shell_id}.")
