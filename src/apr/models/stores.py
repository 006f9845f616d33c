"""Where the models on this disk lie: apr's own folder, and what other programs keep.

Each program has a layout of its own; a function here reads each. What they yield is a name and a
file, not yet looked into.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from apr.home import home
from apr.models.walk import Walk, holds, small_text

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


Layout = Callable[[Walk], Iterator[Entry]]
"""How a program keeps its models: reads a folder of its."""


class Place(Struct, frozen=True, kw_only=True):
    """A folder where models may be."""

    label: str
    """What it is, in words that follow "from"."""
    path: Path
    read: Layout
    """Its layout."""
    within: Path | None
    """What links must not lead out of; None where a person arranged it, perhaps on two disks."""


def places(env: Mapping[str, str], root: Path) -> list[Place]:
    """Return where models are looked for; the paths are absolute and need not exist.

    The environment variables are those of the programs: `HF_HUB_CACHE`, `HF_HOME`, `LLAMA_CACHE`,
    `OLLAMA_MODELS`, `XDG_CACHE_HOME`. `root` is the project.
    """
    user = _expanded(env.get("HOME") or "~")
    cache = _expanded(env.get("XDG_CACHE_HOME") or user / ".cache")
    hub = (
        env.get("HF_HUB_CACHE")
        or env.get("HUGGINGFACE_HUB_CACHE")
        or _expanded(env.get("HF_HOME") or cache / "huggingface") / "hub"
    )
    llama = env.get("LLAMA_CACHE") or (
        user / "Library/Caches/llama.cpp" if sys.platform == "darwin" else cache / "llama.cpp"
    )
    ollama = env.get("OLLAMA_MODELS") or user / ".ollama/models"
    project = _expanded(root)
    listed = [
        _own("apr's models", home(env) / "models", _files),
        _own("pacha's models", user / ".cache/pacha/models", _files),
        _kept("the Hugging Face cache", _expanded(hub), _hub),
        _kept("llama.cpp's cache", _expanded(llama), _llama_cpp),
        *(_own("LM Studio's models", path, _lm_studio) for path in _lm_studio_folders(user)),
        _kept("Ollama's models", _expanded(ollama), _ollama),
        _kept("Ollama's models", Path("/usr/share/ollama/.ollama/models"), _ollama),
        Place(label="the project's models", path=project / "models", read=_files, within=project),
    ]
    return list({place.path: place for place in reversed(listed)}.values())[::-1]


def _own(label: str, path: Path, read: Layout) -> Place:
    return Place(label=label, path=path, read=read, within=None)


def _kept(label: str, path: Path, read: Layout) -> Place:
    return Place(label=label, path=path, read=read, within=path)


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
            problem = f"{outside[0].name} is a link that leads out of {walk.path}"
        yield stem, parts, problem


def _files(walk: Walk) -> Iterator[Entry]:
    """Read a folder of model files."""
    for stem, parts, problem in _models(walk, walk.path):
        also = (str(parts[0].relative_to(walk.path)),)
        yield Entry(path=parts[0], parts=parts, name=stem, also=also, problem=problem)


def _hub(walk: Walk) -> Iterator[Entry]:
    """Read the Hugging Face cache: `models--OWNER--REPO/snapshots/COMMIT/FILE`, links to blobs."""
    for repository in walk.folders(walk.path):
        kind, *words = repository.name.split("--")
        if kind == "models" and words:
            yield from _repository(walk, repository, "/".join(words))


def _repository(walk: Walk, folder: Path, name: str) -> Iterator[Entry]:
    """Yield a repository's models. Of a file in several snapshots the current one counts.

    That is the one that `refs/main` names, or else the newest.
    """
    current = small_text(folder / "refs" / "main", 100)
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
        if "snapshots" not in entry.path.relative_to(walk.path).parts:
            yield entry


def _lm_studio(walk: Walk) -> Iterator[Entry]:
    """Read LM Studio's folder: `PUBLISHER/MODEL/FILE`."""
    for stem, parts, problem in _models(walk, walk.path):
        inside = parts[0].relative_to(walk.path)
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
    homes = [user / ".lmstudio", user / ".cache/lm-studio"]
    pointed = _absolute(small_text(user / ".lmstudio-home-pointer", 4096))
    if pointed:
        homes.insert(0, pointed)
    settings = _decoded(homes[0] / "settings.json", _LMStudioSettings)
    chosen = _absolute(settings.downloadsFolder if settings else None)
    return [*([chosen] if chosen else []), *(home / "models" for home in homes)]


def _absolute(text: str | None) -> Path | None:
    """Return the path that a file's text gives, if it is one."""
    path = Path(text) if text and text.isprintable() else None
    return path if path and path.is_absolute() else None


class _Layer(Struct):
    mediaType: str = ""  # noqa: N815 - the manifest's own key
    digest: str = ""


class _Manifest(Struct):
    layers: list[_Layer] = []


def _ollama(walk: Walk) -> Iterator[Entry]:
    """Read Ollama's store: `manifests/HOST/NAMESPACE/MODEL/TAG` name blobs by their digests."""
    manifests = walk.path / "manifests"
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
        blob = walk.path / "blobs" / f"sha256-{match[1] if match else ''}"
        problem = None
        if match is None:
            problem = f"{manifest} names no digest, but {digest[:80]!r}"
        elif not holds(blob.is_file):
            problem = f"{blob} is missing, or cannot be reached"
        elif walk.leads_out(blob):
            problem = f"{blob} is a link that leads out of {walk.path}"
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
        return msgspec.json.decode(small_text(path, LARGEST_MANIFEST) or "", type=shape)
    except (msgspec.DecodeError, RecursionError):
        return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0


def _expanded(path: Path | str) -> Path:
    """Return a path as an absolute one; `~` of somebody who is not there stays as it is."""
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        return Path(path).absolute()
