"""How sure it is that something is a call, before and after it has been read."""

from collections.abc import Mapping, Sequence
from enum import Enum, auto

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons
from apr.providers.toolcalls.lexer import ENDS, Token
from apr.providers.toolcalls.pieces import INVALID, Call

WORDS = frozenset({"mistral", "tools", "list", "nemotron"})
"""Forms whose marks are words like any other, not tokens of their own."""


class Trial(Enum):
    """What a call that is being read must turn out to be, to be one."""

    NONE = auto()
    """Anything: it is a call, or an attempt at one that the model is told of."""
    SHAPED = auto()
    """The call of an offered tool, or in the shape of a call with arguments."""
    TOOL = auto()
    """The call of an offered tool."""
    LAST = auto()
    """The call of an offered tool with nothing behind it; sound, if there is text before it."""


def passes(
    trial: Trial,
    calls: Sequence[Call],
    tools: Mapping[str, ToolSpec],
    rest: Sequence[Token],
    *,
    alone: bool,
) -> bool:
    """Whether what was read is a call.

    Args:
        trial: what it must be.
        calls: what was read.
        tools: those that are offered.
        rest: the tokens behind it, as far as they are known.
        alone: there is no text before it.
    """
    known = bool(calls) and all(call.name in tools for call in calls)
    match trial:
        case Trial.NONE:
            return True
        case Trial.SHAPED:
            return known or any(call.name != INVALID and call.input for call in calls)
        case Trial.TOOL:
            return known
        case Trial.LAST:
            last = all(token.blank or token.kind in ENDS for token in rest)
            sound = all(call.reason in (None, reasons.CUT_OFF) for call in calls)
            return known and last and (sound or alone)
