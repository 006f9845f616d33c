"""A provider that asks again where that may help, and not for ever."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from msgspec import Struct

from apr.agent.events import Notice, PrefillProgress, Retracted, TextDelta, ThinkingDelta
from apr.providers.base import (
    Completion,
    ModelEvent,
    Provider,
    ProviderError,
    Request,
    Unreachable,
)

_FROM_THE_MODEL = (TextDelta, ThinkingDelta, PrefillProgress, Completion)
"""What shows that there is a server: a notice may come from this side."""


class Patience(Struct, frozen=True, kw_only=True):
    """How often a failed request is repeated, and how long is waited before.

    The n-th wait is `first_s * 2**n`, at most `longest_s`, times a random factor between 0.5 and 1,
    so that those whom one server has failed do not come back all at once. A server that says how
    long to wait is given that time, up to `longest_asked_s`: if it asks for more, we give up.
    """

    retries: int = 5
    first_s: float = 0.5
    longest_s: float = 20.0
    longest_asked_s: float = 120.0

    def wait(self, attempt: int, asked: float | None, chance: float) -> float | None:
        """Return the seconds before the retry after `attempt` (from 0) failures; None: no more.

        `chance` is between 0 and 1.
        """
        if attempt >= self.retries or (asked is not None and asked > self.longest_asked_s):
            return None
        backoff = min(self.first_s * 2.0**attempt, self.longest_s) * (0.5 + chance / 2)
        return max(backoff, asked or 0.0)


class Retrying:
    """Asks `inner` again when it fails in a way that another attempt may mend.

    An answer that breaks off is void, whatever of it was shown: none of its calls has run, for
    calls come with the whole answer only. A server that has answered before may be starting anew;
    one that never was there is not waited for.
    """

    def __init__(
        self,
        inner: Provider,
        patience: Patience | None = None,
        *,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self.inner = inner
        self._patience = patience or Patience()
        self._chance = chance or _by_lot
        self._answered = False

    @property
    def context(self) -> int | None:
        """As the inner provider has it."""
        return self.inner.context

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Ask the model; see `Provider.stream`.

        Raises:
            ProviderError: it failed for good, or too often: then the message says how often.
        """
        attempt = 0
        while True:
            shown = False
            try:
                async with aclosing(self.inner.stream(request)) as events:
                    async for event in events:
                        shown |= isinstance(event, TextDelta | ThinkingDelta)
                        self._answered |= isinstance(event, _FROM_THE_MODEL)
                        yield event
                return
            except ProviderError as error:
                seconds = self._seconds(error, attempt)
                if seconds is None:
                    raise _for_good(error, attempt) from error
                attempt += 1
                if shown:
                    yield Retracted()
                yield Notice(f"{error} Asking again in {seconds:.1f} s.")
            await asyncio.sleep(seconds)

    def _seconds(self, error: ProviderError, attempt: int) -> float | None:
        if not error.retryable or (isinstance(error, Unreachable) and not self._answered):
            return None
        return self._patience.wait(attempt, error.retry_after, self._chance())

    async def close(self) -> None:
        """Close the inner provider."""
        await self.inner.close()


def _for_good(error: ProviderError, attempts: int) -> ProviderError:
    """Return the error that ends the run: what it was, and how often it was."""
    if not attempts or not error.retryable:
        return error
    return ProviderError(f"{error} That was attempt {attempts + 1}; giving up.")


def _by_lot() -> float:
    import random

    return random.random()  # noqa: S311 - no secret hangs on how long we wait
