"""Fetch a model: from the hub into the cache that programs share, from elsewhere into apr's own.

Whatever ends a download, nothing that looks like a model is there before all of it is, and the
same command goes on from what has arrived.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from msgspec import Struct

from apr.errors import AprError
from apr.home import home
from apr.models import hubcache
from apr.models.download import Digest, DownloadFailed, Remote, Watch, fetch, require_room
from apr.models.header import BadModel, ModelInfo, check
from apr.models.hub import Hub, HubError, Unreachable, connect
from apr.models.hubcache import Snapshot, locked
from apr.models.listing import NotInRepository, Offer, RemoteFile, choose
from apr.models.names import AtUrl, BadName, OnDisk, OnHub, Source, is_safe, shown
from apr.models.resolve import ModelNotFound
from apr.models.stores import quantisation_in
from apr.ui.amounts import size
from apr.ui.terminal import plain

if TYPE_CHECKING:
    import httpx2

_PART = re.compile(r"(?P<stem>.+)-00001-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)


class Pulled(Struct, frozen=True, kw_only=True):
    """A model that is on the disk now."""

    name: str
    """What `--model` takes."""
    files: tuple[Path, ...]
    """All of them, in order; the first is the one to load."""
    received: int
    """Bytes that came over the network."""
    already: bool
    """Whether it was all there before."""
    info: ModelInfo


def pull(
    source: Source, env: Mapping[str, str], watch: Watch, *, sha256: str | None = None
) -> Pulled:
    """See to it that a model is on the disk, whole and sound.

    Args:
        source: what is wanted.
        env: where `APR_HOME` is looked up; the hub's library has its settings from the process's
            own environment.
        watch: told how it gets on.
        sha256: what a file at a URL must hash to.

    Raises:
        AprError: it could not be had; the message says why and what to do.
        OSError: the disk is full, for example.
    """
    if sha256 is not None and not isinstance(source, AtUrl):
        raise BadName("--sha256 goes with a URL: of what is on the hub the checksum is known")
    match source:
        case OnHub():
            return _from_hub(source, watch)
        case AtUrl():
            return _from_url(source, env, watch, sha256)
        case OnDisk():
            return _from_disk(source)


def _from_disk(source: OnDisk) -> Pulled:
    path = source.path.absolute()
    if not path.is_file():
        raise ModelNotFound(
            f"There is no file {path}. One on the hub goes by hf://OWNER/REPO/FILE.gguf."
        )
    return _judged(path.stem, [path], 0, already=True)


def _from_hub(wanted: OnHub, watch: Watch) -> Pulled:
    hub, cache = connect(), hubcache.location()
    try:
        repository = hub.repository(wanted, watch)
    except Unreachable as error:
        return _from_cache(wanted, cache, watch, error)
    offer = choose(wanted, repository.files)
    if not all(file.sha256 or file.oid for file in offer.files):
        raise HubError(
            f"{shown(hub.endpoint)} gives no checksum of {offer.path}, so it is not fetched."
        )
    snapshot = Snapshot(cache, wanted.repository, repository.commit)
    missing = [file for file in offer.files if not snapshot.shows(file)]
    received = _blobs(hub, wanted, snapshot, missing, watch) if missing else 0
    snapshot.show(offer.files)
    snapshot.call(wanted.revision)
    name = _name(wanted.repository, offer)
    return _judged(name, hubcache.paths(snapshot, offer), received, already=not missing)


def _from_cache(wanted: OnHub, cache: Path, watch: Watch, error: Unreachable) -> Pulled:
    """Make do with what is there where the hub cannot be asked."""
    there = hubcache.cached(wanted, cache)
    if there is None:
        raise error
    snapshot, files = there
    try:
        offer = choose(wanted, files)
    except NotInRepository:
        raise error from None
    watch.say(f"{error}\nIt is on this disk; whether there is a newer one is not known.")
    paths = hubcache.paths(snapshot, offer)
    return _judged(_name(wanted.repository, offer), paths, 0, already=True)


def _blobs(
    hub: Hub, wanted: OnHub, snapshot: Snapshot, files: list[RemoteFile], watch: Watch
) -> int:
    """Bring the content of files into the cache; return the bytes received."""
    to_come = [file for file in files if not snapshot.has(file)]
    if not to_come:
        return 0
    there = {file: _size(snapshot.part(file)) for file in to_come}
    require_room(snapshot.folder, sum(max(0, file.size - there[file]) for file in to_come))
    watch.say(
        f"fetching {', '.join(file.path for file in to_come[:3])}{', …' if to_come[3:] else ''} "
        f"from {wanted.repository}: {size(sum(file.size for file in to_come))}"
    )
    watch.expect(sum(file.size for file in to_come))
    received = 0
    for file in to_come:
        with locked(snapshot.lock(file), watch):
            if snapshot.has(file):  # another process has brought it meanwhile
                watch.found(file.size)
                continue
            part, blob = snapshot.part(file), snapshot.blob(file)
            part.parent.mkdir(parents=True, exist_ok=True)
            remote = Remote(
                url=hub.url(wanted, snapshot.commit, file),
                name=file.path,
                headers=hub.headers,
                size=file.size,
                digest=_digest(file),
            )
            received += fetch(remote, part, hub.client, watch, hub.refusal(wanted))
            part.replace(blob)
    return received


def _digest(file: RemoteFile) -> Digest:
    return Digest("sha256", file.sha256) if file.sha256 else Digest("git", file.oid or "")


def _from_url(source: AtUrl, env: Mapping[str, str], watch: Watch, sha256: str | None) -> Pulled:
    from huggingface_hub import constants

    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise BadName("--sha256 takes 64 hexadecimal digits")
    folder = home(env) / "models"
    urls = _urls(source.url)
    if sha256 is not None and len(urls) > 1:
        raise BadName("--sha256 is of one file, and this model is split into several")
    paths = [folder / name for name in urls]
    if all(path.is_file() for path in paths):
        _hold_against(paths[0], sha256)
        return _judged(_stem(paths[0]), paths, 0, already=True)
    if constants.is_offline_mode():
        raise Unreachable("HF_HUB_OFFLINE is set, so nothing is fetched. Unset it to fetch.")
    folder.mkdir(parents=True, exist_ok=True)
    digest = Digest("sha256", sha256.lower()) if sha256 else None
    received = 0
    with locked(folder / ".locks" / f"{paths[0].name}.lock", watch):
        for path, url in zip(paths, urls.values(), strict=True):
            if not path.is_file():
                received += _file(url, path, digest, watch)
        for path in reversed(paths):  # the first comes last: by it a split model is found
            if not path.is_file():
                _part(path).replace(path)
                _version(path).unlink(missing_ok=True)
    return _judged(_stem(paths[0]), paths, received, already=False)


def _file(url: str, path: Path, digest: Digest | None, watch: Watch) -> int:
    """Bring a file to where it waits for its name; return the bytes received."""
    part = _part(path)
    remote = Remote(url=url, name=path.name, digest=digest)

    def explain(response: "httpx2.Response", name: str) -> AprError:
        answer = f"{response.status_code} {plain(response.reason_phrase)}".rstrip()
        return DownloadFailed(f"{name}: {shown(url)} answers {answer}.")

    received = fetch(remote, part, connect().client, watch, explain, validator=_version(path))
    with part.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        part.unlink()
        _version(path).unlink(missing_ok=True)
        raise DownloadFailed(
            f"{path.name}: {shown(url)} is no GGUF file (it begins with {magic!r}). It was removed."
        )
    return received


def _urls(url: str) -> dict[str, str]:
    """Return the names of a model's files, and where they are: of a split model, all parts."""
    parts = urlsplit(url)
    name = unquote(parts.path.rpartition("/")[2])
    if not is_safe(name) or not name.lower().endswith(".gguf") or name.startswith("."):
        raise BadName(f"{shown(url)} does not end in the name of a .gguf file")
    match = _PART.fullmatch(name)
    if not match:
        return {name: url}
    base = parts.path.rpartition("/")[2]
    count = int(match["count"])
    return {
        name.replace("-00001-of-", f"-{number:05}-of-"): urlunsplit(
            parts._replace(
                path=parts.path.removesuffix(base) + base.replace("-00001-of-", f"-{number:05}-of-")
            )
        )
        for number in range(1, count + 1)
    }


def _hold_against(path: Path, sha256: str | None) -> None:
    """See to it that a file that is there has the checksum that it should."""
    if sha256 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise DownloadFailed(
            f"{path} is there, but is another file: its sha256 is {found}.\n"
            f"Remove it to fetch this one: apr rm {path}"
        )


def _judged(name: str, paths: list[Path], received: int, *, already: bool) -> Pulled:
    """Look into the model that is there."""
    try:
        info = check(paths[0])
    except BadModel as error:
        raise BadModel(f"{error}\nIt is kept; remove it with: apr rm {paths[0]}") from error
    return Pulled(name=name, files=tuple(paths), received=received, already=already, info=info)


def _name(repository: str, offer: Offer) -> str:
    """Return what discovery calls a model of a repository."""
    stem = _stem(Path(offer.path))
    kind = quantisation_in(stem)
    return f"{repository}:{kind}" if kind else f"{repository}/{stem}"


def _stem(path: Path) -> str:
    return re.sub(r"-\d{5}-of-\d{5}$", "", path.stem)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _version(path: Path) -> Path:
    return path.with_name(f"{path.name}.part.version")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
