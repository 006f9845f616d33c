"""Draw what a command shows on a terminal, as an SVG.

    python tools/picture.py OUT.svg TITLE COMMAND...

The command runs for real, on a pseudo-terminal of 100 columns. `make picture` draws the README's.
"""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100


def on_terminal(command: list[str]) -> str:
    """Run a command and return what the terminal got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
    if process.wait():
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return seen.decode().replace("\r\n", "\n")


def settled(line: str) -> str:
    """Return what is left of a line that was rewritten in place: progress goes, the rest stays."""
    return line.rpartition("\r\x1b[K")[2]


def main() -> None:
    """Draw it."""
    target, title, *command = sys.argv[1:]
    lines = [settled(line) for line in on_terminal(command).strip("\n").split("\n")]
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in lines:
        console.print(Text.from_ansi(line))
    svg = console.export_svg(title=title, unique_id="picture")
    # Whoever looks at the picture need not fetch a font for it.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    Path(target).write_text(svg)


if __name__ == "__main__":
    main()
