"""The Hugging Face cache on disk, which other programs share.

Its layout is documented for those who write into it (huggingface.co/docs/hub/local-cache):

    models--OWNER--REPO/
        blobs/SHA256                    content, by its checksum
        blobs/SHA256.incomplete         what has arrived of it
        snapshots/COMMIT/FILE           a link to the blob: it appears when the blob is complete
        refs/main                       the commit that a branch was at
    .locks/models--OWNER--REPO/SHA256.lock      held by who is fetching
"""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from apr.home import beside
from apr.models.download import Watch
from apr.models.listing import Offer, RemoteFile
from apr.models.names import OnHub

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


class Snapshot(Struct, frozen=True):
    """A repository at one commit, in the cache."""

    cache: Path
    repository: str
    commit: str

    @property
    def folder(self) -> Path:
        """Return where the cache has the repository."""
        return self.cache / f"models--{self.repository.replace('/', '--')}"

    def blob(self, file: RemoteFile) -> Path:
        """Return where a file's content is, or will be."""
        return self.folder / "blobs" / (file.sha256 or file.oid or "")

    def part(self, file: RemoteFile) -> Path:
        """Return where a file's content grows."""
        blob = self.blob(file)
        return blob.with_name(f"{blob.name}.incomplete")

    def path(self, file: RemoteFile) -> Path:
        """Return where programs find the file by its name."""
        return self.folder / "snapshots" / self.commit / file.path

    def lock(self, file: RemoteFile) -> Path:
        """Return what is locked while the file is fetched."""
        return self.cache / ".locks" / self.folder.name / f"{self.blob(file).name}.lock"

    def has(self, file: RemoteFile) -> bool:
        """Whether the file's content is there."""
        return _size(self.blob(file)) == file.size

    def shows(self, file: RemoteFile) -> bool:
        """Whether the file is there by its name. The cache of some disks has no blobs."""
        return _size(self.path(file)) == file.size

    def show(self, files: Iterable[RemoteFile]) -> None:
        """Make files appear by their names; their content must be there.

        The first comes last: by it a model of many parts is found.
        """
        for file in reversed(list(files)):
            path, blob = self.path(file), self.blob(file)
            if self.shows(file):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # a link to a blob that is gone
            try:
                path.symlink_to(os.path.relpath(blob, path.parent))
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                blob.rename(path)

    def call(self, revision: str) -> None:
        """Note that a branch or tag is at this commit; the cache's tools delete what has none."""
        if revision == self.commit:
            return
        ref = self.folder / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        draft = beside(ref)
        draft.write_text(self.commit)
        draft.replace(ref)


def location() -> Path:
    """Return where the cache is: the library's own rule (`HF_HUB_CACHE`, `HF_HOME`)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached(wanted: OnHub, cache: Path) -> tuple[Snapshot, list[RemoteFile]] | None:
    """Return what the cache has of a repository at a revision, without asking the hub."""
    folder = Snapshot(cache, wanted.repository, "").folder
    try:
        commit = (folder / "refs" / wanted.revision).read_text().strip()
    except OSError:
        commit = wanted.revision
    snapshot = Snapshot(cache, wanted.repository, commit)
    base = folder / "snapshots" / commit
    files = [
        RemoteFile(
            path=str(path.relative_to(base)), size=path.stat().st_size, sha256=None, oid=None
        )
        for path in sorted(base.rglob("*.gguf"))
        if path.is_file()
    ]
    return (snapshot, files) if files else None


def paths(snapshot: Snapshot, offer: Offer) -> list[Path]:
    """Return where programs find a model's files."""
    return [snapshot.path(file) for file in offer.files]


@contextlib.contextmanager
def locked(path: Path, watch: Watch) -> Iterator[None]:
    """Be the only process that fetches what the lock file stands for."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, mode=0o664)  # as the library makes them: users may share a cache
    try:
        lock.acquire(timeout=0)
    except Timeout:
        watch.say("another process is fetching this; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
