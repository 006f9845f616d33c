"""The sandbox: what is enforced here, found by trying it."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from apr.agent.permissions import Policy
from apr.doctor.finding import Finding
from apr.errors import AprError
from apr.sandbox.confinement import Confinement, unavailable
from apr.settings import Settings
from apr.settings.schema import Filesystem, Sandbox
from apr.tools.shells import Shells

_TRIAL_S = 20.0
_ATTEMPTS = {
    # what is said to be enforced -> a command that succeeds where it is not
    "writes only in the project": "echo x > {outside}/file",
    "secrets hidden": "cat {outside}/secret",
    "no network": "exec 3<>/dev/tcp/127.0.0.1/{port}",
    "git hooks and settings fixed": "echo x > .claude/settings.json || echo x > .git/hooks/x",
    "no other processes": "kill -0 {process}",
}


def sandbox(settings: Settings | None) -> Iterator[Finding]:
    """Run commands in a sandbox that should fail there, and one that should not."""
    wanted = settings.sandbox if settings else Sandbox()
    does: Literal["broken", "note"] = "broken" if wanted.enabled else "note"
    use = "" if wanted.enabled else "; it is off: set sandbox.enabled"
    if reason := unavailable():
        yield Finding("sandbox", does, reason, "see docs/sandbox.md for what it needs")
        return
    nested = wanted.enable_weaker_nested_sandbox
    tried = Sandbox(enabled=True, enable_weaker_nested_sandbox=nested)
    try:
        with tempfile.TemporaryDirectory(dir=_not_tmp(), prefix=".apr-doctor-") as folder:
            held, failed = asyncio.run(_try(tried, Path(folder).resolve()))
    except (AprError, OSError, TimeoutError) as error:
        yield Finding("sandbox", does, f"it does not work: {error}", "see docs/sandbox.md")
        return
    if failed:
        says = f"NOT enforced here: {', '.join(failed)}"
        yield Finding("sandbox", "broken", says, "do not rely on it on this machine")
    if held:
        yield Finding("sandbox", "ok", f"enforced: {', '.join(held)}{use}")


async def _try(settings: Sandbox, folder: Path) -> tuple[list[str], list[str]]:
    root, outside = folder / "project", folder / "outside"
    for one in (root / ".git" / "hooks", outside):
        one.mkdir(parents=True)
    (outside / "secret").write_text("x")
    files = Filesystem(deny_read=(str(outside / "secret"),))
    confinement = Confinement(
        msgspec.structs.replace(settings, filesystem=files), Policy(root=root)
    )
    shells = Shells(None, confinement)
    listening = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    facts = {
        "outside": outside,
        "port": listening.sockets[0].getsockname()[1],
        "process": os.getpid(),
    }
    try:
        return await _attempts(shells, root, facts)
    finally:
        listening.close()
        await shells.close()
        await confinement.close()


async def _attempts(
    shells: Shells, root: Path, facts: dict[str, object]
) -> tuple[list[str], list[str]]:
    if status := await (fine := await shells.start("touch here", root)).wait(_TRIAL_S):
        raise AprError(f"status {status}: {fine.output.take().text.strip()}")
    held: list[str] = []
    failed: list[str] = []
    for what, attempt in _ATTEMPTS.items():
        shell = await shells.start(attempt.format_map(facts), root)
        said = await shell.wait(_TRIAL_S)
        # A secret that is hidden may be an empty file.
        empty = what.startswith("secrets") and not shell.output.take().text.strip()
        (held if said or empty else failed).append(what)
    return held, failed


def _not_tmp() -> Path:
    """Return a folder that is not below /tmp, for commands have a /tmp of their own."""
    return Path("/var/tmp") if os.access("/var/tmp", os.W_OK) else Path.home()  # noqa: S108
