"""Traces that grow while their session runs, each record on disk when what it tells has happened.

What makes a sequence of records sensible is the business of `ccpa.importers.session`; here its
records are written out as they come, less the keys that went over the wire.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ccpa.errors import CcpaError
from ccpa.importers.fit import fitted
from ccpa.importers.notes import Notes
from ccpa.importers.session import About, Session
from ccpa.importers.values import UNKNOWN_MODEL, session_id
from ccpa.trace import Record, SessionStart, encode

REMOVED = "(removed)"
_SHORTEST_SECRET = 8
"""Characters: what is shorter is no key, and could be part of any word."""
_STRUCTURE = frozenset({"kind", "type", "stop_reason", "tool_use_id", "parent_tool_use_id", "id"})


class Secrets:
    """The keys seen on the wire: nothing that is written holds one of them."""

    def __init__(self) -> None:
        self._known: list[str] = []

    def add(self, value: str) -> None:
        """Note a key, or a header's value that holds one (`Bearer KEY`)."""
        for secret in (value, value.rpartition(" ")[2]):
            if len(secret) >= _SHORTEST_SECRET and secret not in self._known:
                self._known.append(secret)
        self._known.sort(key=len, reverse=True)

    def removed_from(self, record: Record) -> Record:
        """Return the record without them. A session's start holds nothing that anybody said."""
        if not self._known or isinstance(record, SessionStart):
            return record
        cleaned: Record = msgspec.convert(self._clean(msgspec.to_builtins(record)), type(record))
        return cleaned

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            for secret in self._known:
                value = value.replace(secret, REMOVED)
            return value
        if isinstance(value, list):
            return [self._clean(item) for item in value]
        if isinstance(value, dict):
            return {
                name: member if name in _STRUCTURE else self._clean(member)
                for name, member in value.items()
            }
        return value


class TraceFile:
    """One session and its file.

    A failure to write is told to `warn` once; what is on disk stays a valid beginning, and the
    session is told to its end.
    """

    def __init__(
        self,
        path: Path,
        about: About,
        tree: str,
        *,
        notes: Notes,
        secrets: Secrets,
        warn: Callable[[str], None],
    ) -> None:
        """Create the file, empty. `tree` is the working tree's id as the session finds it.

        Raises:
            OSError: it cannot be made.
        """
        self.path = path
        self.session = Session(about, notes)
        self.written = 0
        self.is_whole = True
        self._about = about
        self._tree = tree
        self._secrets = secrets
        self._warn = warn
        self._size = 0
        self._told = 0
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644
        )

    def flush(self) -> None:
        """Write what the session was told since."""
        if self._told < len(self.session.records) and not self.written:
            self._write(self._start())
        for record in self.session.records[self._told :]:
            self._write(record)
        self._told = len(self.session.records)

    def close(self) -> None:
        """Write the end that the session was told, and close the file."""
        self.session.finish()
        self.flush()
        os.close(self._descriptor)

    def _start(self) -> SessionStart:
        about = self._about
        ts = about.ts or ""
        return SessionStart(
            v=1,
            session_id=session_id(None, ts, os.urandom(16)),
            ts=ts,
            actor=about.actor,
            model=about.model or UNKNOWN_MODEL,
            cwd_sha256=self._tree,
            schema_version=3,
            cwd=about.cwd,
        )

    def _write(self, record: Record) -> None:
        if not self.is_whole:
            return
        done = 0
        try:
            line = encode(fitted(self._secrets.removed_from(record)))
            while done < len(line):
                done += os.write(self._descriptor, line[done:])
        except (OSError, CcpaError) as error:
            self.is_whole = False
            with contextlib.suppress(OSError):  # half a line is worse than none
                os.ftruncate(self._descriptor, self._size)
            reason = error.strerror if isinstance(error, OSError) else error
            self._warn(f"the trace is incomplete: {self.path}: {reason}")
        else:
            self._size += len(line)
            self.written += 1
