"""BashOutput: what a background shell has said since the last look."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from apr.tools import ripgrep
from apr.tools.base import Access, Context, Outcome
from apr.tools.shells import Shell


class BashOutputInput(Struct, forbid_unknown_fields=True):
    """What BashOutput takes."""

    bash_id: str
    filter: Annotated[str, Meta(description="Regular expression: only these lines")] | None = None


class BashOutput:
    """Shows the new output of a background shell."""

    name: ClassVar[str] = "BashOutput"
    description: ClassVar[str] = "Show new output and status of a background shell."
    Input = BashOutputInput
    read_only: ClassVar[bool] = True

    def access(self, call: BashOutputInput, context: Context) -> Access:
        """Touch nothing: the command was allowed when it started."""
        return Access(kind="none")

    async def run(self, call: BashOutputInput, context: Context) -> Outcome:
        """Show it."""
        shell = context.shells.background(call.bash_id)
        if call.filter is not None:
            await ripgrep.matching(call.filter, "")  # refuse a bad one before output is taken
        if shell.status is not None:
            await shell.finished()  # its last words may still be in the pipe
        status, kept = _status(shell), shell.output.take()
        text = kept.text
        if call.filter is not None:
            text = await ripgrep.matching(call.filter, text)
        return Outcome(
            content=f"{status}\n{text.rstrip() or '[no new output]'}",
            truncated=kept.truncated,
            full_sha256=kept.sha256,
        )


def _status(shell: Shell) -> str:
    if shell.status is None:
        return "[running]"
    return "[killed]" if shell.killed else f"[ended with exit code {shell.status}]"
