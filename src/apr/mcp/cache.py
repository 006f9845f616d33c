"""What each server offered last, on disk: a session begins with that, before the server is up."""

import contextlib
import hashlib
import os
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from apr.home import beside, private_directory
from apr.mcp.config import Server
from apr.mcp.listing import Listing

FRESH_S = 24 * 3600
"""Seconds after which a server is asked again even if none of its tools is called."""
_VERSION = 1


class Kept(Struct, frozen=True):
    """A listing, and when it was made (seconds since the epoch)."""

    at: float
    listing: Listing

    @property
    def fresh(self) -> bool:
        """Whether it is recent enough not to ask again."""
        return 0 <= time.time() - self.at < FRESH_S


class Cache:
    """The listings of one project's servers, one file each. A write that fails costs time, no more.

    The file is named after a digest of all that decides what the server is: command and folder, or
    address, with variables and headers. None of that stands in it.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._root = root

    def get(self, server: Server) -> Kept | None:
        """Return what is known of a server."""
        try:
            return msgspec.json.decode(self._path(server).read_bytes(), type=Kept)
        except (OSError, msgspec.DecodeError):
            return None

    def put(self, server: Server, listing: Listing) -> None:
        """Remember what a server offers."""
        path = self._path(server)
        with contextlib.suppress(OSError):
            private_directory(self._folder)
            new = beside(path)
            try:
                new.write_bytes(msgspec.json.encode(Kept(time.time(), listing)))
                new.replace(path)
            finally:
                new.unlink(missing_ok=True)

    def forget(self, server: Server) -> None:
        """Drop what is known of a server."""
        with contextlib.suppress(OSError):
            self._path(server).unlink(missing_ok=True)

    def _path(self, server: Server) -> Path:
        what = (
            _VERSION,
            os.fspath(self._root) if server.kind == "stdio" else "",
            server.name,
            server.kind,
            server.command,
            server.args,
            sorted(server.env.items()),
            server.url,
            sorted(server.headers.items()),
        )
        digest = hashlib.sha256(msgspec.json.encode(what)).hexdigest()
        return self._folder / f"{digest[:32]}.json"
