"""Stops an answer that repeats itself without end, long before it has used all its tokens."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from apr.agent.events import TextDelta, ThinkingDelta
from apr.providers.base import ModelEvent, Provider, ProviderError, Request

LOOKED_AT = 4096
"""Characters at the end of the text that must repeat all over."""
LEAST_TIMES = 16
"""How often at least the same must come."""
_EVERY = 256
"""Characters after which it is looked again."""


class Unlooping:
    """Passes on what `inner` says, and ends it where the text only repeats itself.

    Looking takes time in proportion to `LOOKED_AT`, once in `_EVERY` characters.
    """

    def __init__(self, inner: Provider) -> None:
        self.inner = inner

    @property
    def context(self) -> int | None:
        """As the inner provider has it."""
        return self.inner.context

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Ask the model; see `Provider.stream`.

        Raises:
            ProviderError: it failed, or its answer repeats itself.
        """
        tail, new = "", 0
        async with aclosing(self.inner.stream(request)) as events:
            async for event in events:
                yield event
                if not isinstance(event, TextDelta | ThinkingDelta):
                    continue
                tail = (tail + event.text)[-LOOKED_AT:]
                new += len(event.text)
                if new >= _EVERY:
                    new = 0
                    if period := period_of(tail):
                        raise ProviderError(
                            "The model repeats itself without end "
                            f"({tail[-period:].strip()[:60]!r}, over and over): it was stopped."
                        )

    async def close(self) -> None:
        """Close the inner provider."""
        await self.inner.close()


def period_of(text: str) -> int:
    """Return the length of what `text` repeats from its start to its end; 0 if it does not.

    The text must have `LOOKED_AT` characters, and the same come in it `LEAST_TIMES` at least. White
    space alone counts.
    """
    if len(text) < LOOKED_AT:
        return 0
    periods = range(1, len(text) // LEAST_TIMES + 1)
    return next((period for period in periods if text.startswith(text[period:])), 0)
