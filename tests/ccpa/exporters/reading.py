"""What every test of an exporter starts from: traces, as bytes and as sessions."""

import io
from pathlib import Path

from ccpa import trace
from ccpa.exporters.sessions import Session, session_of
from ccpa.trace import Record
from tests.ccpa.traces import Value, lines

ROOT = Path(__file__).parents[3]
TEACHERS = sorted(ROOT.glob("fixtures/canonical/*/teacher.ccpa-trace.jsonl"))


def encoded(records: list[Record]) -> bytes:
    return b"".join(map(trace.encode, records))


def session(records: list[Value] | list[Record] | bytes) -> Session:
    """Return the session of records, of their JSON values, or of a file's bytes."""
    if isinstance(records, bytes):
        data = records
    else:
        data = b"".join(
            lines([one]) if isinstance(one, dict) else trace.encode(one) for one in records
        )
    return session_of("run.jsonl", io.BytesIO(data))
