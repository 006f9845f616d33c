"""What a server answers, as text for a model."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from apr.tools.output import Capture, Kept


class Answer(Struct, frozen=True):
    """What a call came to: text within bounds, and whether the server calls it a success."""

    kept: Kept
    ok: bool = True

    @property
    def text(self) -> str:
        """The text."""
        return self.kept.text


def answer(result: Mapping[str, Any]) -> Answer:
    """Return the answer that a result of `tools/call`, or one of its form, holds.

    What is no text is named, with its type and size. Structured content counts where there is
    nothing else: servers repeat it as text.
    """
    capture = Capture()
    parts = [part for block in result.get("content", ()) for part in _texts(block)]
    if not parts and "structuredContent" in result:
        parts = [msgspec.json.encode(result["structuredContent"]).decode()]
    capture.feed("\n".join(parts) or "[no output]")
    return Answer(capture.take(), not result.get("isError"))


def _texts(block: Mapping[str, Any]) -> Iterator[str]:
    match block.get("type"):
        case "text":
            yield str(block.get("text", ""))
        case "image" | "audio" as kind:
            yield _unseen(str(block.get("mimeType") or kind), block.get("data"))
        case "resource":
            held = block.get("resource") or {}
            if "text" in held:
                yield str(held["text"])
            else:
                kind = str(held.get("mimeType") or "data")
                yield f"{held.get('uri', '')}: {_unseen(kind, held.get('blob'))}"
        case "resource_link":
            yield f"[resource {block.get('uri', '')}: {block.get('name', '')}]"
        case other:
            yield f"[content of the type {other}: not shown]"


def _unseen(kind: str, data: Any) -> str:
    size = len(data) * 3 // 4 if isinstance(data, str) else 0
    return f"[{kind}, {size:,} bytes: not shown]"
