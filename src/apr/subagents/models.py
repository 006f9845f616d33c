"""The models that subagents work with beside the session's: each is opened once, when it is needed.

The models that only their vendor serves, and their aliases, stand for the session's.
"""

import asyncio
from collections.abc import Callable

from apr.errors import AprError
from apr.providers.base import Provider, ProviderError
from apr.providers.repeating import Unlooping
from apr.providers.retrying import Retrying

_THE_SESSIONS = frozenset({"", "inherit", "default", "best", "sonnet", "opus", "haiku", "opusplan"})


def own(written: str | None) -> str | None:
    """Return the name of the model that is meant; None for the session's."""
    name = (written or "").strip()
    plain = name.casefold().partition("[")[0]  # sonnet[1m]
    return None if plain in _THE_SESSIONS or plain.startswith("claude-") else name


class Models:
    """The models of one session's subagents.

    Args:
        open_model: opens a model by its name. It may take a while.
    """

    def __init__(self, open_model: Callable[[str], tuple[Provider, str]]) -> None:
        self._open_model = open_model
        self._opened: dict[str, Provider] = {}
        self._one_at_a_time = asyncio.Lock()

    async def get(self, name: str) -> Provider:
        """Return the model of this name.

        Raises:
            AprError: it is not to be had here.
        """
        async with self._one_at_a_time:
            if name not in self._opened:
                provider, _ = await asyncio.to_thread(self._open_model, name)
                if others := await _others(provider, name):
                    await provider.close()
                    raise AprError(f"the server has no model {name!r}. It has: {', '.join(others)}")
                self._opened[name] = Retrying(Unlooping(provider))
            return self._opened[name]

    async def close(self) -> None:
        """Close all that have been opened."""
        while self._opened:
            await self._opened.popitem()[1].close()


async def _others(provider: Provider, name: str) -> list[str]:
    """Return what a server has instead of this model; nothing where it has it, or does not say."""
    from apr.providers.openai_chat import OpenAIChat

    if not isinstance(provider, OpenAIChat):
        return []
    try:
        listed = await provider.models()
        return [] if name in listed or await provider.knows(name) else listed
    except ProviderError:
        return []
