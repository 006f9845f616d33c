"""Do two file trees hold the same? Byte for byte, or by rules that forgive what does not matter.

What counts as the tree is what `ccpa.workspace` says: ignored files and `.git` do not. Lock files
and build folders are excluded unless asked for, and named where they differ, so that nothing is
passed over in silence. `ccpa.sameness` has the rules for file types.
"""

import os
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ccpa.gitignore import IgnoreRules
from ccpa.sameness import Forgive, forgiving_rule
from ccpa.workspace import Entry, Snapshot, snapshot

DEFAULT_EXCLUDES = (
    "*.lock",
    "*-lock.json",
    "*-lock.yaml",
    "go.sum",
    "node_modules/",
    "target/",
    "build/",
    "dist/",
    ".venv/",
    "__pycache__/",
    "*.pyc",
    ".*_cache/",
)
"""Written by tools, not by whoever did the task; in gitignore syntax."""

SIZE_LIMIT = 2_000_000
"""Bytes above which a file is compared by its digest alone."""

Kind = Literal["added", "removed", "content", "mode", "type"]


class Difference(Struct, frozen=True, kw_only=True):
    """One path that differs. `note` says why no rule forgave it, where one might have."""

    path: str
    kind: Kind
    note: str | None = None


class Forgiven(Struct, frozen=True, kw_only=True):
    """One path whose bytes differ and whose meaning, by the rule named, does not."""

    path: str
    rule: str


class FileState(Struct, frozen=True, kw_only=True):
    """How the right tree differs from the left one; everything sorted by path."""

    differences: tuple[Difference, ...]
    excluded: tuple[Difference, ...]
    """What differs but was excluded."""
    forgiven: tuple[Forgiven, ...] = ()
    compared: int = 0
    """Paths that were compared: on either side, and not excluded."""
    unreadable: tuple[str, ...] = ()
    """Paths that could not be read on either side. The trees are not equal then."""

    @property
    def equal(self) -> bool:
        """Whether the trees hold the same."""
        return not self.differences and not self.unreadable


def compare_snapshots(
    left: Snapshot, right: Snapshot, exclude: tuple[str, ...] = DEFAULT_EXCLUDES
) -> FileState:
    """Compare what is in two snapshots, byte for byte.

    `exclude` are patterns in gitignore syntax, the last one that matches decides.
    """
    rules = IgnoreRules("\n".join(exclude).encode())
    differences: list[Difference] = []
    excluded: list[Difference] = []
    compared = 0
    for path in sorted(left.entries.keys() | right.entries.keys()):
        out = rules.excludes(os.fsencode(path))
        compared += not out
        kind = _kind(left.entries.get(path), right.entries.get(path))
        if kind is not None:
            (excluded if out else differences).append(Difference(path=path, kind=kind))
    return FileState(
        differences=tuple(differences),
        excluded=tuple(excluded),
        compared=compared,
        unreadable=tuple(sorted({*left.unreadable, *right.unreadable})),
    )


def compare_directories(
    left: Path,
    right: Path,
    *,
    forgive: Forgive | None = None,
    exclude: tuple[str, ...] = DEFAULT_EXCLUDES,
) -> FileState:
    """Compare two directories, byte for byte but for what `forgive` says.

    Raises:
        OSError: one of them is no readable directory.
    """
    state = compare_snapshots(snapshot(left), snapshot(right), exclude)
    if forgive is None:
        return state
    differences: list[Difference] = []
    forgiven: list[Forgiven] = []
    for difference in state.differences:
        if difference.kind != "content":
            differences.append(difference)
            continue
        path = difference.path
        one, other = _content(left / path), _content(right / path)
        if one is None or other is None:
            note = f"not looked into: larger than {SIZE_LIMIT} bytes, or gone"
            differences.append(Difference(path=path, kind="content", note=note))
            continue
        verdict = forgiving_rule(path, one, other, forgive)
        if verdict.same:
            forgiven.append(Forgiven(path=path, rule=verdict.rule))
        else:
            differences.append(Difference(path=path, kind="content", note=verdict.note))
    return FileState(
        differences=tuple(differences),
        excluded=state.excluded,
        forgiven=tuple(forgiven),
        compared=state.compared,
        unreadable=state.unreadable,
    )


def _kind(left: Entry | None, right: Entry | None) -> Kind | None:
    if left == right:
        return None
    if left is None:
        return "added"
    if right is None:
        return "removed"
    if left.mode == right.mode:
        return "content"
    both_files = left.mode.startswith("100") and right.mode.startswith("100")
    if not both_files:
        return "type"
    # A file whose mode and content both changed is named for its content, which matters more.
    return "mode" if left.digest == right.digest else "content"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.stat().st_size <= SIZE_LIMIT else None
    except OSError:
        return None
