"""What was asked of the server: one entry a request, without secrets."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

REMOVED = "(removed)"

_SECRET = re.compile(r"auth|key|token|secret|cookie|password|credential", re.IGNORECASE)

Outcome = Literal["turn", "side", "count_tokens", "refused", "fault", "malformed", "other"]


class Exchange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request, and what it got.

    Args:
        number: counted from 1 over all requests.
        ts: when it had arrived in full: RFC 3339, UTC.
        path: without the query, which may hold a key.
        size: bytes of the body.
        headers: names in lower case; the values of those that may hold secrets are removed.
        status: the answer's.
        outcome: a `turn` of the script, the answer to a `side` request, `count_tokens`; or
            `refused` (a call too many), a `fault` that was asked for, `malformed` (no request of
            the wire), or `other` (lists of models, unknown paths).
        conversation: where it is known.
        turn: the number of the conversation's turn, from 0.
        detail: the error's message, or the kind of side request.
    """

    number: int
    ts: str
    method: str
    path: str
    size: int
    headers: dict[str, str]
    status: int
    outcome: Outcome
    conversation: str | None = None
    turn: int | None = None
    detail: str | None = None


def now() -> str:
    """Return the time as RFC 3339, UTC, in milliseconds."""
    return datetime.now(tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with the values removed that may be secrets: keys, tokens, cookies."""
    return {name: REMOVED if _SECRET.search(name) else value for name, value in headers.items()}
