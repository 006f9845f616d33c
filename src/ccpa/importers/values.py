"""Values of foreign JSON, each of which may be of any type: what is not as expected is None.

Also the ids, times and digests that a trace needs, made from what a format has.
"""

import hashlib
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from ccpa.trace import MAX_INTEGER, SideEffects

JsonObject = dict[str, Any]

UNKNOWN_TIME = "1970-01-01T00:00:00Z"
UNKNOWN_TREE = "0" * 64
UNKNOWN_MODEL = UNKNOWN_ACTOR = "unknown"

_UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)
_VERSION_DIGIT = 14
_MILLISECONDS_FROM = 1e11
"""A number of seconds this large is the year 5138: such a number counts milliseconds."""


def text(value: Any) -> str | None:
    """Return a string that says something."""
    return value if isinstance(value, str) and value else None


def obj(value: Any) -> JsonObject:
    """Return an object; anything else has no members."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Return an array; anything else has no items."""
    return value if isinstance(value, list) else []


def objects(value: Any) -> list[JsonObject]:
    """Return the objects of an array."""
    return [item for item in items(value) if isinstance(item, dict)]


def count(value: Any) -> int | None:
    """Return a whole number that a trace can hold."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER
    return value if is_count else None


def milliseconds(seconds: Any) -> int | None:
    """Return a number of seconds in milliseconds."""
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0:
        return count(float(round(min(seconds, MAX_INTEGER) * 1000)))
    return None


def exit_code(value: Any) -> int | None:
    """Return a command's exit code."""
    is_code = isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**32
    return value if is_code else None


def rendered(content: Any) -> str:
    """Return message content as text: a string, or the texts of its parts, one after the other.

    A part that is no text (an image, a document) leaves its type as a marker: `«image»`.
    """
    if isinstance(content, str):
        return content
    parts = []
    for part in items(content):
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict):
            words = part.get("text")
            parts.append(words if isinstance(words, str) else f"«{part.get('type', 'no text')}»")
    return "\n".join(parts)


def utc_time(value: Any) -> str | None:
    """Return a time as a trace writes it, in UTC and milliseconds.

    Args:
        value: ISO 8601, where a time without a zone is taken for UTC; or seconds or milliseconds
            since 1970.
    """
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if value >= _MILLISECONDS_FROM else value
            time = datetime.fromtimestamp(seconds, UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def session_id(original: str | None, ts: str, content: bytes) -> str:
    """Return a UUIDv7 for a session: the same one whenever the same session is imported.

    A UUID keeps all of its digits but the one that tells the version. So the original id can be
    read off, though the first digits are then no time; `ts` is. Other ids, and sessions without
    one, get a UUIDv7 of their time and of a digest of the id, or of the content.
    """
    if original is not None and _UUID.fullmatch(original):
        return f"{original[:_VERSION_DIGIT]}7{original[_VERSION_DIGIT + 1 :]}"
    digest = hashlib.sha256(content if original is None else original.encode()).digest()
    stamp = int(datetime.fromisoformat(ts).timestamp() * 1000)
    bits = int.from_bytes(digest[:10]) & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(uuid.UUID(int=(max(stamp, 0) & (1 << 48) - 1) << 80 | bits))


def actor(name: Any) -> str:
    """Return an agent's name in kebab case."""
    words = re.findall(r"[a-z0-9]+", name.lower()) if isinstance(name, str) else []
    return "-".join(words) or UNKNOWN_ACTOR


def effects(
    read: list[str] | None = None, written: list[str] | None = None, code: int | None = None
) -> SideEffects | None:
    """Return the side effects of a tool use, or None where it had none that are known."""
    if not read and not written and code is None:
        return None
    return SideEffects(files_read=read or [], files_written=written or [], exit_code=code)


def is_deep(value: Any, limit: int = 100) -> bool:
    """Say whether a JSON value is nested deeper than readers of a trace need to follow."""
    level = [value]
    for _ in range(limit):
        inner = [one.values() if isinstance(one, dict) else one for one in level if _nests(one)]
        if not inner:
            return False
        level = [member for members in inner for member in members]
    return True


def _nests(value: Any) -> bool:
    return isinstance(value, dict | list)


def digest(words: str) -> str:
    """Return the SHA-256 digest of a text, in hexadecimal."""
    return hashlib.sha256(words.encode()).hexdigest()
