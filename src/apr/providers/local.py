"""The wire to a model on this machine: an engine is attached when a request needs it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from apr.agent.events import Notice
from apr.engine import process
from apr.engine.client import Endpoint, attach
from apr.engine.state import EngineError, Unloadable, directory, identity
from apr.providers.base import ModelEvent, ProviderError, Request
from apr.providers.openai_chat import OpenAIChat
from apr.providers.toolcalls import family_of

RESTARTS = 1
"""How often an engine that ends in the middle of an answer is started again for that answer."""
_GONE_WITHIN_S = 0.5
"""How long after its connections a killed process may seem to be there."""


class LocalModel:
    """A provider for one GGUF file.

    Args:
        path: the model.
        name: what the trace calls it.
        context: tokens of context to load it with; None for what the model was trained on, as far
            as memory allows.
        keep_alive: seconds the engine stays warm after its last request; None for ever.
    """

    def __init__(
        self, path: Path, name: str, *, context: int | None = None, keep_alive: float | None = 600.0
    ) -> None:
        self.path = path
        self._name = name
        self._context = context
        self._keep_alive = keep_alive
        self._endpoint: Endpoint | None = None
        self._chat: OpenAIChat | None = None
        self._lost = 0
        """How many engines in a row have ended in the middle of an answer."""
        self._thinks = False
        """Whether the model's template opens its reasoning itself."""

    @property
    def context(self) -> int | None:
        """What the engine gives a conversation; None before it is attached."""
        return self._endpoint.context if self._endpoint else None

    @property
    def endpoint(self) -> Endpoint | None:
        """The engine that was asked last; None before there is one."""
        return self._endpoint

    @property
    def log(self) -> Path:
        """The file that the model's engine writes to.

        Raises:
            EngineError: the model is gone.
        """
        return directory() / f"{identity(self.path)}.log"

    async def load(self, tell: Callable[[str], None]) -> None:
        """Have the model loaded now, and not with the first request.

        `tell` is told, for people, what is being waited for.

        Raises:
            ProviderError: it cannot be loaded.
        """
        await self._attach(tell)

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Ask the model; see `Provider.stream`."""
        notices: asyncio.Queue[str | None] = asyncio.Queue()
        attaching = asyncio.create_task(self._attach(notices.put_nowait))
        attaching.add_done_callback(lambda _: notices.put_nowait(None))
        try:
            while (text := await notices.get()) is not None:
                yield Notice(text)
            chat = await attaching
        finally:
            attaching.cancel()
        if self._thinks:
            request = msgspec.structs.replace(request, reasoning_begun=True)
        try:
            async with contextlib.aclosing(chat.stream(request)) as events:
                async for event in events:
                    yield event
        except ProviderError as error:
            if error.retryable and await self._engine_is_gone():
                raise self._gone() from error
            raise
        self._lost = 0

    async def _engine_is_gone(self) -> bool:
        if self._endpoint is None:
            return False
        deadline = time.monotonic() + _GONE_WITHIN_S
        while process.started(self._endpoint.pid) is not None:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def _gone(self) -> ProviderError:
        self._lost += 1
        if self._lost <= RESTARTS:
            return ProviderError("The engine has ended in the middle of an answer.", retryable=True)
        times, self._lost = self._lost, 0
        return ProviderError(
            f"The engine has ended in the middle of the answer, {times} times in a row. The system "
            "ends a process when memory runs out: a smaller --ctx or a smaller model needs less. "
            f"The end of its log may say more: {self.log}"
        )

    async def close(self) -> None:
        """Give back the connection; the engine stays warm."""
        if self._chat is not None:
            await self._chat.close()

    async def _attach(self, tell: Callable[[str], None]) -> OpenAIChat:
        """Return the wire to the engine: another one if the last has retired or crashed since."""
        try:
            endpoint = await attach(
                self.path, ctx=self._context, keep_alive=self._keep_alive, on_progress=tell
            )
        except Unloadable as error:
            raise ProviderError(str(error), said=str(error)) from error
        except EngineError as error:
            raise ProviderError(str(error)) from error
        if self._chat is None or endpoint != self._endpoint:
            await self.close()
            self._endpoint = endpoint
            self._thinks = await _begins_in_reasoning(endpoint)
            self._chat = OpenAIChat(
                endpoint.base_url,
                self._name,
                api_key=endpoint.api_key,
                family=family_of(endpoint.template),
            )
        return self._chat


async def _begins_in_reasoning(endpoint: Endpoint) -> bool:
    """Return whether the template opens the model's reasoning, so that an answer begins within it.

    Only the template knows, so the engine is asked to render it; not where it never speaks of that.
    """
    if endpoint.template is None or "<think>" not in endpoint.template:
        return False
    from apr.serve.engine import Engine
    from apr.serve.reasoning import opens

    engine = Engine(urlsplit(endpoint.base_url).port or 0, endpoint.api_key, endpoint.model_name)
    try:
        return await opens(engine)
    finally:
        await engine.close()
