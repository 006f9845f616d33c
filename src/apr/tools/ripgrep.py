"""The `rg` program: which one, and a run of it that is bounded in time and output."""

import asyncio
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from msgspec import Struct

from apr.tools.errors import ToolError

SECONDS = 30
"""Time after which a search is given up."""
BYTES = 16_000_000
"""Output after which a search is cut short."""

_BASE = ("--no-config", "--no-messages", "--color=never")
_EVERYWHERE = ("--hidden", "--glob=!.git")
"""Dot files are searched, `.git` is not."""


class Found(Struct, frozen=True):
    """What a search printed: its lines, and why there may be more to find."""

    lines: list[str]
    cut: bool = False
    unreadable: bool = False


@cache
def program() -> str:
    """Return the `rg` to run: the one installed with this package, or the system's where newer.

    Only where there are two of them are they asked for their versions.

    Raises:
        ToolError: there is none.
    """
    import shutil
    import sysconfig

    packaged = Path(sysconfig.get_path("scripts"), "rg")
    system = shutil.which("rg")
    if not packaged.exists():
        if system is None:
            raise ToolError("ripgrep (rg) is not installed. Search with grep or find in Bash.")
        return system
    if system is None or packaged.samefile(system) or _version(system) <= _version(str(packaged)):
        return str(packaged)
    return system


def without(patterns: Iterable[str]) -> list[str]:
    """Return arguments that leave files out. They must come last: the last pattern decides."""
    return [f"--glob=!{pattern}" for pattern in patterns]


def command(arguments: Iterable[str], folder: Path) -> list[str]:
    """Return the command that runs `rg` in a folder: what is ignored is left out, `.git` too.

    Raises:
        ToolError: there is no `rg`.
    """
    return [program(), *_BASE, *_EVERYWHERE, *_ignoring(folder), *arguments]


async def search(arguments: list[str], *, folder: Path, lines: int | None = None) -> Found:
    """Run `rg` in a folder and return what it prints, at most so many lines.

    Raises:
        ToolError: `rg` refuses the arguments, or takes too long.
    """
    process = await asyncio.create_subprocess_exec(
        *command(arguments, folder),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            output, cut = await _read(process, lines)
            if cut:
                return Found(_split(output)[:-1][:lines], cut)  # the last one may be half a line
            complaint = await _stderr(process)
            status = await process.wait()
    except TimeoutError:
        raise ToolError(f"The search took more than {SECONDS} s. Give a narrower path.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()  # what is left in its pipes would keep it waiting
    if status == 2 and complaint:
        raise ToolError(complaint)
    return Found(_split(output), unreadable=status == 2)


async def matching(pattern: str, text: str) -> str:
    """Return the lines of a text that match a regular expression, in time linear in the text.

    Raises:
        ToolError: it is no regular expression.
    """
    process = await asyncio.create_subprocess_exec(
        program(),
        *_BASE,
        "--text",
        f"--regexp={pattern}",
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaint = await process.communicate(text.encode(errors="replace"))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()  # what is left in its pipes would keep it waiting
    if process.returncode == 2:
        raise ToolError(_clean(complaint))
    return output.decode(errors="replace")


def _ignoring(folder: Path) -> tuple[str, ...]:
    """Let `.gitignore` count outside a repository too; inside, rg knows where git stops looking."""
    if any((above / ".git").exists() for above in (folder, *folder.parents)):
        return ()
    return ("--no-require-git",)


async def _read(process: asyncio.subprocess.Process, lines: int | None) -> tuple[bytes, bool]:
    """Return the output, and whether reading stopped before its end."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    output, count = bytearray(), 0
    while piece := await process.stdout.read(1 << 16):
        output += piece
        count += piece.count(b"\n")
        if len(output) > BYTES or (lines is not None and count > lines):
            return bytes(output), True
    return bytes(output), False


async def _stderr(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None  # noqa: S101 - it was asked for
    return _clean(await process.stderr.read())


def _clean(complaint: bytes) -> str:
    return complaint.decode(errors="replace").strip().removeprefix("rg: ")


def _split(output: bytes) -> list[str]:
    return output.decode(errors="replace").removesuffix("\n").split("\n") if output else []


def _version(path: str) -> tuple[int, ...]:
    """Ask a program for its version; what does not answer is older than anything."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, timeout=5, check=True)
        number = answer.stdout.split()[1].decode()
        return tuple(int(part) for part in number.split("."))
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return ()
