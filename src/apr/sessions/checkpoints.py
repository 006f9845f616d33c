"""Files as they were, so that what the tools have changed can be undone. Git has no part in it.

Kept is what Write, Edit and NotebookEdit change, subagents' too. What commands change is not known
here. A journal says, in order, what each file was before a change and what the tool left; the
contents stand beside it, each once. A file that is not what the tool left was changed by somebody
else, and is put back only if a person wants that.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from apr.errors import AprError
from apr.home import beside, open_private, private_directory
from apr.legible import legible
from apr.sessions.journal import (
    Changed,
    Changing,
    Line,
    Marked,
    State,
    encode,
    look_at,
    name_of,
    path_of,
    read,
)
from apr.sessions.writer import whole_lines
from apr.tools.errors import ToolError
from apr.tools.files import WHOLE, replace, stamp_of

MOST_BYTES = 256 * 1024 * 1024
"""Of the contents of one session. Beyond it the oldest go: they cannot be put back any more."""
_JOURNAL = "journal.jsonl"
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class Change(Struct, kw_only=True):
    """A change to a file, as the journal tells it."""

    turn: int
    before: State
    after: State | None
    """None where the tool never came to its end."""
    made: Path | None


class Step(Struct, frozen=True, kw_only=True):
    """What going back does to one file."""

    path: Path
    now: State
    then: State
    made: Path | None = None
    """The outermost folder that goes with a file that goes."""
    foreign: bool = False
    """Whether somebody else than the tools has changed it."""
    obstacle: str = ""
    """Why it cannot be put back, if it cannot."""


class Checkpoints:
    """What is kept of one session.

    Args:
        folder: where. It is made when there is something to keep.
        turn: returns the turn that the session has come to.
        warn: takes what a person should know.
    """

    def __init__(self, folder: Path, turn: Callable[[], int], warn: Callable[[str], None]) -> None:
        self.folder = folder
        self._turn = turn
        self._warn = warn
        self._fd: int | None = None
        self._size = 0
        self._failed = False
        self._needed: set[str] = set()
        """Contents that are being put back: they do not go."""

    def keep(self, path: Path, *, made: Path | None = None) -> None:
        """Keep a file that is about to change.

        `path` is resolved. `made` is the outermost folder that is made for it.
        """
        state, data = look_at(path)
        if data is not None:
            self._store(state.digest, data)
        folder = None if made is None else name_of(made)
        self._write(Changing(turn=self._turn(), path=name_of(path), before=state, made=folder))

    def left(self, path: Path, *, unsaved: bytes | None = None) -> None:
        """Note what a file has become by the change that was announced last.

        `unsaved` is what an editor had before it and had not saved.
        """
        after, before = look_at(path)[0], None
        if unsaved is not None and after.kind == "file":
            before = State("file", stamp_of(unsaved).hex(), after.mode)
            self._store(before.digest, unsaved)
        self._write(Changed(path=name_of(path), after=after, unsaved=before))

    def mark(self, name: str) -> None:
        """Remember what a program calls the prompt that comes next."""
        self._write(Marked(name=name, turn=self._turn() + 1))

    def marked(self, name: str) -> int:
        """Return the turn of a prompt that was marked.

        Raises:
            AprError: there is none of that name, or the journal cannot be read.
        """
        turns = [
            m.turn for m in read(self.folder / _JOURNAL) if isinstance(m, Marked) and m.name == name
        ]
        if not turns:
            raise AprError(f"nothing is kept of a prompt {name!r} in this session")
        return turns[-1]

    def changed(self) -> dict[Path, list[Change]]:
        """Return all changes by their files, in their order.

        Raises:
            AprError: the journal cannot be read.
        """
        changes: dict[Path, list[Change]] = {}
        for line in read(self.folder / _JOURNAL):
            match line:
                case Changing(turn=turn, path=name, before=before, made=made):
                    change = Change(turn=turn, before=before, after=None, made=None)
                    change.made = None if made is None else path_of(made)
                    changes.setdefault(path_of(name), []).append(change)
                case Changed(path=name, after=after, unsaved=unsaved):
                    for change in changes.get(path_of(name), [])[-1:]:
                        change.after = after
                        change.before = unsaved or change.before
                case _:
                    pass
        return changes

    def since(self, turn: int) -> list[Step]:
        """Return what is to be done to have the files as they were before a turn.

        Raises:
            AprError: the journal cannot be read.
        """
        steps = []
        for path, all_changes in self.changed().items():
            changes = [change for change in all_changes if change.turn >= turn]
            if not changes or (now := look_at(path)[0]) == changes[0].before:
                continue
            follow = [*(change.before for change in changes[1:]), now]
            steps.append(
                Step(
                    path=path,
                    now=now,
                    then=changes[0].before,
                    made=changes[0].made,
                    foreign=not all(map(_left_by, changes, follow)),
                    obstacle=self._obstacle(now, changes[0].before),
                )
            )
        return steps

    def restore(self, steps: Sequence[Step]) -> list[tuple[Step, str]]:
        """Put files back. That is a change as any other: it can be undone in its turn.

        Returns:
            Those that could not be put back, and why.
        """
        failed = []
        self._needed = {step.then.digest for step in steps}
        for step in steps:
            if why := step.obstacle or self._moved(step):
                failed.append((step, why))
                continue
            self.keep(step.path, made=outermost_missing(step.path))
            try:
                self._put(step)
            except OSError as error:
                failed.append((step, error.strerror or str(error)))
            except ToolError as error:
                failed.append((step, str(error)))
            self.left(step.path)
        self._needed = set()
        for step in sorted(steps, key=lambda step: len(step.path.parts), reverse=True):
            if step.then.kind == "nothing":  # the folders go when all files have gone
                _remove_empty(step.path.parent, step.made)
        return failed

    def close(self) -> None:
        """Nothing more is kept."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _obstacle(self, now: State, then: State) -> str:
        if then.kind == "large":
            return f"it had more than {WHOLE:,} bytes, which are not kept"
        if then.kind == "other" or now.kind == "other":
            return "it is no file that can be read, or lies behind a link"
        if then.kind == "file" and not (self.folder / then.digest).exists():
            return "its content is not kept any more"
        return ""

    def _moved(self, step: Step) -> str:
        """Say whether a file is not what it was when somebody decided on it."""
        return "" if look_at(step.path)[0] == step.now else "it has changed just now"

    def _put(self, step: Step) -> None:
        path = step.path
        if step.then.kind == "nothing":
            path.unlink(missing_ok=True)
            return
        data = (self.folder / step.then.digest).read_bytes()
        if stamp_of(data).hex() != step.then.digest:
            raise ToolError(f"what was kept of {path} is damaged")
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat() if os.access(path, os.W_OK) else None  # its owner stays
        replace(path, str(path), data, before, mode=step.then.mode)

    def _store(self, digest: str, data: bytes) -> None:
        """Keep a content, and let the oldest go where that is too much."""
        if self._failed:
            return
        try:
            self._open()
            kept = self.folder / digest
            with contextlib.suppress(FileNotFoundError):
                if kept.lstat().st_size == len(data):  # else a power cut has left half of it
                    os.utime(kept)  # it is of use again
                    return
            _write_whole(kept, data)
            self._size += len(data)
            if self._size > MOST_BYTES:
                self._shrink(spared={digest, *self._needed})
        except OSError as error:
            self._fail(error)

    def _shrink(self, spared: set[str]) -> None:
        contents = [
            (entry.stat().st_mtime_ns, entry.stat().st_size, entry.path)
            for entry in os.scandir(self.folder)
            if entry.name not in {_JOURNAL, *spared}
        ]
        for _, size, name in sorted(contents):
            if self._size <= MOST_BYTES:
                break
            os.unlink(name)  # noqa: PTH108 - as scandir gives it
            self._size -= size

    def _open(self) -> int:
        if self._fd is None:
            private_directory(self.folder)
            journal = self.folder / _JOURNAL
            self._fd = os.open(journal, _APPEND, 0o600)
            whole_lines(self._fd)
            sizes = [e.stat().st_size for e in os.scandir(self.folder) if e.name != _JOURNAL]
            self._size = sum(sizes)
        return self._fd

    def _write(self, line: Line) -> None:
        if self._failed:
            return
        data = encode(line)
        try:
            if os.write(self._open(), data) < len(data):
                raise OSError(0, "a line could not be written whole")
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._failed = True
        self._warn(
            f"files are not kept any further, so later changes cannot be undone: {self.folder}: "
            f"{error.strerror}"
        )


def put_back(steps: Sequence[Step]) -> str:
    """Return what a model is to be told of files that are back."""
    names = ", ".join(legible(str(step.path)) for step in steps)
    return f"The user has put these files back to what they were before: {names}"


def _write_whole(path: Path, data: bytes) -> None:
    """Write a content, all of it or nothing: on a full disk half of it would be in the way."""
    fresh = beside(path)
    try:
        with os.fdopen(open_private(fresh), "wb") as file:
            file.write(data)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _left_by(change: Change, then: State) -> bool:
    """Whether what was found after a change is what it left, or it never came to be."""
    return then == (change.before if change.after is None else change.after)


def outermost_missing(path: Path) -> Path | None:
    """Return the outermost folder that must be made for a file, None where it has one."""
    missing = None
    for folder in path.parents:
        if os.path.lexists(folder):
            break
        missing = folder
    return missing


def _remove_empty(folder: Path, made: Path | None) -> None:
    """Remove the folders that were made for a file, up to the outermost, if nothing is in them."""
    with contextlib.suppress(OSError):
        while made is not None and folder.is_relative_to(made):
            folder.rmdir()
            folder = folder.parent
