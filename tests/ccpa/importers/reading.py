"""What every test of an importer does: import bytes or a file, and hold the result to the rules."""

import io
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ccpa import trace
from ccpa.importers import load
from ccpa.importers.notes import Notes
from ccpa.importers.reading import Source
from ccpa.importers.session import Imported
from ccpa.trace import Record
from ccpa.validate import Problem, check

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples" / "import"
PROJECT = EXAMPLES / "projects" / "-work-shop"
CURRENT = PROJECT / "7c9e6679-7425-40de-944b-e07fc1f90ae7.jsonl"
OLDER = PROJECT / "550e8400-e29b-41d4-a716-446655440000.jsonl"

T = TypeVar("T")

SAMPLES = [
    ("claude-code", CURRENT),
    ("claude-code", OLDER),
    ("claude-stream-json", EXAMPLES / "stream.jsonl"),
    ("codex", EXAMPLES / "rollout.jsonl"),
    ("openai-chat", EXAMPLES / "chat.json"),
    ("mini-swe-agent", EXAMPLES / "mini.traj.json"),
    ("atif", EXAMPLES / "trajectory.json"),
]
"""A format and a sample of it, for every sample."""


def jsonl(*lines: dict[str, Any]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def read_all(form: str, data: bytes | Path) -> tuple[list[Imported], Notes]:
    notes = Notes()
    if isinstance(data, Path):
        with data.open("rb") as stream:
            return load(form).read(Source(str(data), stream, data), notes), notes
    return load(form).read(Source("test", io.BytesIO(data)), notes), notes


def read(form: str, data: bytes | Path) -> tuple[list[Record], Notes]:
    """Import the one session of some data, which must be a valid beginning of a trace."""
    sessions, notes = read_all(form, data)
    assert len(sessions) == 1
    assert problems(sessions[0].records) == []
    return sessions[0].records, notes


def problems(records: list[Record]) -> list[Problem]:
    data = b"".join(map(trace.encode, records))
    return check(io.BytesIO(data), prefix=True).problems


def only(records: list[Record], kind: type[T]) -> list[T]:
    return [record for record in records if isinstance(record, kind)]
