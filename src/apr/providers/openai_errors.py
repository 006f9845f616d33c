"""What an OpenAI-like server says when it refuses -> an error that says what to do."""

from collections.abc import Mapping
from typing import Any

import msgspec

from apr.providers.base import ContextOverflow, ProviderError

LARGEST_BODY = 64 * 1024
"""Bytes of an error's body that are read."""

_SHOWN = 400
_OVERFLOW = (
    "exceed_context_size",
    "context_length_exceeded",
    "maximum context length",
    "exceeds the available context size",
    "exceeds the context",
    "context window",
)
# What llama.cpp finds wrong with a request, and reports as a fault of its own (500).
_FAULTY = (
    "json schema error",
    "failed to parse grammar",
    "input is not supported",
    "too large to process",
    "jinja exception",
    "error rendering prompt",
)
_BUSY = frozenset({408, 409, 425, 429})


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, *, where: str, model: str
) -> ProviderError:
    """Return the error for an answer with a status other than 200."""
    said = _said(headers, body)
    if 300 <= status < 400:
        target = _printable(headers.get("location", "somewhere else"))
        return ProviderError(f"{where} redirects to {target}. Name that with --base-url.")
    if status in (401, 403):
        return ProviderError(
            f"{where} wants another API key than it got ({status}: {said}). Put the key into an "
            "environment variable and name that with --api-key-env."
        )
    if status == 404:
        return ProviderError(
            f"{where} has no such model or no such path (404: {said}). The model asked for is "
            f"{model!r}; {where}/models lists those that exist. If the path is wrong, give the one "
            "that ends in /v1 with --base-url."
        )
    if _overflows(said):
        return _overflow(where, said)
    faulty = any(sign in said.lower() for sign in _FAULTY)
    if status in _BUSY or (status >= 500 and not faulty):
        return ProviderError(
            f"{where} cannot answer now ({status}: {said}).",
            retryable=True,
            retry_after=_seconds(headers.get("retry-after", "")),
        )
    code = "" if faulty else f"{status}: "  # that is no 500, whatever llama.cpp calls it
    return ProviderError(f"{where} refused the request ({code}{said}).", said=said)


def compressed(encoding: str, where: str) -> ProviderError:
    """Return the error that an answer from `where` in a content encoding stands for."""
    return ProviderError(
        f"{where} compresses its answers ({encoding!r}), which it is asked not to do. "
        "Turn compression off there, or in the proxy before it."
    )


def web_page(where: str) -> ProviderError:
    """Return the error for an answer that is made for a browser."""
    return ProviderError(
        f"{where} answers with a web page, not as a model's server. Is --base-url right? "
        "It usually ends in /v1."
    )


def in_stream(error: Any, where: str) -> ProviderError:
    """Return the error for an error that was sent in the middle of an answer."""
    said = _printable(_message(error))
    if _overflows(said):
        return _overflow(where, said)
    code = error.get("code") if isinstance(error, dict) else None
    fatal = isinstance(code, int) and 400 <= code < 500 and code not in _BUSY
    return ProviderError(
        f"{where} broke off its answer: {said}.",
        retryable=not fatal,
        said=said if fatal else None,
    )


def _overflow(where: str, said: str) -> ContextOverflow:
    return ContextOverflow(
        f"The conversation is longer than the model's context ({where}: {said}). Start a new "
        "session, or load the model with a larger context.",
        said=said,
    )


def _overflows(said: str) -> bool:
    return any(sign in said.lower() for sign in _OVERFLOW)


def _said(headers: Mapping[str, str], body: bytes) -> str:
    """Return the server's own words, on one line and bounded."""
    if "text/html" in headers.get("content-type", "") or body.lstrip()[:1] == b"<":
        return "a web page"
    try:
        return _printable(_message(msgspec.json.decode(body)))
    except (msgspec.DecodeError, RecursionError):
        return _printable(body.decode("utf-8", "replace")) or "no reason given"


def _message(error: Any) -> str:
    """Find the message in the shapes that servers use; the type too, where there is one."""
    if isinstance(error, dict):
        inner = error.get("error")
        if inner:
            return _message(inner)
        for key in ("message", "detail", "msg"):
            if error.get(key):
                kind = error.get("type") or error.get("code")
                return f"{error[key]} [{kind}]" if isinstance(kind, str) else str(error[key])
    return str(error)


def _printable(text: str) -> str:
    """Return text of a stranger without control characters (a terminal would obey them), cut."""
    line = "".join(c if c.isprintable() else " " for c in text[: 4 * _SHOWN])
    line = " ".join(line.split()).rstrip(".")
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"


def _seconds(retry_after: str) -> float | None:
    """Read Retry-After where it is a number; as a date it is not used by model servers."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
