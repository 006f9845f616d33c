"""Tool calls that arrive in pieces, put together.

The format gives every call an index, its first piece an id and a name, the others more text of the
arguments. Servers do otherwise: no ids, an index used twice or left out, the whole call in one
piece, arguments as an object, names repeated in every piece.
"""

from typing import Any

import msgspec
from msgspec import Struct


class FunctionDelta(Struct, frozen=True):
    """A piece of a function's name and arguments."""

    name: str | None = None
    arguments: Any = None


class CallDelta(Struct, frozen=True):
    """A piece of a call."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class PartialCall(Struct):
    """A call as far as it has come."""

    index: int | None
    id: str
    name: str = ""
    arguments: str = ""


class PartialCalls:
    """All calls of one answer, in the order in which they began."""

    def __init__(self, tools: frozenset[str]) -> None:
        self.calls: list[PartialCall] = []
        self._tools = tools

    def add(self, delta: CallDelta) -> None:
        """Take a piece."""
        function = delta.function or FunctionDelta()
        name = function.name or ""
        call = self._find(delta, name)
        if call is None:
            call = PartialCall(delta.index, delta.id or "")
            self.calls.append(call)
        call.id = call.id or delta.id or ""
        if name != call.name and not call.arguments:
            call.name += name
        call.arguments += _text(function.arguments)

    def _find(self, delta: CallDelta, name: str) -> PartialCall | None:
        """Return the call that the piece belongs to, None if it begins one."""
        if delta.id:
            for known in self.calls:
                if known.id == delta.id:
                    return known
        same_index = (c for c in reversed(self.calls) if delta.index in (None, c.index))
        call = next(same_index, None)
        if call is None or (delta.id and call.id):
            return None
        begins = name and call.name and (_whole(call.arguments) or call.name in self._tools)
        return None if begins and (name != call.name or _whole(call.arguments)) else call


def _text(arguments: Any) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _whole(arguments: str) -> bool:
    """Whether the text is a complete JSON object."""
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
