"""The engine that embeds texts: loaded when it is first asked, for few servers ever are."""

import asyncio
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from apr.engine.llama import EMBEDDED_TOKENS
from apr.engine.state import EngineError
from apr.providers.base import ProviderError
from apr.serve import bounds
from apr.serve.engine import Engine, plainly
from apr.serve.queue import Client, FairQueue


class Embedder:
    """Embeds texts with the served model.

    Args:
        load: loads the native server that does it, given the key it is to have.
        model: the public name of the model.
        most_waiting: how many requests may wait for another.
    """

    def __init__(self, load: Callable[[str], Any], model: str, *, most_waiting: int) -> None:
        self._load = load
        self._model = model
        self._queue = FairQueue(1, most_waiting)
        self._native: Any = None
        self._engine: Engine | None = None

    async def embed(self, body: dict[str, Any], client: Client) -> dict[str, Any]:
        """Return the answer to the body of an embeddings request.

        Raises:
            Busy: too many wait already.
            ContextOverflow: a text is so long that its tokens need not be counted.
            ProviderError: the model cannot be loaded for this, or the body is refused.
        """
        texts = body.get("input")
        for text in texts if isinstance(texts, list) else [texts]:
            bounds.check_part(text, EMBEDDED_TOKENS)
        async with self._queue.place(client):
            if self._engine is None:
                self._engine = await self._start()
            with plainly():
                answer = await self._engine.call("/v1/embeddings", body)
            return {**answer, "model": self._model}

    async def close(self) -> None:
        """Give back the connections."""
        if self._engine is not None:
            await self._engine.close()

    async def _start(self) -> Engine:
        key = os.urandom(24).hex()
        try:
            self._native = await asyncio.to_thread(self._load, key)
        except EngineError as error:
            raise ProviderError(f"The model cannot be loaded to embed texts: {error}") from error
        port = urlsplit(self._native.listening_address).port or 0
        return Engine(port, key, self._model)
