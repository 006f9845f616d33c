"""How values are named and shown in messages: briefly, whatever a hostile trace holds."""

import json
from collections.abc import Iterable
from typing import Any

_SHOWN = 60


def quoted(text: str) -> str:
    """Return text in quotes, cut short, with half surrogate pairs spelled out."""
    short = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return json.dumps(short, ensure_ascii=False).encode(errors="backslashreplace").decode()


def shown(value: Any) -> str:
    """Return a JSON value as a reader knows it; of arrays and objects only the type."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict | list):
        return type_name(value)
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def type_name(value: Any) -> str:
    """Return what JSON calls a value's type, as a noun with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return json.dumps(value)
        case dict():
            return "an object"
        case list():
            return "an array"
        case str():
            return "a string"
        case int():
            return "an integer"
        case _:
            return "a number with a fraction or an exponent"


def any_of(allowed: Iterable[object]) -> str:
    """Return the values that are allowed, as the end of "must be"."""
    names = [str(one) for one in allowed]
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"
