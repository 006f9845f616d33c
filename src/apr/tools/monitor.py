"""Monitor: wait for a line of a command that runs on."""

import asyncio
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError
from apr.tools.shells import Shell

TIMEOUT_MS = 300_000
LONGEST_MS = 3_600_000
_MORE_S = 0.2
"""How long is waited for further lines once one has come."""


class MonitorInput(Struct, forbid_unknown_fields=True):
    """What Monitor takes."""

    command: Annotated[str, Meta(description="Prints a line for each event, and nothing else")]
    description: str = ""
    timeout_ms: Annotated[int, Meta(ge=1, description="How long to wait for a line")] = TIMEOUT_MS
    persistent: Annotated[bool, Meta(description="Let it run on where none has come")] = False


class Monitor:
    """Watches something until it happens."""

    name: ClassVar[str] = "Monitor"
    description: ClassVar[str] = (
        "Run a command that watches for something, and return with the first lines it prints. It "
        "runs on in the background: see more with BashOutput."
    )
    Input = MonitorInput
    read_only: ClassVar[bool] = False

    def access(self, call: MonitorInput, context: Context) -> Access:
        """Execute the command."""
        return Access(kind="execute", command=call.command, cwd=context.cwd)

    async def run(self, call: MonitorInput, context: Context) -> Outcome:
        """Return when there is a line, the command has ended, or the time is over."""
        if not call.command.strip():
            raise ToolError("the command is empty")
        line, watched = asyncio.Event(), True

        def heard(text: str) -> None:
            if watched:
                context.progress(text)
            if "\n" in text:
                line.set()

        shell_id = await context.shells.start_in_background(call.command, context.cwd, heard)
        shell = context.shells.background(shell_id)
        timeout = min(call.timeout_ms, LONGEST_MS)
        note = ""
        try:
            if not await _line_or_end(shell, line, timeout / 1000):
                note = f"no line within {timeout:,} ms"
                if not call.persistent:
                    await shell.kill()
        except asyncio.CancelledError:
            await shell.kill()
            raise
        finally:
            watched = False
        return _outcome(shell, shell_id, note)


async def _line_or_end(shell: Shell, line: asyncio.Event, seconds: float) -> bool:
    """Wait for a line, and a moment for those that come with it; return whether it came, or all."""
    waits = [asyncio.create_task(line.wait()), asyncio.create_task(shell.finished())]
    try:
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if done == {waits[0]}:
            await asyncio.wait([waits[1]], timeout=_MORE_S)
        return bool(done)
    finally:
        for wait in waits:
            wait.cancel()


def _outcome(shell: Shell, shell_id: str, note: str) -> Outcome:
    kept = shell.output.take()
    text = kept.text.rstrip("\n")
    if shell.status is None:
        notes = ["", f"[{'; '.join(filter(None, [note, f'runs on as {shell_id}']))}]"]
    elif note:
        notes = ["", f"[{note}: it was ended]"]
    else:
        notes = [f"Exit code {shell.status}" if shell.status else "", ""]
    content = "\n".join(filter(None, [notes[0], text, notes[1]]))
    return Outcome(
        content=content or "[ended without output]",
        ok=not shell.status,
        exit_code=shell.status,
        truncated=kept.truncated,
        full_sha256=kept.sha256,
    )
