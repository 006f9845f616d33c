"""How much one run may take, and what it means to have taken all."""

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct

from apr.agent.session import Session

MAX_TURNS = "max_turns"
MAX_TOKENS = "max_tokens"
TIMEOUT = "timeout"
TIME_IS_UP = f"{TIMEOUT}: the session has used the time it was given"


class Limits(Struct, frozen=True, kw_only=True):
    """None for no limit. Subagents have those of the session that they work for."""

    turns: int | None = None
    """Answers of the model to one prompt."""
    tokens: int | None = None
    """Tokens of the whole session that the model has evaluated or generated, cached ones apart."""
    deadline: float | None = None
    """When the session ends, on the clock of `time.monotonic`."""


class LimitReached(Exception):
    """The model wanted to go on. `kind` is one of the names above."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def check(limits: Limits, answers: int, session: Session) -> None:
    """See that another answer may be asked for.

    Raises:
        LimitReached: naming the limit.
    """
    if answers == limits.turns:
        raise LimitReached(
            MAX_TURNS, f"{MAX_TURNS}: the task was not done after {answers} turns of the model"
        )
    if limits.tokens is not None and session.spent >= limits.tokens:
        used = f"{MAX_TOKENS}: the session has used {session.spent:,} tokens"
        raise LimitReached(MAX_TOKENS, used)
    if limits.deadline is not None and time.monotonic() >= limits.deadline:
        raise LimitReached(TIMEOUT, TIME_IS_UP)


def alarm(limits: Limits, ring: Callable[[str], None]) -> Callable[[], None]:
    """Have `ring` called at the deadline, with what is to be said then; return what ends that."""
    if limits.deadline is None:
        return lambda: None
    return asyncio.get_running_loop().call_at(limits.deadline, ring, TIME_IS_UP).cancel
