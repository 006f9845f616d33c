"""The wire to a model on this machine: an engine is attached when the first request needs it."""

from collections.abc import AsyncIterator
from pathlib import Path

from apr.engine.client import attach
from apr.engine.state import EngineError
from apr.providers.base import ModelEvent, ProviderError, Request
from apr.providers.openai_chat import OpenAIChat
from apr.providers.toolcalls import family_of


class LocalModel:
    """A provider for one GGUF file.

    Args:
        path: the model.
        name: what the trace calls it.
        context: tokens of context to load it with; None for what the model was trained on, as far
            as memory allows.
        keep_alive: seconds the engine stays warm after its last request.
    """

    def __init__(
        self, path: Path, name: str, *, context: int | None = None, keep_alive: float = 600.0
    ) -> None:
        self._path = path
        self._name = name
        self._context = context
        self._keep_alive = keep_alive
        self._chat: OpenAIChat | None = None

    async def stream(self, request: Request) -> AsyncIterator[ModelEvent]:
        """Ask the model; see `Provider.stream`."""
        if self._chat is None:
            self._chat = await self._attach()
        async for event in self._chat.stream(request):
            yield event

    async def close(self) -> None:
        """Give back the connection; the engine stays warm."""
        if self._chat is not None:
            await self._chat.close()

    async def _attach(self) -> OpenAIChat:
        try:
            endpoint = await attach(self._path, ctx=self._context, keep_alive=self._keep_alive)
        except EngineError as error:
            raise ProviderError(str(error)) from error
        return OpenAIChat(
            endpoint.base_url,
            self._name,
            api_key=endpoint.api_key,
            family=family_of(endpoint.template),
        )
