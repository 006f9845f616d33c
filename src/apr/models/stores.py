"""Where the models on this disk lie: apr's own folder, and what other programs keep.

Each program has a layout of its own; a function here reads each. What they yield is a name and a
file, not yet looked into. The folders may hold anything: every walk is bounded, follows no loop,
touches nothing but regular files, and says what it could not see.
"""

import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from apr.home import home

MOST_ENTRIES = 20_000
"""Directory entries that are looked at in one place."""
DEEPEST = 8
"""Folders below a place that are still looked into."""
LARGEST_MANIFEST = 1 << 20

_S = TypeVar("_S", bound=Struct)
_MODEL_LAYER = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_QUANTISATION = re.compile(
    r"(?<![A-Za-z0-9])(?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|F16|F32|MXFP4(?:_MOE)?|NVFP4)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)


class Entry(Struct, frozen=True, kw_only=True):
    """A model as its store has it."""

    path: Path
    """The file, or the first of a split model's."""
    parts: tuple[Path, ...]
    """All files that are there, in order."""
    name: str
    """What a user may call it with `--model`."""
    also: tuple[str, ...] = ()
    """Other names it goes by."""
    problem: str | None = None
    """Why it cannot be used, where that shows before the file is opened."""


class Place(Struct, frozen=True, kw_only=True):
    """A folder where models may be."""

    label: str
    """What it is, in words that follow "from"."""
    path: Path
    read: Callable[["Walk"], Iterator[Entry]]
    """Its layout."""
    confined: bool
    """Whether links that lead out of it are refused: what no person arranged has none."""


def places(env: Mapping[str, str], root: Path) -> list[Place]:
    """Return where models are looked for; the paths are absolute and need not exist.

    The environment variables are those of the programs: `HF_HUB_CACHE`, `HF_HOME`, `LLAMA_CACHE`,
    `OLLAMA_MODELS`, `XDG_CACHE_HOME`. `root` is the project.
    """
    user = Path(env.get("HOME") or "~").expanduser()
    cache = Path(env.get("XDG_CACHE_HOME") or user / ".cache")
    hub = (
        env.get("HF_HUB_CACHE")
        or env.get("HUGGINGFACE_HUB_CACHE")
        or Path(env.get("HF_HOME") or cache / "huggingface") / "hub"
    )
    llama = env.get("LLAMA_CACHE") or (
        user / "Library/Caches/llama.cpp" if sys.platform == "darwin" else cache / "llama.cpp"
    )
    listed: list[tuple[str, Path | str, Callable[[Walk], Iterator[Entry]], bool]] = [
        ("apr's models", home(env) / "models", _files, False),
        ("pacha's models", user / ".cache/pacha/models", _files, False),
        ("the Hugging Face cache", hub, _hub, True),
        ("llama.cpp's cache", llama, _llama_cpp, True),
        *(("LM Studio's models", path, _lm_studio, False) for path in _lm_studio_folders(user)),
        ("Ollama's models", env.get("OLLAMA_MODELS") or user / ".ollama/models", _ollama, True),
        ("Ollama's models", "/usr/share/ollama/.ollama/models", _ollama, True),
        ("the project's models", root / "models", _files, True),
    ]
    found: dict[Path, Place] = {}
    for label, given, read, confined in listed:
        path = Path(given).expanduser().absolute()
        found.setdefault(path, Place(label=label, path=path, read=read, confined=confined))
    return list(found.values())


class Walk:
    """One look round a place, which ends after so many directory entries."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.base = place.path.resolve()
        self.left = MOST_ENTRIES
        self.trouble: list[str] = []
        """What could not be seen, in words."""

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Return what is in a folder, in order; nothing where it cannot be read."""
        found: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as scan:
                for entry in scan:
                    if self.left <= 0:
                        self._note(f"only the first {MOST_ENTRIES:,} entries were looked at")
                        break
                    self.left -= 1
                    found.append(entry)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            self._note(f"{folder}: {error.strerror}")
        return sorted(found, key=lambda entry: entry.name)

    def folders(self, folder: Path) -> Iterator[Path]:
        """Yield the folders in a folder."""
        for entry in self.entries(folder):
            if self._enters(entry):
                yield Path(entry.path)

    def files(self, folder: Path, suffix: str = "") -> Iterator[Path]:
        """Yield the regular files in and below a folder whose names end so."""
        waiting, seen = [(folder, 0)], set()
        while waiting:
            here, depth = waiting.pop()
            try:
                status = here.stat()
            except OSError:
                continue
            if (status.st_dev, status.st_ino) in seen:  # a link in a circle
                continue
            seen.add((status.st_dev, status.st_ino))
            for entry in self.entries(here):
                if entry.name.lower().endswith(suffix) and _is(entry.is_file):
                    yield Path(entry.path)
                elif depth < DEEPEST and self._enters(entry):
                    waiting.append((Path(entry.path), depth + 1))

    def leads_out(self, path: Path) -> bool:
        """Whether the path is a link, or behind one, that leads out of a confined place."""
        if not self.place.confined:
            return False
        try:
            return not path.resolve().is_relative_to(self.base)
        except (OSError, RuntimeError):  # a loop of links
            return True

    def _enters(self, entry: os.DirEntry[str]) -> bool:
        """Whether an entry is a folder that may be looked into."""
        if not _is(entry.is_dir):
            return False
        if entry.is_symlink() and self.leads_out(Path(entry.path)):
            self._note(f"{entry.path} is a link that leads out of it")
            return False
        return True

    def _note(self, text: str) -> None:
        if text not in self.trouble:
            self.trouble.append(text)


def quantisation_in(name: str) -> str | None:
    """Return the quantisation that a file name gives (`Q4_K_M`), or None."""
    found = _QUANTISATION.findall(name)
    return found[-1].upper() if found else None


def _models(walk: Walk, folder: Path) -> Iterator[tuple[str, tuple[Path, ...], str | None]]:
    """Yield the models in and below a folder: name, files in order, and a problem of theirs.

    The name is the file's without `.gguf` and the number of a part.
    """
    whole: list[tuple[str, tuple[Path, ...]]] = []
    split: dict[tuple[Path, str, int], dict[int, Path]] = {}
    for path in walk.files(folder, ".gguf"):
        match = _PART.fullmatch(path.name)
        if match is None:
            whole.append((path.stem, (path,)))
        else:
            key = (path.parent, match["stem"], int(match["count"]))
            split.setdefault(key, {})[int(match["number"])] = path
    for (_, stem, _), numbered in split.items():
        whole.append((stem, tuple(path for _, path in sorted(numbered.items()))))
    for stem, parts in whole:
        outside = [path for path in parts if path.is_symlink() and walk.leads_out(path)]
        problem = None
        if outside:
            problem = f"{outside[0].name} is a link that leads out of {walk.place.path}"
        yield stem, parts, problem


def _files(walk: Walk) -> Iterator[Entry]:
    """Read a folder of model files."""
    for stem, parts, problem in _models(walk, walk.place.path):
        also = (str(parts[0].relative_to(walk.place.path)),)
        yield Entry(path=parts[0], parts=parts, name=stem, also=also, problem=problem)


def _hub(walk: Walk) -> Iterator[Entry]:
    """Read the Hugging Face cache: `models--OWNER--REPO/snapshots/COMMIT/FILE`, links to blobs."""
    for repository in walk.folders(walk.place.path):
        kind, *words = repository.name.split("--")
        if kind == "models" and words:
            yield from _repository(walk, repository, "/".join(words))


def _repository(walk: Walk, folder: Path, name: str) -> Iterator[Entry]:
    """Yield a repository's models. Of a file in several snapshots the current one counts.

    That is the one that `refs/main` names, or else the newest.
    """
    current = _text(folder / "refs" / "main", 100)
    snapshots = sorted(
        walk.folders(folder / "snapshots"),
        key=lambda path: (path.name == current, _changed(path)),
        reverse=True,
    )
    taken: set[tuple[str, str]] = set()
    for snapshot in snapshots:
        for stem, parts, problem in _models(walk, snapshot):
            inside = parts[0].relative_to(snapshot)
            if (str(inside.parent), stem) in taken:
                continue
            taken.add((str(inside.parent), stem))
            yield _of_repository(name, stem, inside, parts, problem)


def _of_repository(
    repository: str, stem: str, inside: Path, parts: tuple[Path, ...], problem: str | None
) -> Entry:
    """Return a model named as `apr pull` names it: `OWNER/REPO:QUANTISATION`."""
    kind = quantisation_in(stem)
    return Entry(
        path=parts[0],
        parts=parts,
        name=f"{repository}:{kind}" if kind else f"{repository}/{stem}",
        also=(stem, f"{repository}/{inside}"),
        problem=problem,
    )


def _llama_cpp(walk: Walk) -> Iterator[Entry]:
    """Read llama.cpp's cache: files side by side, and of late the layout of the hub."""
    yield from _hub(walk)
    for entry in _files(walk):
        if "snapshots" not in entry.path.relative_to(walk.place.path).parts:
            yield entry


def _lm_studio(walk: Walk) -> Iterator[Entry]:
    """Read LM Studio's folder: `PUBLISHER/MODEL/FILE`."""
    for stem, parts, problem in _models(walk, walk.place.path):
        inside = parts[0].relative_to(walk.place.path)
        if len(inside.parts) < 3:
            yield Entry(path=parts[0], parts=parts, name=stem, problem=problem)
        else:
            repository = "/".join(inside.parts[:2])
            below = Path(*inside.parts[2:])
            yield _of_repository(repository, stem, below, parts, problem)


class _LMStudioSettings(Struct):
    downloadsFolder: str = ""  # noqa: N815 - the file's own key


def _lm_studio_folders(user: Path) -> list[Path]:
    """Return where LM Studio may keep models.

    A file in the home directory says where its own folder is, and a file in that, where the user
    has models downloaded to; both may be absent.
    """
    pointed = Path(_text(user / ".lmstudio-home-pointer", 4096) or ".")
    homes = [user / ".lmstudio", user / ".cache/lm-studio"]
    if pointed.is_absolute():
        homes.insert(0, pointed)
    settings = _decoded(homes[0] / "settings.json", _LMStudioSettings)
    chosen = Path(settings.downloadsFolder if settings else "")
    return [*([chosen] if chosen.is_absolute() else []), *(home / "models" for home in homes)]


class _Layer(Struct):
    mediaType: str = ""  # noqa: N815 - the manifest's own key
    digest: str = ""


class _Manifest(Struct):
    layers: list[_Layer] = []


def _ollama(walk: Walk) -> Iterator[Entry]:
    """Read Ollama's store: `manifests/HOST/NAMESPACE/MODEL/TAG` name blobs by their digests."""
    manifests = walk.place.path / "manifests"
    for manifest in walk.files(manifests):
        words = manifest.relative_to(manifests).parts
        if len(words) != 4 or any(word.startswith(".") for word in words):
            continue
        digest = _model_digest(manifest)
        if digest is None:  # of safetensors, say
            continue
        host, namespace, model, tag = words
        owner = [] if namespace == "library" else [namespace]
        short = "/".join([*([] if host == "registry.ollama.ai" else [host]), *owner, model])
        match = _DIGEST.fullmatch(digest)
        blob = walk.place.path / "blobs" / f"sha256-{match[1] if match else ''}"
        problem = None
        if match is None:
            problem = f"{manifest} names no digest, but {digest[:80]!r}"
        elif not _is(blob.is_file):
            problem = f"{blob} is missing"
        elif walk.leads_out(blob):
            problem = f"{blob} is a link that leads out of {walk.place.path}"
        path = manifest if match is None else blob
        yield Entry(
            path=path,
            parts=(path,),
            name=f"{short}:{tag}",
            also=(short,) if tag == "latest" else (),
            problem=problem,
        )


def _model_digest(manifest: Path) -> str | None:
    """Return what a manifest calls the model's weights; None where it has none that we know."""
    read = _decoded(manifest, _Manifest)
    layers = read.layers if read else []
    return next((layer.digest for layer in layers if layer.mediaType == _MODEL_LAYER), None)


def _decoded(path: Path, shape: type[_S]) -> _S | None:
    """Return what a small file of JSON says; None where it says nothing of that shape."""
    try:
        return msgspec.json.decode(_text(path, LARGEST_MANIFEST) or "", type=shape)
    except (msgspec.DecodeError, RecursionError):
        return None


def _text(path: Path, limit: int) -> str | None:
    """Return what is in a small regular file, stripped; None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            return None
        try:
            return file.read(limit).decode().strip()
        except (OSError, UnicodeDecodeError):
            return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0


def _is(test: Callable[[], bool]) -> bool:
    """Whether a path is what `test` asks; one that cannot be looked at is not."""
    try:
        return test()
    except OSError:
        return False
