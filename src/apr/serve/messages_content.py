"""Documents, search results, images and tool results -> what a model can be shown of them."""

import base64
import binascii
import html
import re
from typing import Any

import msgspec

from apr.providers.base import Image
from apr.serve import messages_schema as schema
from apr.serve.messages_errors import Invalid, items, read_tagged, shown

PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp")

_IMAGE_SOURCES = {"base64": schema.Base64, "url": schema.Url, "file": schema.File}
_DOCUMENT_SOURCES = {
    "text": schema.Plain,
    "content": schema.Content,
    "base64": schema.Base64,
    "url": schema.Url,
    "file": schema.File,
}
_TEXT: dict[str, Any] = {"text": schema.Text}
_TEXT_OR_IMAGE: dict[str, Any] = {"text": schema.Text, "image": schema.Image}
_RESULTS: dict[str, Any] = {
    "text": schema.Text,
    "image": schema.Image,
    "document": schema.Document,
    "search_result": schema.SearchResult,
    "tool_reference": schema.ToolReference,
    "browser_state": schema.BrowserState,
}
_FAILURE_SHOWS = re.compile(r"\s*(?:<\w*error>|error|exit code)", re.IGNORECASE)


class CannotShow(Invalid):
    """The block is right, but this model cannot be shown it."""


def text_of(content: Any, path: str, *, kinds: dict[str, Any] = _TEXT) -> str:
    """Return a text that may come as a string or as blocks.

    Raises:
        Invalid: it is neither.
        CannotShow: there is an image among the blocks.
    """
    if isinstance(content, str):
        return content
    texts = []
    for value, place in items(content, path):
        block = read_tagged(value, kinds, place)
        if isinstance(block, schema.Image):
            raise CannotShow(place, "Images in documents cannot be shown to this model")
        texts.append(block.text)
    return "\n\n".join(texts)


def image(block: schema.Image, path: str, *, vision: bool) -> Image:
    """Return a picture.

    Raises:
        Invalid: it is none.
        CannotShow: the model is blind, or the picture is elsewhere.
    """
    source = _source(block.source, _IMAGE_SOURCES, f"{path}.source")
    if source.media_type not in PICTURES:
        expected = ", ".join(PICTURES)
        raise Invalid(
            f"{path}.source.media_type", f"{shown(source.media_type)} is none of: {expected}"
        )
    _decoded(source.data, f"{path}.source.data")
    if not vision:
        raise CannotShow(path, "This model cannot see images")
    return Image(source.media_type, source.data)


def document(block: schema.Document, path: str) -> str:
    """Return a document as text, between tags that name it.

    Raises:
        Invalid: it is none.
        CannotShow: it is elsewhere, or a PDF that cannot be read.
    """
    source = _source(block.source, _DOCUMENT_SOURCES, f"{path}.source")
    match source:
        case schema.Plain(data):
            text = data
        case schema.Content(content):
            text = text_of(content, f"{path}.source.content", kinds=_TEXT_OR_IMAGE)
        case schema.Base64(media_type, data):
            if media_type != "application/pdf":
                raise Invalid(
                    f"{path}.source.media_type", f"{shown(media_type)} is not application/pdf"
                )
            text = _pdf(_decoded(data, f"{path}.source.data"), f"{path}.source.data")
        case _:
            raise AssertionError(source)
    return _tagged("document", text, title=block.title, context=block.context)


def search_result(block: schema.SearchResult, path: str) -> str:
    """Return a search result as text, between tags that name its source.

    Raises:
        Invalid: it is none.
    """
    text = text_of(block.content, f"{path}.content")
    return _tagged("search_result", text, source=block.source, title=block.title)


def result(block: schema.ToolResult, path: str, *, vision: bool) -> tuple[str, list[Image]]:
    """Return what a call came to: its text, and the images in it. What cannot be shown is named.

    The agent did not choose to show an image: a tool has returned one. To refuse it would end the
    conversation for good, since it stays in the history.

    Raises:
        Invalid: it is no result.
    """
    images: list[Image] = []
    text = block.content or ""
    if isinstance(text, list):
        places = items(text, f"{path}.content")
        text = "\n".join(_part(part, place, images, vision=vision) for part, place in places)
    if block.is_error and not _FAILURE_SHOWS.match(text):
        text = f"Error: {text}" if text else "Error"
    return text, images


def server_result(block: schema.ServerToolResult) -> str:
    """Return what a call that the vendor has run came to, as text."""
    if isinstance(block.content, str):
        return block.content
    return msgspec.json.encode(block.content).decode()


def _part(value: Any, path: str, images: list[Image], *, vision: bool) -> str:
    part: Any = read_tagged(value, _RESULTS, path)
    try:
        match part:
            case schema.Image():
                images.append(image(part, path, vision=vision))
                return f"[image {len(images)}]"
            case schema.Document():
                return document(part, path)
            case schema.SearchResult():
                return search_result(part, path)
            case schema.ToolReference(name):
                return f"[the tool {name}]"
            case schema.BrowserState(tabs):
                return msgspec.json.encode(tabs).decode()
            case _:
                return str(part.text)
    except CannotShow as reason:
        return f"[{value['type']} left out: {reason.problem}]"


def _source(value: Any, kinds: dict[str, Any], path: str) -> Any:
    source = read_tagged(value, kinds, path)
    match source:
        case schema.Url():
            raise CannotShow(
                f"{path}.type", "This server opens no connections. Send the bytes, as base64"
            )
        case schema.File():
            raise CannotShow(
                f"{path}.type", "This server keeps no files. Send the bytes, as base64"
            )
    return source


def _decoded(data: str, path: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(path, "This is not base64") from None


def _pdf(data: bytes, path: str) -> str:
    """Return the text of a PDF, page by page, as `Read` does: by a process of its own, in bounds.

    It is waited for: requests are read in threads, which have no event loop.
    """
    import asyncio

    from apr.tools.documents import extract

    found = asyncio.run(extract(data, "pdf"))
    if not found.text:
        raise CannotShow(path, f"This PDF cannot be read: {found.problem}")
    return f"{found.text}\n[{found.problem}]" if found.problem else found.text


def _tagged(tag: str, text: str, **attributes: str | None) -> str:
    named = "".join(
        f' {name}="{html.escape(value)}"' for name, value in attributes.items() if value
    )
    return f"<{tag}{named}>\n{text}\n</{tag}>"
