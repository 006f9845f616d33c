"""The picture in the clipboard, by whatever program of the system can tell it."""

import asyncio
import base64
import binascii
import contextlib
import re
import shutil
import sys
from collections.abc import Callable

from msgspec import Struct

from apr.hooks.command import end
from apr.terminal.chips import Picture
from apr.terminal.images import NoPicture, picture
from apr.tools.images import LARGEST

_POWERSHELL = (
    "Add-Type -AssemblyName System.Windows.Forms,System.Drawing;"
    "$i=[Windows.Forms.Clipboard]::GetImage();"
    "if($i){$s=New-Object IO.MemoryStream;$i.Save($s,[Drawing.Imaging.ImageFormat]::Png);"
    "[Convert]::ToBase64String($s.ToArray())}"
)


def _hex(output: bytes) -> bytes:
    """Read what AppleScript prints: `«data PNGf8950…»`."""
    found = re.search(rb"PNGf([0-9A-Fa-f]+)", output)
    return binascii.unhexlify(found[1]) if found else b""


class Program(Struct, frozen=True):
    """A program that prints the picture in the clipboard, and how its output is read."""

    command: tuple[str, ...]
    read: Callable[[bytes], bytes] = bytes
    seconds: float = 5.0
    """Time that it has: some wait for ever for whoever owns the clipboard."""


PROGRAMS = (
    Program(("wl-paste", "--no-newline", "--type", "image/png")),
    Program(("xclip", "-selection", "clipboard", "-target", "image/png", "-out")),
    Program(("pngpaste", "-")),
    Program(("osascript", "-e", "the clipboard as «class PNGf»"), _hex),
    Program(
        ("powershell.exe", "-NoProfile", "-STA", "-Command", _POWERSHELL),
        lambda output: base64.b64decode(output.strip()),
        seconds=15.0,  # it takes seconds to start
    ),
)
_MOST = 2 * LARGEST + 1000
"""Bytes of output that are read: as hexadecimal digits, a picture is twice as long."""


async def pasted(programs: tuple[Program, ...] = PROGRAMS) -> Picture:
    """Return the picture in the clipboard.

    Raises:
        NoPicture: there is none, it is too large, or no program can tell.
    """
    installed = [one for one in programs if shutil.which(one.command[0])]
    if not installed:
        raise NoPicture(f"no program is installed that reads the clipboard: {_advice()}")
    for program in installed:
        data = await _output(program)
        with contextlib.suppress(ValueError):
            data = program.read(data)
            if data:
                return picture(data, "the picture in the clipboard")
    tried = ", ".join(program.command[0] for program in installed)
    raise NoPicture(f"there is no picture in the clipboard (asked: {tried})")


async def _output(program: Program) -> bytes:
    """Return what a program prints, nothing where it fails or takes too long."""
    try:
        process = await asyncio.create_subprocess_exec(
            *program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return b""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    output = bytearray()
    try:
        async with asyncio.timeout(program.seconds):
            while len(output) <= _MOST and (more := await process.stdout.read(1 << 16)):
                output += more
            return bytes(output) if len(output) > _MOST or not await process.wait() else b""
    except TimeoutError:
        return b""
    finally:
        await end(process)


def _advice() -> str:
    if sys.platform == "darwin":
        return "install pngpaste"
    return "install wl-clipboard on Wayland, xclip on X11"
