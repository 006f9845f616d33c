"""A working tree and its identity: the id git would give it, computed without git.

The id is what `git init --object-format=sha256; git add -A; git write-tree` prints on the same
files, so anybody can check it with git alone. What decides which files count, and as what:

- Tracked and untracked-but-not-ignored files. Ignore rules are those inside the tree (`.gitignore`
  at every level, `.git/info/exclude`); the user's global ones are left out, as is everything above
  the root, because the id must not depend on whose machine the tree lies on.
- Bytes as they lie on disk: `.gitattributes` filters and line-end conversions would run programs.
- Executable bit of the owner; symbolic links by their target; no empty directories; no `.git`.
- A nested repository is its checked-out commit where that has a SHA-256 id, as for git. Where git
  would refuse it (a SHA-1 repository, or one without a commit) it counts as the files it holds.
- Sockets, pipes and devices are not files. What disappears while it is read was not there.

Nothing but the standard library is imported, and no process is started unless the root is a
repository in which something is ignored: then git is asked which of that is tracked all the same.
"""

# Git's paths are bytes, and pathlib has no paths of bytes.
# ruff: noqa: PTH112, PTH114, PTH115, PTH118, PTH120

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ccpa.gitignore import IgnoreRules
from ccpa.gitrepo import (
    checked_out_commit,
    common_directory,
    git_directory,
    open_regular,
    read_small,
    tracked_though_ignored,
)

DIRECTORY = "40000"
FILE = "100644"
EXECUTABLE = "100755"
SYMLINK = "120000"
GITLINK = "160000"

_BLOCK = 1 << 20
_GONE = (FileNotFoundError, NotADirectoryError)


class Entry(NamedTuple):
    """One file: its git mode (`FILE`, `EXECUTABLE`, `SYMLINK`, `GITLINK`) and object id in hex."""

    mode: str
    digest: str


class Snapshot(NamedTuple):
    """A working tree at one moment.

    `entries` maps `/`-separated paths relative to the root to what is there; bytes that are no
    UTF-8 are surrogate escapes, as everywhere in Python. `unreadable` are paths that exist but
    could not be read; they have no entry.
    """

    entries: dict[str, Entry]
    unreadable: tuple[str, ...]

    @property
    def tree_id(self) -> str:
        """The git tree id, 64 hex digits."""
        return tree_of(self.entries)


class Changes(NamedTuple):
    """How one snapshot differs from an earlier one: sorted paths."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


def tree_id(root: Path) -> str:
    """Return the working tree's id, 64 hex digits.

    Raises:
        OSError: `root` itself is no readable directory.
    """
    return snapshot(root).tree_id


def snapshot(root: Path) -> Snapshot:
    """Hash every file of the working tree.

    Raises:
        OSError: `root` itself is no readable directory.
    """
    with os.scandir(root):
        pass  # a root that cannot be read is the caller's error, anything below it is not
    walk = _Walk(os.fsencode(root))
    walk.run()
    return Snapshot(
        {os.fsdecode(path): entry for path, entry in walk.entries.items()},
        tuple(sorted(map(os.fsdecode, walk.unreadable))),
    )


def compare(before: Snapshot, after: Snapshot) -> Changes:
    """Say which paths were added, removed, or changed in content or mode."""
    old, new = before.entries, after.entries
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(path for path in old.keys() & new.keys() if old[path] != new[path])),
    )


def tree_of(entries: dict[str, Entry]) -> str:
    """Return the id of the git tree that holds `entries` (as in `Snapshot`)."""
    directories: dict[bytes, list[tuple[bytes, bytes]]] = {b"": []}
    for text, entry in entries.items():
        parent, name = _split(os.fsencode(text))
        # Git sorts a directory as if its name ended in a slash; a file sorts by its bare name.
        item = (name, b"%s %s\0%s" % (entry.mode.encode(), name, bytes.fromhex(entry.digest)))
        if parent in directories:
            directories[parent].append(item)
            continue
        directories[parent] = [item]
        while parent and (parent := _split(parent)[0]) not in directories:
            directories[parent] = []
    # Deepest first, so that a directory's id is known when its parent needs it.
    for path in sorted(directories, key=lambda path: path.count(b"/"), reverse=True):
        if path:
            parent, name = _split(path)
            line = b"%s %s\0%s" % (DIRECTORY.encode(), name, _tree(directories[path]).digest())
            directories[parent].append((name + b"/", line))
    return _tree(directories[b""]).hexdigest()


def _tree(items: list[tuple[bytes, bytes]]) -> "hashlib._Hash":
    body = b"".join(line for _, line in sorted(items))
    return hashlib.sha256(b"tree %d\0%s" % (len(body), body))


def _split(path: bytes) -> tuple[bytes, bytes]:
    parent, _, name = path.rpartition(b"/")
    return parent, name


def _join(parent: bytes, name: bytes) -> bytes:
    return b"%s/%s" % (parent, name) if parent else name


# What holds in a directory, nearest first, each with the length of its own directory's path.
_Rules = tuple[tuple[int, IgnoreRules], ...]


class _Walk:
    """One pass over a tree. Paths are bytes relative to `root`."""

    def __init__(self, root: bytes) -> None:
        self.root = root
        self.entries: dict[bytes, Entry] = {}
        self.unreadable: list[bytes] = []
        self.ignored_something = False

    def run(self) -> None:
        repository = git_directory(self.root)
        rules: _Rules = ()
        if repository is not None:
            exclude = read_small(os.path.join(common_directory(repository), b"info/exclude"))
            rules = ((0, IgnoreRules(exclude)),) if exclude else ()
        pending: list[tuple[bytes, _Rules]] = [(b"", rules)]
        while pending:
            directory, rules = pending.pop()
            pending.extend(self._directory(directory, rules))
        if repository is not None and self.ignored_something:
            for path in tracked_though_ignored(self.root, repository):
                self._tracked(path)

    def _directory(self, directory: bytes, rules: _Rules) -> Iterator[tuple[bytes, _Rules]]:
        """Take in a directory's files; yield its subdirectories and the rules that hold there."""
        try:
            with os.scandir(os.path.join(self.root, directory)) as listing:
                found = list(listing)
        except _GONE:
            return
        except OSError:
            self.unreadable.append(directory)
            return
        if any(item.name == b".gitignore" for item in found):
            text = read_small(os.path.join(self.root, directory, b".gitignore"))
            rules = ((len(directory) + 1 if directory else 0, IgnoreRules(text or b"")), *rules)
        for item in found:
            if item.name == b".git":
                continue
            path = _join(directory, item.name)
            is_directory = item.is_dir(follow_symlinks=False)
            if rules and _is_ignored(path, rules, is_directory=is_directory):
                self.ignored_something = True
            elif not is_directory:
                if item.is_symlink() or item.is_file(follow_symlinks=False):
                    self._file(path, is_symlink=item.is_symlink())
            elif (commit := checked_out_commit(item.path)) is not None:
                self.entries[path] = Entry(GITLINK, commit)
            else:
                yield path, rules

    def _file(self, path: bytes, *, is_symlink: bool) -> None:
        full = os.path.join(self.root, path)
        try:
            if is_symlink:
                self.entries[path] = Entry(SYMLINK, _blob(os.readlink(full)))
            elif (entry := _hash_file(full)) is not None:
                self.entries[path] = entry
        except _GONE:
            return
        except OSError:
            self.unreadable.append(path)

    def _tracked(self, path: bytes) -> None:
        """Take in a path from git's index, unless it is no longer a file of this tree."""
        full = os.path.join(self.root, path)
        parent = os.path.dirname(full)
        if path in self.entries or os.path.realpath(parent) != os.path.join(
            os.path.realpath(self.root), os.path.dirname(path)
        ).rstrip(b"/"):
            return
        if os.path.isdir(full) and not os.path.islink(full):
            if (commit := checked_out_commit(full)) is not None:
                self.entries[path] = Entry(GITLINK, commit)
        else:
            self._file(path, is_symlink=os.path.islink(full))


def _is_ignored(path: bytes, rules: _Rules, *, is_directory: bool) -> bool:
    for start, patterns in rules:
        verdict = patterns.ignores(path[start:], is_directory=is_directory)
        if verdict is not None:
            return verdict
    return False


def _blob(content: bytes) -> str:
    return hashlib.sha256(b"blob %d\0%s" % (len(content), content)).hexdigest()


def _hash_file(path: bytes) -> Entry | None:
    """Return the file's entry, or None if it is no regular file.

    Raises:
        OSError: it cannot be read.
    """
    opened = open_regular(path)
    if opened is None:
        return None
    descriptor, status = opened
    try:
        mode = EXECUTABLE if status.st_mode & stat.S_IXUSR else FILE
        while (digest := _hash_blob(descriptor, status.st_size)) is None:
            os.lseek(descriptor, 0, os.SEEK_SET)
            status = os.fstat(descriptor)
        return Entry(mode, digest)
    finally:
        os.close(descriptor)


def _hash_blob(descriptor: int, size: int) -> str | None:
    """Hash `size` bytes, a bounded piece at a time; None if the file has become shorter than that.

    A blob starts with its size, and a log may grow faster than it is read: it counts as it was.
    """
    digest = hashlib.sha256(b"blob %d\0" % size)
    while size:
        block = os.read(descriptor, min(size, _BLOCK))
        if not block:
            return None
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()
