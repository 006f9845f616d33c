"""From a prompt's blocks to what the agent is asked. Pure."""

import base64
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from acp import schema

from apr.acp.folders import path_of
from apr.agent.prompt import Prompt
from apr.providers.base import Image
from apr.tools.images import LARGEST, kind_of
from apr.ui.terminal import line

_WIDTH = 80
"""Characters of a title."""


class NotTaken(ValueError):
    """Something that was not offered to be taken. The message says what, and what to do."""


def prompt_of(blocks: Sequence[Any], *, sees: bool) -> Prompt:
    """Return a prompt's blocks as one: what a person wrote, and what the editor adds to it.

    `sees` is whether the model can be shown pictures.

    Raises:
        NotTaken: the model cannot be given one of them, or there is none.
    """
    parts: list[str] = []
    attached: list[str] = []
    images: list[Image] = []
    for block in blocks:
        match block:
            case schema.TextContentBlock(text=text):
                parts.append(text)
            case schema.ImageContentBlock(data=data):
                images.append(_picture(data, sees=sees))
            case schema.ResourceContentBlock(uri=uri, name=name):
                parts.append(_mention(uri, name))
            case schema.EmbeddedResourceContentBlock(
                resource=schema.TextResourceContents(uri=uri, text=text)
            ):
                attached.append(_file(path_of(uri) or uri, text))
            case schema.EmbeddedResourceContentBlock(
                resource=schema.BlobResourceContents(uri=uri, mime_type=kind, blob=blob)
            ):
                if not (kind or "").startswith("image/"):
                    raise NotTaken(f"{uri} is neither text nor a picture ({kind or 'of no type'})")
                images.append(_picture(blob, sees=sees))
            case schema.AudioContentBlock():
                raise NotTaken("the model cannot hear: write what you want to say")
            case _:
                raise NotTaken(f"a block of the type {type(block).__name__} is not understood")
    if not any(part.strip() for part in parts) and not attached and not images:
        raise NotTaken("the prompt is empty")
    return Prompt("\n\n".join(parts), tuple(images), attached="\n\n".join(attached))


def _file(path: str, text: str) -> str:
    """Return a file as the model is shown it: it ends where we say, whatever stands in it."""
    name, inner = line(path).replace('"', "'"), text.replace("</file", "< /file")
    return f'<file path="{name}">\n{inner}\n</file>'


def _picture(data: str, *, sees: bool) -> Image:
    """Return a picture that is one: a history with another would be refused ever after."""
    if not sees:
        raise NotTaken("the model cannot be shown pictures: start apr acp with --vision if it can")
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise NotTaken(f"a picture is not base64: {error}") from None
    kind = kind_of(content)
    if kind is None:
        raise NotTaken("a picture is none of PNG, JPEG, GIF and WebP")
    if len(content) > LARGEST:
        raise NotTaken(f"a picture has {len(content):,} bytes; {LARGEST:,} are the most")
    return Image(kind, data)


def _mention(uri: str, name: str) -> str:
    """Return how a person names what the editor links to: a file as `@path`, read as theirs is.

    Editors put the lines that are selected behind a `#`.
    """
    path = path_of(uri)
    if path is None:
        return f"[{line(name)}]({line(uri)})"
    path, lines = line(path), line(uri.partition("#")[2])
    quoted = f'@"{path}"' if any(letter.isspace() for letter in path) else f"@{path}"
    return f"{quoted} (lines {lines.removeprefix('L')})" if lines else quoted


def title_of(prompt: str) -> str:
    """Return what a session is called that begins with a prompt: its first line, cut."""
    first = prompt.strip().partition("\n")[0]
    if first.startswith('<file path="'):
        first = PurePosixPath(first.removeprefix('<file path="').removesuffix('">')).name
    return first if len(first) <= _WIDTH else f"{first[: _WIDTH - 1]}…"
