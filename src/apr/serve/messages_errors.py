"""Refusals as the Messages API tells them: a status, a kind of error, the path of what is wrong.

As https://platform.claude.com/docs/en/api/errors describes it. A message about a field begins with
the field's path, with dots and indices: `messages.2.content.0.text: Field required`.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from apr.providers.base import ContextOverflow, ProviderError
from apr.serve.backend import Busy

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_MISSING = re.compile(r"Object missing required field `(.*)`")
_INDEX = re.compile(r"\[(\d+)\]")
_COUNTED = re.compile(r"\((\d+) tokens\)")
"""How the engine says how long a prompt is."""
_SHOWN = 200

Read = TypeVar("Read")


class Refusal(Exception):
    """A request that is not answered, and what the client is told instead.

    `status` is that of HTTP; `retry_after` the seconds after which asking again may help; `details`
    what a client can act on without reading the message.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.details = details


class Invalid(Refusal):
    """The field at `path` is not as it must be."""

    def __init__(self, path: str, problem: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(f"{path}: {problem}", details=details)
        self.problem = problem


def envelope(refused: Refusal, request_id: str) -> dict[str, Any]:
    """Return the body of an error: also of one in the middle of a stream."""
    kind = _KINDS.get(
        refused.status, "invalid_request_error" if refused.status < 500 else "api_error"
    )
    error: dict[str, Any] = {"type": kind, "message": str(refused)}
    if refused.details:
        error["details"] = refused.details
    return {"type": "error", "error": error, "request_id": request_id}


def new_request_id() -> str:
    """Return an id for a request; it goes into the header `request-id` and into errors."""
    return f"req_{secrets.token_hex(12)}"


def refusal(error: ProviderError, *, context: int) -> Refusal:
    """Return what a client is told of a failure of a model that takes `context` tokens."""
    match error:
        case Busy():
            return Refusal(str(error), status=529, retry_after=error.retry_after)
        case ContextOverflow():
            # Agents recognise these words, and compact their history.
            counted = _COUNTED.search(error.said or "")
            said = f"{counted[1]} tokens > {context} maximum" if counted else error.said
            return Refusal(f"prompt is too long: {said or error}")
        case _ if error.said is not None:
            return Refusal(error.said)  # the rest of the message is about our own engine
        case _:
            return Refusal(str(error), status=500)


def read(value: Any, kind: type[Read], path: str) -> Read:
    """Return a decoded JSON value as a `kind`, a struct without arrays of structs in it.

    Raises:
        Invalid: it is none; the path leads into it.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        inside = _INDEX.sub(r".\1", where.rstrip("`")).lstrip(".")
        place = _join(path, inside)
        if missing := _MISSING.fullmatch(problem):
            place, problem = _join(place, missing[1]), "Field required"
        raise Invalid(place or "body", problem) from None


def read_tagged(
    value: Any, kinds: Mapping[str, type[Read]], path: str, *, tag: str | None = None
) -> Read:
    """Return an object as the kind that its `type` names; `tag` is its type where it has none.

    Raises:
        Invalid: it is no object, or of another type, or not as its type must be.
    """
    if not isinstance(value, dict):
        raise Invalid(path, f"Expected `object`, got {shown(value)}")
    named = value.get("type", tag)
    if named is None:
        raise Invalid(f"{path}.type", "Field required")
    if not isinstance(named, str) or named not in kinds:
        raise Invalid(f"{path}.type", f"{shown(named)} is none of: {', '.join(kinds)}")
    return read(value, kinds[named], path)


def items(value: Any, path: str) -> list[tuple[Any, str]]:
    """Return the items of an array, each with its own path.

    Raises:
        Invalid: it is no array.
    """
    if not isinstance(value, list):
        raise Invalid(path, f"Expected `array`, got {shown(value)}")
    return [(item, f"{path}.{index}") for index, item in enumerate(value)]


def shown(value: Any) -> str:
    """Return a value of the client's for a message: as JSON, on one line, bounded."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path and field else path or field
