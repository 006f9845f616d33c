"""Records whose line would be longer than a trace allows, cut to fit."""

from typing import Any

import msgspec

from ccpa import trace
from ccpa.errors import CcpaError
from ccpa.importers.values import digest
from ccpa.trace import Record, ToolResult

_KEPT = 1 << 20
"""Characters of a text that is cut: as JSON at most 6 MiB."""
_SHORTER = (_KEPT, 1 << 14, 1 << 8)


def fitted(record: Record) -> Record:
    """Return the record with a line no longer than a trace allows.

    Of a tool result the content is cut and its digest kept, as the format provides. Elsewhere every
    long text is cut, and ends in a marker that says so.

    Raises:
        CcpaError: there is too much of it, even with all texts cut short.
    """
    if _fits(record):
        return record
    if isinstance(record, ToolResult) and len(record.content) > _KEPT:
        record = msgspec.structs.replace(
            record,
            content=record.content[:_KEPT],
            content_sha256=digest(record.content),
            truncated=True,
        )
        if _fits(record):
            return record
    for limit in _SHORTER:
        value = _shortened(msgspec.to_builtins(record), limit)
        shorter: Record = msgspec.convert(value, type(record))
        if _fits(shorter):
            return shorter
    kind = type(record).__struct_config__.tag
    raise CcpaError(f"a {kind} is longer than a trace's line may be, even with its texts cut")


def _fits(record: Record) -> bool:
    return len(trace.encode(record)) <= trace.MAX_LINE_BYTES


def _shortened(value: Any, limit: int) -> Any:
    if isinstance(value, str) and len(value) > limit:
        return f"{value[:limit]}«{len(value) - limit} characters cut»"
    if isinstance(value, list):
        return [_shortened(item, limit) for item in value]
    if isinstance(value, dict):
        return {name: _shortened(member, limit) for name, member in value.items()}
    return value
