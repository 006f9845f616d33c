"""What the head of an HTTP answer says to somebody who fetches a file."""

import email.utils
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be another one when asked again."""

_NUMBER = re.compile(r"[0-9]{1,15}")


def length(response: "httpx2.Response") -> int | None:
    """Return the bytes that an answer brings, if it says so."""
    given = response.headers.get("Content-Length", "")
    return int(given) if _NUMBER.fullmatch(given) else None


def version(response: "httpx2.Response") -> str:
    """Return what `If-Range` may name (RFC 9110): a strong entity tag, a date, or "" if none."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def asked_to_wait(response: "httpx2.Response") -> float | None:
    """Return the seconds after which a server wants to be asked again, if it says so.

    `Retry-After` gives seconds or a date (RFC 9110); the hub gives `t=SECONDS` in `RateLimit`.
    """
    given = response.headers.get("Retry-After", "").strip()
    if _NUMBER.fullmatch(given):
        return float(given)
    if given:
        try:
            return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None
    match = re.search(r";\s*t=(\d{1,15})(?!\d)", response.headers.get("RateLimit", ""))
    return float(match[1]) if match and response.status_code == 429 else None
