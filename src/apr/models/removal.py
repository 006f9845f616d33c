"""Which model a name means on this disk, and taking it off the disk.

What `apr pull` fills is what `apr rm` empties: the Hugging Face cache and apr's own folder. Other
programs keep books of their models; what they hold, they remove.
"""

import contextlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from apr.engine import state as engines
from apr.errors import AprError
from apr.models.discovery import Found, found
from apr.models.header import BadModel, check
from apr.models.matching import called, near
from apr.models.resolve import DEMO, ModelNotFound, demo

APRS = "apr's models"
HUB = "the Hugging Face cache"
DEMOS = "apr itself"
YOURS = "a file of yours"
PROGRAMS = {
    "Ollama's models": "remove it with: ollama rm {name}",
    "LM Studio's models": "remove it in LM Studio, under My Models",
    "llama.cpp's cache": "llama.cpp fetched it, and would do so again",
    "pacha's models": "pacha keeps it",
    "the project's models": "it belongs to the project here",
    YOURS: "apr has not fetched it",
}
"""Stores that apr does not fill, and what is to be said of them."""

_UNFINISHED = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\.incomplete")


class NotRemoved(AprError):
    """It stays where it is. The message says why."""


class Removal(Struct, frozen=True, kw_only=True):
    """What is going to be removed."""

    paths: tuple[Path, ...]
    """The names that go; in the cache also those of the model's older versions."""
    freed: int
    """Bytes."""
    execute: Callable[[], None]


def find(name: str, env: Mapping[str, str], root: Path = Path()) -> Found:
    """Return the model on this disk that a name, a short name or a path means; broken ones too.

    Raises:
        ModelNotFound: there is none, or more than one.
    """
    if name == DEMO:
        return _file(demo(), DEMOS, DEMO)
    models = found(env, root)
    if (path := _path(name)) is not None:
        same = [model for model in models if any(path.samefile(part) for part in model.parts)]
        return same[0] if same else _file(path.absolute(), YOURS, path.stem)
    if (model := called(name, models)) is not None:
        return model
    alike = near(name, models)
    hint = f" Alike are: {', '.join(alike)}." if alike else ""
    raise ModelNotFound(f"No model {name!r} is on this disk.{hint} All that are: apr list")


def removal(model: Found, *, force: bool = False) -> Removal:
    """Return what removing a model means; nothing is removed yet.

    Without `force` a model that an engine serves stays, and any file that apr does not fetch. What
    other programs keep in parts, and the demo, stay in any case.

    Raises:
        NotRemoved: it stays.
    """
    if model.store == DEMOS:
        raise NotRemoved("The demo model is part of apr, and cannot be removed by itself.")
    _hold_for_engines(model, force=force)
    if model.store == HUB:
        return _from_hub(model)
    if model.store != APRS:
        program = PROGRAMS.get(model.store, "apr has not fetched it").format(name=model.name)
        kept = f"{model.name} is from {model.store}: {program}"
        linked = any(part.is_symlink() for part in model.parts)
        if model.store == "Ollama's models" or linked:
            raise NotRemoved(f"{kept}.")
        if not force:
            raise NotRemoved(f"{kept}. Remove the file all the same with --force.")

    def execute() -> None:
        for part in model.parts:  # the first goes first: by it a split model is found
            part.unlink(missing_ok=True)

    freed = sum(part.lstat().st_size for part in model.parts)
    return Removal(paths=model.parts, freed=freed, execute=execute)


def unfinished(apr_models: Path, cache: Path) -> list[tuple[Path, int]]:
    """Return what downloads that were ended have left, with its bytes, for them to go on from."""
    parts = [*apr_models.glob("*.gguf.part"), *cache.glob("models--*/blobs/*.incomplete")]
    left = []
    for path in sorted(parts):
        if path.suffix == ".part" or _UNFINISHED.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):  # complete by now
                left.append((path, path.stat().st_size))
    return left


def remove_unfinished(apr_models: Path, cache: Path) -> list[tuple[Path, int]]:
    """Remove what `unfinished` returns, but for what is being fetched; return what went."""
    from filelock import FileLock, Timeout

    gone = []
    for path, size in unfinished(apr_models, cache):
        lock = FileLock(_lock_of(path, cache))
        try:
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            with lock.acquire(timeout=0):
                path.unlink(missing_ok=True)
                path.with_name(f"{path.name}.version").unlink(missing_ok=True)
        except Timeout:
            continue
        gone.append((path, size))
    return gone


def _lock_of(part: Path, cache: Path) -> Path:
    """Return the lock of who fetches a file (see `pull`, `hubcache`)."""
    if part.suffix == ".part":
        first = re.sub(r"-\d{5}-of-", "-00001-of-", part.stem)
        return part.parent / ".locks" / f"{first}.lock"
    return cache / ".locks" / part.parents[1].name / f"{part.stem}.lock"


def _path(name: str) -> Path | None:
    """Return the file that a name is the path of; None where there is none."""
    try:
        path = Path(name).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError):  # too long for a name; no such user's home
        return None


def _file(path: Path, store: str, name: str) -> Found:
    """Return a file that is in no store, as discovery would."""
    status = path.stat()
    info, problem = None, None
    try:
        info = check(path)
    except BadModel as error:
        problem = str(error).removeprefix(f"{path}: ")
    return Found(
        path=path,
        parts=(path,),
        store=store,
        name=name,
        also=(),
        size=info.size if info else status.st_size,
        mtime=status.st_mtime,
        info=info,
        problem=problem,
    )


def _hold_for_engines(model: Found, *, force: bool) -> None:
    if force or not model.path.exists():
        return
    mark = engines.identity(model.path)
    for _, engine in engines.running(engines.directory(), mark):
        raise NotRemoved(
            f"An engine (process {engine.pid}) serves {model.name}. End it first with: apr engine "
            f"stop {engine.pid}; or insist with --force, and it goes on until it ends by itself."
        )


def _from_hub(model: Found) -> Removal:
    """Return the removal of a model's files from the cache, by the library that keeps its books.

    The same paths in snapshots of older commits are versions of the same model, and go too.
    """
    from huggingface_hub import scan_cache_dir

    snapshot = next(path for path in model.path.parents if path.parent.name == "snapshots")
    folder, inside = snapshot.parents[1], {part.relative_to(snapshot) for part in model.parts}
    scanned = scan_cache_dir(folder.parent)
    repository = next((one for one in scanned.repos if one.repo_path.name == folder.name), None)
    if repository is None:
        told = next((str(w) for w in scanned.warnings if folder.name in str(w)), "it is damaged")
        raise NotRemoved(f"The cache cannot be read at {folder}: {told}")
    files = [(file, revision) for revision in repository.revisions for file in revision.files]
    chosen = [
        f for f, revision in files if f.file_path.relative_to(revision.snapshot_path) in inside
    ]
    strategy: Any = scanned.delete_files(*chosen)
    if len(chosen) == len(files) and not any(folder.glob("blobs/*.incomplete")):
        strategy = scanned.delete_revisions(*(one.commit_hash for one in repository.revisions))
    return Removal(
        paths=tuple(sorted(file.file_path for file in chosen)),
        freed=int(strategy.expected_freed_size),
        execute=strategy.execute,
    )
