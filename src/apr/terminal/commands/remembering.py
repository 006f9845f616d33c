"""The instruction files: /memory, /init."""

import asyncio
import os
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from apr.errors import AprError
from apr.memory import BUDGET, Memory, Piece, load, render, tokens
from apr.memory.reading import Unreadable, text_of
from apr.settings import user_folders
from apr.terminal.commands.desk import Desk
from apr.terminal.commands.layout import table, wrapped
from apr.terminal.editor import command
from apr.ui.terminal import line

_OWN = "APR.md"
_INPUT, _LOCAL = 0, 3
"""Where a terminal's attributes have the flags of its input, and of its behaviour."""


async def memory(desk: Desk, given: str) -> AsyncIterator[str]:
    """List the instruction files with what they take of the context, or edit one."""
    found = _loaded(desk)
    if not given:
        for shown in _listed(found, desk.width()):
            yield shown
        return
    path = _meant(desk, found, given)
    if desk.screen.doing:
        raise AprError("The agent is at work, and would write over the editor. Esc ends that.")
    before = _text(path)
    await edit(path)
    after = _text(path)
    if after == before:
        yield line(f"{path} is as it was.")
        return
    _tell(desk, path, after)
    yield wrapped(line(f"The model reads the new {path} with your next prompt."), desk.width())


async def init(desk: Desk, given: str) -> AsyncIterator[str]:
    """Write a first APR.md by looking at the project."""
    from apr.init import write

    if given not in {"", "--force"}:
        raise AprError("usage: /init [--force]")
    path = await asyncio.to_thread(lambda: write(desk.root, force=bool(given)))
    text = _text(path)
    yield text.rstrip()
    _tell(desk, path, text)
    about = f"It is written to {path}, and the model reads it with your next prompt. /memory edits"
    yield wrapped(line(f"{about} it."), desk.width())


async def edit(path: Path) -> None:
    """Open a file in the person's own editor, and wait until they are done.

    Raises:
        AprError: there is no editor, or it fails.
    """
    from prompt_toolkit.application import run_in_terminal

    words = [*command(), str(path)]

    def run() -> int:
        return subprocess.run(words, check=False).returncode

    try:
        with _lent():
            code = await run_in_terminal(run, in_executor=True)
    except OSError as error:
        raise AprError(f"{words[0]} cannot be run ({error.strerror}); set EDITOR") from None
    if code:
        raise AprError(f"{words[0]} has ended with exit code {code}; {path} may not be saved")


@contextmanager
def _lent() -> Iterator[None]:
    """Give another program the terminal as it expects it; Ctrl-C is that program's then."""
    interrupted = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (termios.error, OSError, ValueError):  # there is none
        descriptor, before = -1, None
    if before is not None:
        usual = [*before]
        usual[_INPUT] |= termios.ICRNL
        usual[_LOCAL] |= termios.ECHO | termios.ICANON | termios.ISIG
        termios.tcsetattr(descriptor, termios.TCSADRAIN, usual)
    try:
        yield
    finally:
        if before is not None:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        signal.signal(signal.SIGINT, interrupted)


def _tell(desk: Desk, path: Path, text: str) -> None:
    """Have the model read an instruction file that is another now."""
    piece = Piece(path=path, kind="user", text=text, size=len(text))
    told = "The user has changed an instruction file. This is what it says now:"
    desk.assembled.agent.inbox.append(f"{told}\n{render([piece])}")


def _loaded(desk: Desk) -> Memory:
    options = desk.plan.options
    return load(
        desk.root,
        os.environ,
        directories=desk.policy.directories,
        sources=options.sources,
        excluded=desk.settings.claude_md_excludes,
        budget=desk.settings.apr.memory_budget or BUDGET,
    )


def _listed(found: Memory, width: int) -> Iterator[str]:
    rows = [
        (str(number), piece.kind, f"~{tokens(piece.text):,}", line(f"{piece.path}{_told(piece)}"))
        for number, piece in enumerate(_pieces(found), start=1)
    ]
    yield from table(rows, width)
    if not rows:
        yield "There are no instruction files. /init writes a first one for this project."
    for notice in found.notices:
        yield wrapped(line(notice), width, first="✗ ", rest="  ")
    whole = f"In all about {tokens(render(found.pieces)):,} tokens, a token for 4 characters. "
    yield wrapped(f"{whole}/memory NUMBER (or FILE, user, project) opens one in $EDITOR.", width)


def _pieces(found: Memory) -> list[Piece]:
    return [*found.pieces, *(piece for _, piece in found.waiting)]


def _told(piece: Piece) -> str:
    return f"  ({piece.why})" if piece.why else ""


def _meant(desk: Desk, found: Memory, given: str) -> Path:
    """Return the file that a number, a word or a name means. It need not be there.

    Raises:
        AprError: none is meant.
    """
    if given == "user":
        return user_folders(os.environ)[1] / _OWN
    if given == "project":
        return desk.root / _OWN
    pieces = _pieces(found)
    if given.isdecimal():
        if not 1 <= int(given) <= len(pieces):
            raise AprError(f"there is no file {given}: /memory numbers those that there are")
        return pieces[int(given) - 1].path
    path = desk.root / Path(given).expanduser()
    if path.suffix != ".md":
        raise AprError(f"{given} is no Markdown file; instruction files are")
    if not path.parent.is_dir():
        raise AprError(f"there is no directory {path.parent}")
    return path


def _text(path: Path) -> str:
    try:
        return text_of(path)
    except (OSError, Unreadable):
        return ""
