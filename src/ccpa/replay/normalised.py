"""What of a trace is the same in every replay: all but what chance and the clock put into it."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ccpa.replay.outcomes import settled
from ccpa.trace import AssistantTurn, Record, ToolUseBlock, encode

_NO_SESSION = "00000000-0000-7000-8000-000000000000"
_NO_TIME = "1970-01-01T00:00:00.000Z"
_CHANGES: dict[str, Any] = {
    "session_id": _NO_SESSION,
    "ts": _NO_TIME,
    "elapsed_ms": None,
    "duration_ms": None,
    "latency_ms": None,
    "parent_session_id": None,
}


def normalised(records: Iterable[Record]) -> bytes:
    """Return a trace's lines without what differs between two replays of one fixture.

    The session's id, times and durations are replaced or left out; so are times, addresses, names
    of temporary files and the like in what tools and hooks said (`ccpa.rerun.compare.VOLATILE`),
    and the digest of a whole content where only a part of it is there to be treated so. What a
    subagent did stands behind the message that called it: how the records of several that work at
    once come to lie between each other is chance.
    """
    return b"".join(encode(_settled(record)) for record in _by_caller(records))


def _by_caller(records: Iterable[Record]) -> Iterator[Record]:
    """Yield a session's own records, and each subagent's together, in the order of their calls."""
    theirs: dict[str | None, list[Record]] = {}
    for record in records:
        theirs.setdefault(getattr(record, "parent_tool_use_id", None), []).append(record)

    def told(caller: str | None) -> Iterator[Record]:
        for record in theirs.pop(caller, ()):
            yield record
            if isinstance(record, AssistantTurn):
                for call in record.blocks:
                    if isinstance(call, ToolUseBlock):
                        yield from told(call.id)

    yield from told(None)
    for caller in list(theirs):  # called by nobody who is there
        yield from told(caller)


def _settled(record: Record) -> Record:
    fields = record.__struct_fields__
    changes = {name: value for name, value in _CHANGES.items() if name in fields}
    for name in ("content", "output"):
        if isinstance(text := getattr(record, name, None), str):
            changes[name] = settled(text)
    if "content_sha256" in fields:
        changes["content_sha256"] = None
    return msgspec.structs.replace(record, **changes)
