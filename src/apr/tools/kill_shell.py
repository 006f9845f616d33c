"""KillShell: the end of a background shell."""

from typing import ClassVar

from msgspec import Struct

from apr.tools.base import Access, Context, Outcome


class KillShellInput(Struct, forbid_unknown_fields=True):
    """What KillShell takes."""

    shell_id: str


class KillShell:
    """Ends a background shell and everything it has started."""

    name: ClassVar[str] = "KillShell"
    description: ClassVar[str] = "Stop a background shell."
    Input = KillShellInput
    read_only: ClassVar[bool] = False

    def access(self, call: KillShellInput, context: Context) -> Access:
        """Touch nothing: only what this session has started can be named."""
        return Access(kind="none")

    async def run(self, call: KillShellInput, context: Context) -> Outcome:
        """End it."""
        shell = context.shells.background(call.shell_id)
        if shell.status is not None and shell.gone:
            return Outcome(content=f"{call.shell_id} had ended with exit code {shell.status}.")
        await shell.kill()
        return Outcome(content=f"Killed {call.shell_id}.")
