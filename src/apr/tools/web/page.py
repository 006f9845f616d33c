"""What a server has sent, as text: by what it says that it is, and by what it looks like."""

import codecs
import re
from typing import Literal

from apr.tools.documents import Extract, extract
from apr.tools.web.client import Answer

_PLAIN = re.compile(
    r"text/.+|application/(?:.+\+)?(?:json|xml|yaml|toml)"
    r"|application/(?:x-)?(?:ndjson|jsonlines|javascript|ecmascript|yaml|sh|httpd-php)"
)
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_PDF = frozenset({"application/pdf", "application/x-pdf"})
_META = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_SNIFFED = 1024
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7"}
)
"""What Python can decode and no page is written in; some take time that grows with the square."""


async def read(answer: Answer) -> Extract:
    """Return the text of an answer; without one, the `problem` says why."""
    media_type, charset = content_type(answer.headers.get("content-type", ""))
    kind = kind_of(media_type, answer.body)
    if kind is None:
        size = f"{len(answer.body):,} bytes"
        return Extract("", f"it is {media_type or 'of an unknown type'} ({size}), which is no text")
    if kind == "pdf":
        return await extract(answer.body, "pdf")
    text = decode(answer.body, charset)
    if kind == "text" or not text.strip():
        return Extract(text)
    return await extract(text.encode(errors="replace"), "html")


def content_type(header: str) -> tuple[str, str]:
    """Return media type and charset of a Content-Type, in lower case; empty where it has none."""
    if not header:
        return "", ""
    from email.message import Message

    message = Message()
    message["Content-Type"] = header.replace("\n", " ").replace("\r", " ")
    return message.get_content_type(), (message.get_content_charset() or "")


def kind_of(media_type: str, body: bytes) -> Literal["html", "pdf", "text"] | None:
    """Return how to read a body, None for not at all. It is looked at where nobody says."""
    if media_type in _HTML:
        return "html"
    if media_type in _PDF:
        return "pdf"
    if _PLAIN.fullmatch(media_type):
        return "text"
    if media_type not in {"", "application/octet-stream", "binary/octet-stream"}:
        return None
    start = body[:_SNIFFED].lstrip().lower()
    if start.startswith(b"%pdf-"):
        return "pdf"
    if start.startswith((b"<!doctype html", b"<html")):
        return "html"
    marked = any(body.startswith(mark) for mark in _MARKS)
    return None if b"\0" in body[:_SNIFFED] and not marked else "text"


def decode(body: bytes, charset: str) -> str:
    """Return bytes as text: by their mark, by what the server says, by what the page says itself.

    Else they are UTF-8; what is not even that is read as Windows-1252, as browsers do.
    """
    marked = next((name for mark, name in _MARKS.items() if body.startswith(mark)), "")
    found = _META.search(body[:_SNIFFED])
    said = found[1].decode("ascii") if found else ""
    for name in filter(None, (marked, charset, said)):
        try:
            if codecs.lookup(name).name not in _NO_CHARSETS:
                return body.decode(name, "replace")
        except (LookupError, ValueError):
            continue
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def status_line(status: int) -> str:
    """Return a status as people know it: `404 Not Found`. Not in the server's own words."""
    from http import HTTPStatus

    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
