"""One file over HTTP: goes on where it stopped, and is what it should be, or an error.

`huggingface_hub` itself cannot go on with a download that was killed: since 1.31 it writes to a
file of a new name each time, so that processes on file systems without locks cannot mix their
bytes. Here the checksum stands guard over that. Its Xet protocol knows no ranges of a file either,
and fails behind some proxies; the hub serves the same files over plain HTTP, which this speaks.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from apr.errors import AprError
from apr.models.answers import TRANSIENT, asked_to_wait, length, version
from apr.ui.amounts import size

if TYPE_CHECKING:
    import httpx2

WAITS_S = (0.0, 1.0, 2.0, 4.0, 8.0, 8.0)
"""Before each further try; any byte that arrives begins the count anew."""
LONGEST_WAIT_S = 120.0
"""A server that asks to be left alone for longer is obeyed by ending."""
SILENCE_S = 30.0
"""A server that says nothing for so long is asked again."""
AT_ONCE = 16 << 30
"""Bytes asked for in one request: the hub's CDN serves no whole file above 50 GB."""
BLOCK = 1 << 20
SPARE = 256 << 20
"""Bytes that a download leaves free on the disk."""


class DownloadFailed(AprError):
    """The file could not be fetched. What has arrived is kept unless the message says otherwise."""

    exit_code = 1


class Digest(Struct, frozen=True):
    """What a file's content must hash to."""

    kind: Literal["sha256", "git"]
    value: str
    """Hexadecimal, in lower case."""


class Remote(Struct, frozen=True, kw_only=True):
    """A file on a server."""

    url: str
    name: str
    """What messages call it."""
    headers: dict[str, str] = {}
    """For the server that is named; they do not go along to another that it redirects to."""
    size: int | None = None
    """Bytes, where they are known."""
    digest: Digest | None = None


class Watch(Protocol):
    """Who is told how a download gets on."""

    def expect(self, total: int) -> None:
        """So many bytes will be there in the end."""
        ...

    def found(self, count: int) -> None:
        """So many of them were there before."""
        ...

    def moved(self, count: int) -> None:
        """So many more have come; if it is negative, so many had to be thrown away."""
        ...

    def say(self, text: str) -> None:
        """Something happened that a person would want to know."""
        ...


Explain = Callable[["httpx2.Response", str], AprError]
"""From a refusal (401, 404, …) of a file of that name to the error that is told."""


def fetch(
    remote: Remote,
    part: Path,
    client: "httpx2.Client",
    watch: Watch,
    explain: Explain,
    *,
    validator: Path | None = None,
    waits: tuple[float, ...] = WAITS_S,
) -> int:
    """Complete the file `part`, of which a beginning may be there; return the bytes received.

    A file whose content may change on the server needs a `validator`: where to keep what tells its
    versions apart, so that no two are ever mixed. One that is known by its digest does not.

    Raises:
        DownloadFailed: the server cannot be reached or goes wrong; or its file is another one than
            was promised, in which case `part` is gone.
        AprError: what `explain` makes of a refusal.
        OSError: the disk is full, for example.
    """
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        transfer = _Transfer(remote, part, descriptor, validator, watch)
        resumed = transfer.take_up()
        transfer.complete(client, explain, waits)
        if resumed and transfer.wrong():
            watch.say(f"{remote.name}: what was there from before is damaged; starting over")
            transfer.start_over()
            transfer.complete(client, explain, waits)
        if problem := transfer.wrong():
            raise transfer.discarded(
                f"what arrived is not what was promised ({problem})",
                "If this happens again, the file on the server, or something in between, is bad.",
            )
        os.fsync(descriptor)
        return transfer.received
    except BaseException:
        if not os.fstat(descriptor).st_size:
            part.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def require_room(folder: Path, needed: int) -> None:
    """See to it that `needed` more bytes fit on the disk of a folder, or of where it will be.

    Raises:
        DownloadFailed: they do not.
    """
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if needed + SPARE > free:
        raise DownloadFailed(
            f"Not enough room on the disk of {there}: {size(needed)} are to come, and {size(free)} "
            "are free. Make room (apr list, apr rm), or keep models elsewhere (HF_HUB_CACHE for "
            "what is from the hub, APR_HOME for the rest)."
        )


class _Again(Exception):
    """It went wrong in a way that may pass."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after
        """Seconds that the server asks for."""


class _Transfer:
    """A file that grows by what requests bring, hashed as it does."""

    def __init__(
        self, remote: Remote, part: Path, descriptor: int, validator: Path | None, watch: Watch
    ) -> None:
        self.remote = remote
        self.part = part
        self.descriptor = descriptor
        self.validator = validator
        self.watch = watch
        self.size = remote.size
        self.have = 0
        self.received = 0
        self.answered = False
        self.ended = False
        """Whether a server that did not say how long the file is has come to its end."""
        self.hash = self._fresh_hash()

    def take_up(self) -> bool:
        """Go on from what is there; return whether that is anything."""
        there = os.fstat(self.descriptor).st_size
        known = self.validator is None or self.validator.is_file()
        if not known or (self.size is not None and there > self.size):
            self.start_over()
            return False
        if there:
            self.watch.say(f"{self.remote.name}: going on from {size(there)}")
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        while block := os.read(self.descriptor, BLOCK):
            self.hash.update(block)
            self.have += len(block)
            self.watch.found(len(block))
        return self.have > 0

    def start_over(self) -> None:
        """Forget what is there."""
        os.ftruncate(self.descriptor, 0)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        self.watch.moved(-self.have)
        self.have = 0
        self.ended = False
        self.hash = self._fresh_hash()

    def complete(self, client: "httpx2.Client", explain: Explain, waits: tuple[float, ...]) -> None:
        """Ask until everything is there."""
        tries = 0
        while not (self.ended or self.have == self.size):
            before, goal = self.have, self._goal()
            try:
                self._ask(client, explain, goal)
                if self.have < (goal or self.size or 0):
                    raise _Again("the server ends before the file does")
            except _Again as trouble:
                if self.have - before >= BLOCK:
                    tries = 0
                if tries == len(waits):
                    raise self._gave_up(f"{trouble}") from None
                wait = waits[tries] if trouble.after is None else trouble.after
                if wait > LONGEST_WAIT_S:
                    until = time.strftime("%H:%M", time.localtime(time.time() + wait))
                    raise self._gave_up(f"{trouble}, until {until}") from None
                tries += 1
                self.watch.say(
                    f"{self.remote.name}: {trouble}; "
                    + (f"trying again in {wait:.0f} s" if wait else "trying again")
                )
                time.sleep(wait)

    def wrong(self) -> str | None:
        """Return how the content differs from what it must be; None where it does not."""
        expected = self.remote.digest
        if expected is None or self.hash.hexdigest() == expected.value:
            return None
        return f"{self.hash.name} {self.hash.hexdigest()}, not {expected.value}"

    def discarded(self, problem: str, advice: str) -> DownloadFailed:
        """Remove what is there, and return the error that says so."""
        self.part.unlink(missing_ok=True)
        if self.validator is not None:
            self.validator.unlink(missing_ok=True)
        return DownloadFailed(f"{self.remote.name}: {problem}. It was removed.\n{advice}")

    def _gave_up(self, problem: str) -> DownloadFailed:
        kept = "\nWhat has arrived is kept; the same command goes on from there."
        return DownloadFailed(f"{self.remote.name}: {problem}.{kept if self.have else ''}")

    def _goal(self) -> int | None:
        """Return where the next request is to end, if not where the file does."""
        if self.have and self.validator is not None and not self.validator.is_file():
            self.start_over()  # a server that names no versions: what comes next may be of another
        limited = self.size is not None and self.size - self.have > AT_ONCE
        return self.have + AT_ONCE if limited else None

    def _ask(self, client: "httpx2.Client", explain: Explain, goal: int | None) -> None:
        """Make one request, and take what it brings."""
        import httpx2

        headers = {**self.remote.headers, "Accept-Encoding": "identity", **self._range(goal)}
        try:
            with client.stream(
                "GET",
                self.remote.url,
                headers=headers,
                timeout=httpx2.Timeout(SILENCE_S),
                follow_redirects=True,
            ) as response:
                if self._begin(response, explain):
                    for piece in response.iter_raw():
                        self._take(piece)
                    self.ended = self.size is None
        except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            if isinstance(error, httpx2.ConnectError) and not self.answered:
                raise self._gave_up(_reason(error)) from error  # a name or a host that is not there
            raise _Again(_reason(error)) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._gave_up(_reason(error)) from error

    def _range(self, goal: int | None) -> dict[str, str]:
        """Return the headers that ask for the rest, or for as much of it as up to the goal."""
        if not self.have and goal is None:
            return {}
        headers = {"Range": f"bytes={self.have}-{'' if goal is None else goal - 1}"}
        if self.have and self.validator is not None:
            headers["If-Range"] = self.validator.read_text(encoding="utf-8")
        return headers

    def _begin(self, response: "httpx2.Response", explain: Explain) -> bool:
        """Prepare for the body of an answer; return whether there is one to take."""
        self.answered = True
        status = response.status_code
        if status in TRANSIENT:
            reason = f"the server answers {status} {response.reason_phrase}".rstrip()
            raise _Again(reason, asked_to_wait(response))
        first = response.history[0].url if response.history else response.url
        if first.scheme == "https" != response.url.scheme:
            raise self._gave_up(f"the server redirects from https to {response.url.scheme}")
        if status == 416 and self.have:  # no more than we have, or than it used to be
            if response.headers.get("Content-Range") != f"bytes */{self.have}":
                self.start_over()
                raise _Again("the server has less than is there")
            self.ended = True
            return False
        if status not in {200, 206}:
            raise explain(response, self.remote.name)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._gave_up("the server sends it in an encoding that was not asked for")
        self._expect(_total(response, self.have) if status == 206 else length(response))
        if status == 200 and self.have:  # it knows no ranges, or has another version by now
            self.start_over()
        if self.validator is not None:
            self._hold_version(self.validator, response)
        if self.size is not None:
            require_room(self.part.parent, self.size - self.have)
        return True

    def _expect(self, total: int | None) -> None:
        """Learn how long the file is, or hold that against what is known."""
        if self.remote.size is not None and total not in {None, self.remote.size}:
            raise self.discarded(
                f"the server has a file of {total:,} bytes, and {self.size:,} were promised",
                "It was changed just now, or something in between serves another one. Try again.",
            )
        self.size = self.remote.size if total is None else total
        if self.remote.size is None and self.size is not None:
            self.watch.expect(self.size)

    def _hold_version(self, validator: Path, response: "httpx2.Response") -> None:
        """Keep what tells this version of the file from others, or hold it against what is kept."""
        given = version(response)
        if not self.have and given:
            validator.write_text(given, encoding="utf-8")
        elif not self.have:
            validator.unlink(missing_ok=True)
        elif given != validator.read_text(encoding="utf-8"):  # it knows nothing of If-Range
            self.start_over()
            raise _Again("the file on the server has changed")

    def _take(self, piece: bytes) -> None:
        if self.size is not None and self.have + len(piece) > self.size:
            raise self.discarded("the server sends more than it promised", "Try again.")
        view = memoryview(piece)
        try:
            while view:
                view = view[os.write(self.descriptor, view) :]
        except OSError as error:  # a full disk, most likely
            raise self._gave_up(f"cannot be written: {error.strerror}") from error
        self.hash.update(piece)
        self.received += len(piece)
        self.have += len(piece)
        self.watch.moved(len(piece))

    def _fresh_hash(self) -> "hashlib._Hash":
        digest = self.remote.digest
        if digest is None or digest.kind == "sha256":
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % (self.size or 0), usedforsecurity=False)


def _total(response: "httpx2.Response", start: int) -> int | None:
    """Return how long the file is of which a part comes; that must begin where it was asked to."""
    given = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes ([0-9]{1,15})-[0-9]+/([0-9]{1,15}|\*)", given)
    if not match or int(match[1]) != start:
        raise _Again(f"the server sends another part ({given or 'unnamed'}) than was asked for")
    return None if match[2] == "*" else int(match[2])


def _reason(error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    return text[:1].lower() + text[1:] if text else type(error).__name__
