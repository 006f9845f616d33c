"""Instruction files, found and read: at the start, and as directories are entered.

The ladder is that of Claude Code's documentation (code.claude.com/docs/en/memory). A project is
written by strangers: its files can bring in what lies in the project, in directories that the user
has added, and Markdown of the user's own instruction folders; nothing else of the machine.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from apr.memory.markdown import frontmatter, imports, uncommented
from apr.memory.pieces import BUDGET, Kind, Piece, fitted
from apr.memory.reading import Unreadable, markdown_in, text_of
from apr.settings import MANAGED, SOURCES, user_folders
from apr.tools.errors import ToolError
from apr.tools.globs import compiled

_DEPTH = 5
_MOST = 200
"""Files that are read at most, nested ones included."""
_PROSE = frozenset({".md", ".markdown", ".mdc", ".txt"})


class Bounds(Struct, frozen=True):
    """Where a project's files may bring in other files from."""

    root: Path
    top: Path
    """The repository that the project is in, or the project itself."""
    directories: tuple[Path, ...]
    own: tuple[Path, ...]
    """The folders of the user and of the organisation."""

    def trusts(self, path: Path) -> bool:
        """Whether a file is written by the user or the organisation."""
        return any(path.is_relative_to(folder) for folder in self.own)

    def allows(self, path: Path) -> bool:
        """Whether a file of the project may bring this one in."""
        if self.trusts(path):
            return path.suffix in _PROSE
        return any(path.is_relative_to(folder) for folder in (self.top, *self.directories))


class Memory(Struct, kw_only=True):
    """The instructions of a session, and what is known about where more are."""

    pieces: list[Piece]
    """In the order in which the model reads them."""
    bounds: Bounds
    waiting: list[tuple[Path, Piece]] = []
    """Rules that wait for a file to match: each with the directory that its globs start from."""
    notices: list[str] = []
    """What a person should know: files left out or cut, and why."""
    excluded: tuple[str, ...] = ()
    sources: frozenset[str] = frozenset(SOURCES)
    given: set[Path] = set()
    looked_into: set[Path] = set()


def load(
    root: Path,
    env: Mapping[str, str],
    *,
    directories: Sequence[Path] = (),
    sources: Collection[str] = SOURCES,
    excluded: Sequence[str] = (),
    budget: int = BUDGET,
    managed: Sequence[Path] = MANAGED,
) -> Memory:
    """Return the instructions that hold from the start.

    Args:
        root: the project, absolute and resolved.
        env: tells where the user's own files are; see `apr.settings.user_folders`.
        directories: what the user has added to the project.
        sources: which of user, project and local count; the organisation's always do.
        excluded: globs of absolute paths that are not read (the setting `claudeMdExcludes`).
        budget: characters in all; what is over it is cut, and a notice says so.
        managed: the organisation's folders. Only tests name others.
    """
    claude, apr = user_folders(env)
    own = tuple(Path(os.path.realpath(folder)) for folder in (claude, apr, *managed))
    memory = Memory(
        pieces=[],
        bounds=Bounds(root, _top(root), tuple(directories), own),
        excluded=tuple(excluded),
        sources=frozenset(sources),
    )
    for folder in managed:
        for name in ("CLAUDE.md", "APR.md"):
            _add(memory, folder / name, "managed")
        _rules(memory, folder / ".claude" / "rules", root, "managed")
    _add(memory, claude / "CLAUDE.md", "user")
    _rules(memory, claude / "rules", root, "user")
    _add(memory, apr / "APR.md", "user")
    _rules(memory, apr / "rules", root, "user")
    for folder in (*reversed(root.parents), root):
        _directory(memory, folder)
    memory.pieces, cut = fitted(memory.pieces, budget)
    memory.notices += cut
    return memory


def nested(memory: Memory, touched: Path, *, budget: int = BUDGET) -> list[Piece]:
    """Return what a file brings with it that was not given before, and note that it is given.

    These are the instruction files of the directories between the project and the file, and the
    rules whose globs match it.

    Args:
        memory: the session's; it is changed.
        touched: a file that was read or is to be changed, absolute and resolved.
        budget: characters for these pieces.
    """
    before, said = len(memory.pieces), len(memory.notices)
    root = memory.bounds.root
    if touched.is_relative_to(root):
        for folder in reversed(touched.relative_to(root).parents):
            _directory(memory, root / folder)
    for base, rule in list(memory.waiting):
        if touched.is_relative_to(base) and _matches(rule, str(touched.relative_to(base)), memory):
            memory.waiting.remove((base, rule))
            _take(memory, rule, 0)
    new, cut = fitted(memory.pieces[before:], budget)
    memory.pieces[before:] = new
    memory.notices[said:] = [*memory.notices[said:], *cut]
    return new


def _directory(memory: Memory, folder: Path) -> None:
    """Add what one directory holds, once."""
    if folder in memory.looked_into:
        return
    memory.looked_into.add(folder)
    named = [folder / "CLAUDE.md", folder / "APR.md"]
    named += [folder / ".claude" / "CLAUDE.md", folder / ".apr" / "APR.md"]
    if not [path for path in named if _add(memory, path, "project")]:
        _add(memory, folder / "AGENTS.md", "project")
    for name in (".claude", ".apr"):
        _rules(memory, folder / name / "rules", folder, "project")
    for name in ("CLAUDE.local.md", "APR.local.md"):
        _add(memory, folder / name, "local")


def _rules(memory: Memory, folder: Path, base: Path, kind: Kind) -> None:
    """Add the rules of a folder, those in folders of it too. Globs start from `base`."""
    if not folder.is_dir() or (kind != "managed" and kind not in memory.sources):
        return
    real = Path(os.path.realpath(folder))
    inside = kind == "project" and folder.is_relative_to(memory.bounds.top)
    if inside and not memory.bounds.allows(real / "rule.md"):
        memory.notices.append(f"{folder} is left out: it leads out of the project, to {real}")
        return
    for path in markdown_in(folder):
        _add(memory, path, kind, base=base)


def _add(memory: Memory, path: Path, kind: Kind, *, base: Path | None = None) -> bool:
    """Add a file, and what it imports. `base` makes it a rule. Return whether it is there."""
    if kind != "managed" and kind not in memory.sources:
        return False
    if not os.path.lexists(path):
        return False
    piece = _read(memory, path, kind, None, rule=base is not None)
    if piece is None:
        return True
    if base is not None and piece.paths:
        memory.waiting.append((base, piece))
    else:
        _take(memory, piece, 0)
    return True


def _take(memory: Memory, piece: Piece, depth: int) -> None:
    """Give a piece, and then what it imports."""
    memory.pieces.append(piece)
    names = imports(piece.text)
    if len(names) > _MOST:
        memory.notices.append(f"{piece.path}: it imports more than {_MOST} files; the rest is left")
    for name in names[:_MOST]:
        path = _imported(piece.path, name)
        if path is None or not path.is_file():
            if Path(name).suffix in _PROSE:
                memory.notices.append(f"{piece.path}: it imports {name}, which is not there")
        elif depth == _DEPTH and path not in memory.given:
            memory.notices.append(f"{piece.path}: {name} is left out: imports go {_DEPTH} deep")
        elif (found := _read(memory, path, piece.kind, piece.path)) is not None:
            _take(memory, found, depth + 1)


def _imported(importer: Path, name: str) -> Path | None:
    try:
        return Path(os.path.realpath(importer.parent / Path(name).expanduser()))
    except (OSError, ValueError, RuntimeError):  # no name of a file, no such ~user
        return None


def _read(
    memory: Memory, path: Path, kind: Kind, importer: Path | None, *, rule: bool = False
) -> Piece | None:
    """Read a file that may be read and was not before; where it may not be, say so."""
    real = Path(os.path.realpath(path))
    if real in memory.given or _excluded(memory, path, kind):
        return None
    if len(memory.given) >= _MOST:
        memory.notices.append(f"{path} is left out: more than {_MOST} instruction files")
        return None
    memory.given.add(real)
    try:
        reason = _forbidden(memory.bounds, path, real, kind, importer)
        text = "" if reason else text_of(real)
    except (OSError, Unreadable) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        text = ""
    if reason:
        memory.notices.append(f"{path} is left out: {reason}")
        return None
    paths, text = frontmatter(text) if rule else ((), text)
    text = uncommented(text)
    return Piece(path=real, kind=kind, text=text, size=len(text), imported_by=importer, paths=paths)


def _forbidden(
    bounds: Bounds, path: Path, real: Path, kind: Kind, importer: Path | None
) -> str | None:
    """Say why a file must not be read on the word of whoever names it."""
    if importer is not None:
        if bounds.trusts(importer) or bounds.allows(real):
            return None
        above = not importer.is_relative_to(bounds.top)
        if above and real.is_relative_to(importer.parent) and real.suffix in _PROSE:
            return None
        return f"{importer} imports it, and it is outside the project"
    if kind in {"managed", "user"} or bounds.allows(real):
        return None
    if real == path:
        # A directory above the project, perhaps one that everybody can write to.
        return None if real.stat().st_uid in {0, os.geteuid()} else "another user has written it"
    return f"it leads out of the project, to {real}"


def _excluded(memory: Memory, path: Path, kind: Kind) -> bool:
    return kind in {"project", "local"} and any(
        _fits(glob, str(path), memory) for glob in memory.excluded
    )


def _matches(rule: Piece, name: str, memory: Memory) -> bool:
    return any(_fits(glob.removeprefix("./"), name, memory) for glob in rule.paths)


def _fits(glob: str, name: str, memory: Memory) -> bool:
    try:
        return compiled(glob.lstrip("/"), anywhere=False).fullmatch(name.lstrip("/")) is not None
    except ToolError as error:
        notice = f"the glob {glob[:80]} matches nothing: {error}"
        if notice not in memory.notices:
            memory.notices.append(notice)
        return False


def _top(root: Path) -> Path:
    """Return the repository that a directory is in; itself where it is in none."""
    return next((one for one in (root, *root.parents) if (one / ".git").exists()), root)
