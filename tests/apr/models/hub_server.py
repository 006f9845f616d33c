"""A hub on loopback: the API that `huggingface_hub` speaks, and a CDN under another host name.

What real hubs do and what they do when something is wrong: `Hub.faults` go wrong one by one, each
on the next request for content. Everything that was asked and sent is counted.
"""

import hashlib
import json
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PIECE = 16 << 10


class Fault(Struct, kw_only=True):
    """How one request for content goes wrong."""

    status: int | None = None
    """Answered instead."""
    headers: dict[str, str] = {}
    """In the answer, above the usual ones; an empty one is left out."""
    cut: int | None = None
    """Bytes after which the connection is closed."""
    pause: int | None = None
    """Bytes after which nothing more comes until `Hub.go_on` is set."""
    whole: bool = False
    """Ranges are not known."""
    content: bytes | None = None
    """Sent instead of the file's."""


class Repo(Struct, kw_only=True):
    """A repository."""

    files: dict[str, bytes]
    plain: frozenset[str] = frozenset()
    """Files that are in git itself, not in large file storage."""
    gated: bool = False
    private: bool = False
    commit: str = COMMIT
    gone: dict[str, bytes] = {}
    """Files that are listed, and not there."""
    checksums: dict[str, str] = {}
    """What the listing says, where that is wrong."""


class Asked(Struct):
    """A request."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    sent: int = 0
    """Bytes of content in the answer."""


class Hub:
    """What the hub has, and what was asked of it."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.pages: dict[str, bytes] = {}
        """Files by path, for tests of plain URLs."""
        self.etags: dict[str, str] = {}
        """Of those."""
        self.token = "hf_secret"
        self.faults: deque[Fault] = deque()
        self.refusals: deque[tuple[int, dict[str, str]]] = deque()
        """Answers to the next requests for listings."""
        self.asked: list[Asked] = []
        self.go_on = threading.Event()
        self.paused = threading.Event()
        self.url = ""

    def content(self) -> list[Asked]:
        """Return the requests that were answered with content."""
        return [one for one in self.asked if one.sent]

    @property
    def sent(self) -> int:
        """Return the bytes of content that were sent."""
        return sum(one.sent for one in self.asked)


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """Serve it; yield its URL."""

    class Bound(_Handler):
        owner = hub

    server = _Server(("127.0.0.1", 0), Bound)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub.url
    finally:
        hub.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def oid(data: bytes) -> str:
    """Return git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that are gone: some tests kill them."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Hub
    record: Asked

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.record = Asked(
            self.command,
            self.headers.get("Host", "").partition(":")[0],
            path,
            {name.lower(): value for name, value in self.headers.items()},
        )
        self.owner.asked.append(self.record)
        try:
            if path.startswith("/api/models/"):
                self._listing(path.removeprefix("/api/models/"))
            elif path.startswith("/cdn/"):
                self._cdn(path.removeprefix("/cdn/"))
            elif path in self.owner.pages:
                self._send_content(self.owner.pages[path], self.owner.etags.get(path, ""))
            elif "/resolve/" in path:
                self._resolve(path)
            else:
                self._refuse(404, "EntryNotFound")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _listing(self, path: str) -> None:
        name, _, revision = path.partition("/revision/")
        if self.owner.refusals:
            status, headers = self.owner.refusals.popleft()
            self._refuse(status, "", headers)
            return
        repo = self._permitted(name, listing=True)
        if repo is None:
            return
        if revision not in {"", "main", repo.commit}:
            self._refuse(404, "RevisionNotFound")
            return
        siblings = [_sibling(repo, file, data) for file, data in (repo.files | repo.gone).items()]
        self._send_json({"id": name, "sha": repo.commit, "siblings": siblings, "tags": []})

    def _resolve(self, path: str) -> None:
        name, _, rest = path[1:].partition("/resolve/")
        file = rest.partition("/")[2]
        repo = self._permitted(name, listing=False)
        if repo is None:
            return
        data = repo.files.get(file)
        if data is None:
            self._refuse(404, "EntryNotFound")
        elif file in repo.plain:
            self._send_content(data, f'"{oid(data)}"', {"X-Repo-Commit": repo.commit})
        else:
            port = self.owner.url.rpartition(":")[2]
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{port}/cdn/{name}/{file}?signature=s")
            self.send_header("X-Repo-Commit", repo.commit)
            self.send_header("X-Linked-Etag", f'"{sha256(data)}"')
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _cdn(self, path: str) -> None:
        owner, name, file = path.split("/", 2)
        data = self.owner.repos[f"{owner}/{name}"].files[file]
        self._send_content(data, f'"{sha256(data)}"')

    def _permitted(self, name: str, *, listing: bool) -> Repo | None:
        """Return a repository; answer that there is none, or none for this user."""
        given = self.headers.get("Authorization")
        known = given == f"Bearer {self.owner.token}"
        repo = self.owner.repos.get(name)
        if given and not known:
            self._refuse(401, "", message="Invalid credentials in Authorization header")
        elif repo is None or (repo.private and not known):
            self._refuse(404 if known else 401, "RepoNotFound")
        elif repo.gated and not known and not listing:
            self._refuse(401, "GatedRepo")
        else:
            return repo
        return None

    def _send_content(self, data: bytes, etag: str, more: dict[str, str] | None = None) -> None:
        fault = Fault()
        if self.command == "GET" and self.owner.faults:
            fault = self.owner.faults.popleft()
        if fault.status is not None:
            self._refuse(fault.status, "", fault.headers)
            return
        data = data if fault.content is None else fault.content
        asked = "" if fault.whole else self.headers.get("Range", "")
        if (wanted := self.headers.get("If-Range")) and wanted != etag:
            asked = ""
        start, end = _bounds(asked, len(data))
        headers = {"Content-Length": str(end - start), "Accept-Ranges": "bytes", **(more or {})}
        headers["ETag"] = etag
        if asked and start >= len(data):
            self._refuse(416, "", {"Content-Range": f"bytes */{len(data)}"})
            return
        if asked:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        self.send_response(206 if asked else 200)
        for name, value in {**headers, **fault.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self._send_pieces(data[start:end], fault)

    def _send_pieces(self, data: bytes, fault: Fault) -> None:
        if fault.cut is not None:
            data = data[: fault.cut]
        before = data if fault.pause is None else data[: fault.pause]
        self._send(before)
        if fault.pause is not None:
            self.owner.paused.set()
            self.owner.go_on.wait()
            self._send(data[fault.pause :])
        if fault.cut is not None or "Content-Length" in fault.headers:
            self.close_connection = True

    def _send(self, data: bytes) -> None:
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            self.wfile.write(piece)
            self.record.sent += len(piece)

    def _send_json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(
        self, status: int, code: str, headers: dict[str, str] | None = None, message: str = "no"
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _sibling(repo: Repo, file: str, data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"rfilename": file, "size": len(data), "blobId": oid(data)}
    if file not in repo.plain:
        checksum = repo.checksums.get(file, sha256(data))
        found["lfs"] = {"sha256": checksum, "size": len(data), "pointerSize": 134}
    return found


def _bounds(asked: str, size: int) -> tuple[int, int]:
    """Return where the part begins and ends that a `Range` header asks for."""
    if not asked:
        return 0, size
    first, _, last = asked.removeprefix("bytes=").partition("-")
    return int(first), min(size, int(last) + 1 if last else size)
