"""One answer of a model: asked for, timed, and put together."""

import time
from collections.abc import Callable
from contextlib import aclosing

from msgspec import Struct

from apr.agent.events import TextDelta, ThinkingDelta
from apr.errors import AprError
from apr.providers.base import (
    Completion,
    ContextOverflow,
    ModelEvent,
    Provider,
    ProviderError,
    Request,
    Speed,
)
from ccpa.trace import TextBlock, ThinkingBlock


class AskingFailed(AprError):
    """The model gave no answer. The message is the provider's."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(str(error))
        wrong = error.invalid or isinstance(error, ContextOverflow)
        self.exit_code = 2 if wrong else 1


class Answered(Struct, frozen=True, kw_only=True):
    """An answer and how long it took, in seconds on our side of the wire."""

    completion: Completion
    first_token_s: float
    """From asking to the first piece of text or reasoning; to the end where there was none."""
    total_s: float

    @property
    def text(self) -> str:
        """What it says, reasoning left out."""
        blocks = self.completion.blocks
        return "".join(block.text for block in blocks if isinstance(block, TextBlock))

    @property
    def thinking(self) -> str:
        """The reasoning before it."""
        blocks = self.completion.blocks
        return "".join(block.thinking for block in blocks if isinstance(block, ThinkingBlock))

    @property
    def speed(self) -> Speed:
        """The server's own account, or ours where it gives none."""
        usage = self.completion.usage
        return self.completion.speed or Speed(
            prefill_tokens=max(0, usage.input_tokens - usage.cache_read_tokens),
            prefill_s=self.first_token_s,
            output_tokens=usage.output_tokens,
            output_s=self.total_s - self.first_token_s,
        )


async def ask(
    provider: Provider, request: Request, show: Callable[[ModelEvent], None] | None = None
) -> Answered:
    """Ask, pass every event on to `show`, and return the whole.

    Raises:
        ProviderError: the server failed or refused.
    """
    began, first = time.perf_counter(), None
    async with aclosing(provider.stream(request)) as events:
        async for event in events:
            if first is None and isinstance(event, TextDelta | ThinkingDelta):
                first = time.perf_counter()
            if show is not None:
                show(event)
            if isinstance(event, Completion):
                ended = time.perf_counter()
                return Answered(
                    completion=event,
                    first_token_s=(first or ended) - began,
                    total_s=ended - began,
                )
    raise ProviderError("The server gave no answer.")


def per_second(tokens: int, seconds: float) -> float | None:
    """Return a speed; None where nothing was done, or in no time."""
    return tokens / seconds if tokens and seconds > 0 else None
