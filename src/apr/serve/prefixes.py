"""Evaluated prompts on disk: what a slot held, to be put back after a restart or an eviction.

A folder for each model and engine, since the bytes mean nothing to another. An entry is the
engine's file and a note beside it, `KEY.json`, that says which conversation it is; the key is the
last link of its chain. The note is written last: without it a file is not there. The folder is
private, and all models' folders together stay below a limit: the entry that was used longest ago
goes first.
"""

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from apr.home import beside, private_directory
from apr.serve.conversation import Chain

STATE = ".kv"
NOTE = ".json"
_DRAFT = ".draft"


class Entry(Struct, frozen=True):
    """A note: whose prompt a file holds, its tokens, and the exact text of the answers in it."""

    chain: Chain
    tokens: int
    answers: dict[str, str]

    @property
    def key(self) -> str:
        """The name of its files."""
        return self.chain.links[-1]


class Prefixes:
    """The saved prompts of one model.

    Args:
        root: where all models' folders are.
        model: what tells the model, the engine and its settings from all others.
        limit: bytes that all files under `root` may take.

    Raises:
        OSError: the folder cannot be made private or read.
    """

    def __init__(self, root: Path, model: str, limit: int) -> None:
        name = hashlib.sha256(model.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self.folder = private_directory(private_directory(root) / name)
        self._root = root
        self._limit = limit
        self._entries: dict[str, Entry] = {}
        self._load()

    def entries(self) -> list[Entry]:
        """Return all of them."""
        return list(self._entries.values())

    def get(self, key: str) -> Entry | None:
        """Return an entry, if it is still there."""
        return self._entries.get(key)

    def best(self, chain: Chain) -> tuple[int, str | None]:
        """Return how many links the best entry shares with a prompt, and its key.

        Of entries that share as many, the one that holds least beyond them.
        """
        shared, _, key = max(
            ((chain.shared(e.chain), -len(e.chain.links), k) for k, e in self._entries.items()),
            default=(0, 0, None),
        )
        return shared, key if shared else None

    def has(self, chain: Chain) -> bool:
        """Whether just this prompt is saved."""
        return bool(chain.links) and chain.links[-1] in self._entries

    def draft(self, chain: Chain) -> str:
        """Return the name of a file in the folder, for the engine to write."""
        return f"{chain.links[-1]}.{os.getpid()}{_DRAFT}"

    def keep(self, entry: Entry) -> None:
        """Take in what the engine has written to `draft`, in the place of what it continues.

        What is larger than all files may be is not kept.
        """
        draft = self.folder / self.draft(entry.chain)
        if draft.stat().st_size > self._limit:
            draft.unlink()
            return
        state = self.folder / f"{entry.key}{STATE}"
        draft.replace(state)
        note = beside(state)
        note.write_bytes(msgspec.json.encode(entry))
        note.replace(state.with_suffix(NOTE))
        for key, older in list(self._entries.items()):
            if key != entry.key and entry.chain.goes_on(older.chain):
                self.drop(key)
        self._entries[entry.key] = entry
        self._trim()

    def used(self, key: str) -> None:
        """Note that an entry was of use just now."""
        with contextlib.suppress(OSError):
            os.utime(self.folder / f"{key}{NOTE}")

    def drop(self, key: str) -> None:
        """Remove an entry."""
        self._entries.pop(key, None)
        for suffix in (NOTE, STATE):
            (self.folder / f"{key}{suffix}").unlink(missing_ok=True)

    def _load(self) -> None:
        """Read the notes; sweep away what a crash has left of a file without one."""
        for note in self.folder.glob(f"*{NOTE}"):
            try:
                entry = msgspec.json.decode(note.read_bytes(), type=Entry)
                sound = entry.key == note.stem and note.with_suffix(STATE).is_file()
            except (OSError, IndexError, msgspec.DecodeError):
                sound = False
            else:
                if sound:
                    self._entries[entry.key] = entry
            if not sound:
                self.drop(note.stem)
        for file in self.folder.iterdir():
            abandoned = file.suffix == _DRAFT and not _writer_lives(file)
            if abandoned or (file.suffix == STATE and file.stem not in self._entries):
                file.unlink(missing_ok=True)

    def _trim(self) -> None:
        """Remove what was used longest ago, until everything fits."""
        found = []
        for note in self._root.glob(f"*/*{NOTE}"):
            with contextlib.suppress(OSError):
                size = note.stat().st_size + note.with_suffix(STATE).stat().st_size
                found.append((note.stat().st_mtime_ns, size, note))
        total = sum(size for _, size, _ in found)
        for _, size, note in sorted(found):
            if total <= self._limit:
                return
            total -= size
            if note.parent == self.folder:
                self.drop(note.stem)
            else:
                note.unlink(missing_ok=True)
                note.with_suffix(STATE).unlink(missing_ok=True)


def _writer_lives(draft: Path) -> bool:
    """Whether the process that a draft is named after still runs."""
    from apr.engine.process import started

    _, pid = draft.stem.rsplit(".", 1)
    return pid.isdigit() and started(int(pid)) is not None
