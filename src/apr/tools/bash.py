"""Bash: a shell command."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError

TIMEOUT_MS = 120_000
LONGEST_MS = 600_000
_TIMED_OUT = 143
"""The exit code that a timeout counts as: ended by SIGTERM."""


class BashInput(Struct, forbid_unknown_fields=True):
    """What Bash takes."""

    command: str
    timeout: Annotated[
        int, Meta(ge=1, description=f"Milliseconds; default {TIMEOUT_MS}, at most {LONGEST_MS}")
    ] = TIMEOUT_MS
    description: str | None = None
    run_in_background: Annotated[bool, Meta(description="For servers: do not wait")] = False


class Bash:
    """Runs commands in the project."""

    name: ClassVar[str] = "Bash"
    description: ClassVar[str] = (
        "Run a shell command in the project. `cd` lasts until the next call, variables do not. "
        "There is no input: use options like -y. Use Read, Edit, Grep and Glob for files."
    )
    Input = BashInput
    read_only: ClassVar[bool] = False

    def access(self, call: BashInput, context: Context) -> Access:
        """Execute the command."""
        return Access(kind="execute", command=call.command, cwd=context.cwd)

    async def run(self, call: BashInput, context: Context) -> Outcome:
        """Run the command to its end, or start it in the background."""
        if not call.command.strip():
            raise ToolError("the command is empty")
        notes = []
        cwd = context.cwd
        if not cwd.is_dir():
            notes.append("[the directory of the shell is gone: it was run in the project's root]")
            cwd = context.root
        if call.run_in_background:
            shell_id = await context.shells.start_in_background(call.command, cwd)
            started = f"Runs in the background as {shell_id}. See its output with BashOutput."
            return Outcome(content="\n".join([started, *notes]), directory=cwd)
        shell = await context.shells.start(call.command, cwd, context.progress)
        timeout = min(call.timeout, LONGEST_MS)
        try:
            status = await shell.wait(timeout / 1000)
        except TimeoutError:
            status = _TIMED_OUT
            notes.append(
                f"[ended after {timeout:,} ms: give a longer timeout, or run_in_background]"
            )
        if shell.directory is not None:
            cwd = shell.directory.resolve()
            if not cwd.is_relative_to(context.root):
                cwd = context.root
                notes.append("[cd left the project: the next command runs in its root]")
        kept = shell.output.take()
        output = kept.text.rstrip("\n")
        if status:
            content = "\n".join([f"Exit code {status}", *filter(None, [output]), *notes])
        else:
            content = "\n".join([output or "[no output]", *notes])
        return Outcome(
            content=content,
            ok=status == 0,
            exit_code=status,
            truncated=kept.truncated,
            full_sha256=kept.sha256,
            directory=cwd,
        )
