"""The formats of ids, times and digests, which the types leave open and a trace must keep to."""

import datetime
import re
from collections.abc import Callable
from typing import Any

from ccpa.validate.wording import quoted

_UUID7 = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", re.ASCII)


def is_uuid7(text: str) -> bool:
    """Say whether this is a UUID of version 7 (RFC 9562, section 5.7)."""
    return _UUID7.fullmatch(text) is not None


def is_utc_time(text: str) -> bool:
    """Say whether this is an RFC 3339 time in UTC: `2026-01-31T23:59:60.5Z`, or with `+00:00`."""
    if not _TIME.fullmatch(text):
        return False
    try:
        # A leap second is a time, though not to `datetime`.
        datetime.datetime.fromisoformat(text[:19].replace(":60", ":59"))
    except ValueError:
        return False
    return True


def is_sha256(text: str) -> bool:
    """Say whether this is a SHA-256 digest as 64 lower-case hexadecimal digits."""
    return _SHA256.fullmatch(text) is not None


_Format = tuple[Callable[[str], bool], str]
_DIGEST: _Format = (is_sha256, "not 64 lower-case hexadecimal digits")
_FORMATS: dict[str, dict[str, _Format]] = {
    "session_start": {
        "session_id": (is_uuid7, "not a UUIDv7 (RFC 9562)"),
        "ts": (is_utc_time, "not an RFC 3339 time in UTC"),
        "cwd_sha256": _DIGEST,
    },
    "tool_result": {"content_sha256": _DIGEST},
    "compaction": {"summary_sha256": _DIGEST},
    "session_end": {"cwd_sha256_after": _DIGEST},
}


def faults(kind: str, field: Callable[[str], Any]) -> list[tuple[str, str]]:
    """Return what is wrong with the formats of a record: fields, as JSON paths, and messages.

    Args:
        kind: the record's kind.
        field: returns the value of a field by name; what is no string is not looked at.
    """
    found = []
    for name, (is_right, message) in _FORMATS.get(kind, {}).items():
        value = field(name)
        if isinstance(value, str) and not is_right(value):
            found.append((f"$.{name}", f"{message}: {quoted(value)}"))
    return found
