"""The end of a session: its last prompt and what came of it."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from apr.sessions.lines import Recorded, decode
from ccpa.trace import Record, UserPrompt

_FIRST_LOOK, _FURTHEST = 1 << 16, 1 << 22
"""Bytes of a file's end that are looked at for a prompt: at first, and at most."""


def from_last_prompt(records: Sequence[Record]) -> list[Record]:
    """Return the last prompt among the records and what follows it; subagents' left out."""
    own = [r for r in records if getattr(r, "parent_tool_use_id", None) is None]
    starts = [at for at, record in enumerate(own) if isinstance(record, UserPrompt)]
    return own[starts[-1] :] if starts else own


def tail(path: Path) -> list[Record]:
    """Return how a stored session ends, read from the end of its file alone.

    Lines that are damaged are left out, and so is all of a file that cannot be read.
    """
    size = _FIRST_LOOK
    while True:
        data, whole = _last_bytes(path, size)
        records = []
        for text in data.splitlines():
            with contextlib.suppress(msgspec.MsgspecError):
                if isinstance(line := decode(text), Recorded):
                    records.append(line.record)
        if whole or size >= _FURTHEST or any(isinstance(r, UserPrompt) for r in records):
            return from_last_prompt(records)
        size *= 4


def _last_bytes(path: Path, size: int) -> tuple[bytes, bool]:
    """Return the last bytes of a file, and whether they are all of it."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size))
            return file.read(), end <= size
    except OSError:
        return b"", True
