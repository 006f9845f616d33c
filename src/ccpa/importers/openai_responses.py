"""Items of OpenAI's Responses API, as Codex and mini-swe-agent keep them."""

import re
from typing import Any

from msgspec import Struct

from ccpa.importers.values import JsonObject, exit_code, milliseconds, obj, objects, rendered, text

_HEADER = 500
_EXIT_CODE = re.compile(r"(?:Exit code: |Process exited with code )(-?\d{1,9})\b")
_WALL_TIME = re.compile(r"Wall time: (\d{1,9}(?:\.\d{1,9})?) seconds")


class Output(Struct, frozen=True):
    """What a call came to: the text for the model, and what it says of the run."""

    content: str
    exit_code: int | None
    duration_ms: int | None
    succeeded: bool | None


def reasoning(item: JsonObject) -> str | None:
    """Return the text of a reasoning item; encrypted reasoning has none."""
    parts = [*objects(item.get("summary")), *objects(item.get("content"))]
    words = [one for part in parts if (one := text(part.get("text")))]
    return "\n\n".join(words) or None


def output(value: Any) -> Output:
    """Return what a call's output says: a string, a list of parts, or `{content, success}`.

    The exit code stands in a header of the text, or in JSON that the text is.
    """
    flag = obj(value).get("success")
    content = rendered(value.get("content")) if isinstance(value, dict) else rendered(value)
    header, _, _ = content[:_HEADER].partition("\nOutput:")
    code, took = _EXIT_CODE.search(header), _WALL_TIME.search(header)
    return Output(
        content,
        exit_code(int(code[1])) if code else None,
        milliseconds(float(took[1])) if took else None,
        flag if isinstance(flag, bool) else None,
    )
