"""One file, imported: read, redacted, cut to what a trace's line may hold."""

import contextlib
import sys
from pathlib import Path

from msgspec import Struct, field

from ccpa.errors import CcpaError
from ccpa.importers import Importer
from ccpa.importers.fit import fitted
from ccpa.importers.notes import Notes
from ccpa.importers.reading import Source
from ccpa.redact import Redaction, redact
from ccpa.trace import Record, SessionStart

STDIN = "-"


class Trace(Struct, frozen=True):
    """One imported session, ready to be written."""

    original_id: str | None
    records: list[Record]

    @property
    def session_id(self) -> str:
        """The id that the trace has for it."""
        start = self.records[0]
        return start.session_id if isinstance(start, SessionStart) else ""


class Outcome(Struct):
    """What a file came to."""

    name: str
    traces: list[Trace] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    redaction: Redaction = field(default_factory=Redaction)


def import_file(importer: Importer, name: str, *, keep_secrets: bool) -> Outcome:
    """Import the sessions of one file, `-` for stdin. Sessions without an answer are left out.

    Raises:
        CcpaError: it cannot be read, is not of the format, or holds no session.
    """
    outcome = Outcome(name)
    try:
        with contextlib.ExitStack() as closing:
            if name == STDIN:
                source = Source(name, sys.stdin.buffer)
            else:
                path = Path(name)
                source = Source(name, closing.enter_context(path.open("rb")), path)
            sessions = importer.read(source, outcome.notes)
    except OSError as error:
        raise CcpaError(f"{name}: cannot be read: {error.strerror or error}") from None
    answered = [session for session in sessions if not session.is_empty]
    if not answered:
        raise CcpaError(f"{name}: no session of this format in it: no model answers{_why(outcome)}")
    for _ in range(len(sessions) - len(answered)):
        outcome.notes.skip("session in which no model answered")
    for session in answered:
        records = session.records
        try:
            if not keep_secrets:
                records, replaced = redact(records)
                outcome.redaction.add(replaced)
            records = [fitted(record) for record in records]
        except RecursionError:
            raise CcpaError(f"{name}: a tool's input is nested too deep") from None
        except CcpaError as error:
            raise CcpaError(f"{name}: {error}") from None
        outcome.traces.append(Trace(session.original_id, records))
    return outcome


def _why(outcome: Outcome) -> str:
    counts = [*outcome.notes.unknown.items(), *outcome.notes.skipped.items()]
    found = ", ".join(f"{what}: {number}" for what, number in counts[:3])
    return f" (found {found})" if found else ""
