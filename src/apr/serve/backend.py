"""The one model that all routes ask: `stream` an answer, or `count` the tokens of a prompt.

What a wire's request means, and how an answer is written, is the business of the routes. What
stands between them and the engine is here: admission, slots, and the exact text of past answers.
"""

from collections.abc import AsyncGenerator

from msgspec import Struct

from apr.providers.base import ModelEvent, ProviderError, Request


class Served(Struct, frozen=True, kw_only=True):
    """What is served."""

    model: str
    """Its public name."""
    context: int
    """Tokens that one conversation may have, answer included."""
    template: str | None
    """The model's chat template, in Jinja."""
    vision: bool = False
    """Whether it can be shown images."""
    created: int = 0
    """When it was loaded, in seconds since 1970."""


class Busy(ProviderError):
    """The queue is full: come back in `retry_after` seconds."""


class Client(Struct, frozen=True):
    """Who asks, as far as fairness goes: the address, and a digest of the key."""

    address: str
    key: str


class Backend:
    """The model, to the routes. `info` says what it is."""

    info: Served

    def stream(self, request: Request, client: Client) -> AsyncGenerator[ModelEvent, None]:
        """Ask the model; see `Provider.stream`. Closing the iterator cancels.

        Nothing comes while the request waits for its turn. So a route takes the first event before
        it writes the head of its answer: whatever refuses a request is raised by then.

        Raises:
            Busy: too many wait already.
            ContextOverflow: the prompt is longer than the context.
            ProviderError: the engine failed, or refused what was asked (`invalid`).
        """
        raise NotImplementedError

    async def count(self, request: Request) -> int:
        """Return the number of tokens that the request's prompt comes to.

        Raises:
            ProviderError: as for `stream`.
        """
        raise NotImplementedError
