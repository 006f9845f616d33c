"""OpenAI chat completions, streamed: the wire to a local engine and to most other servers.

With a `family` the server is asked for the model's exact text, and calls are read from it here:
what the model said is what the agent sees and what the model is shown again. Without one the
server's own `tool_calls` are used, and calls that it left in the text are found there.
"""

from collections.abc import AsyncGenerator

import msgspec
from msgspec import Struct

from apr.providers import openai_errors, openai_request
from apr.providers.base import ModelEvent, ProviderError, Request
from apr.providers.http import Client, Response, Timeouts, parse_url
from apr.providers.tool_use_ids import FreshIds, ToolUseIds
from apr.providers.toolcalls import Family

LARGEST_LIST = 4 * 1024 * 1024
"""Bytes of a list of models."""


class _Model(Struct):
    id: str


class _Listed(Struct):
    data: list[_Model]


class OpenAIChat:
    """A provider for one model of one server.

    Args:
        base_url: where the interface is, such as http://127.0.0.1:8080/v1; /v1 is added to a URL
            without a path.
        model: the server's name for the model.
        api_key: sent as a bearer token.
        family: how the model writes calls, for servers that can return its exact text (llama.cpp).
        timeouts: how long to wait for what.
        many: whether it serves many conversations at a time: then it remembers none of them.
        context: the tokens that the server gives a conversation, where that is known.

    Raises:
        ProviderError: the URL is not one.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        family: Family | None = None,
        timeouts: Timeouts | None = None,
        many: bool = False,
        context: int | None = None,
    ) -> None:
        origin = parse_url(base_url)
        if not origin.path:
            origin = msgspec.structs.replace(origin, path="/v1")
        self._where = str(origin)
        self._client = Client(origin, timeouts)
        self._model = model
        self._family: Family | None = family
        self._headers = {"Authorization": f"Bearer {api_key.strip()}"} if api_key else {}
        self._ids = FreshIds() if many else ToolUseIds()
        self._written = None if many else openai_request.Written()
        self.context = context

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Ask the model; see `Provider.stream`."""
        body = openai_request.encode(request, self._model, self._family, self._written)
        response = await self._client.post("/chat/completions", body, self._headers)
        try:
            await self._check(response)
            # What reads calls takes long to import: by now the model is at work.
            from apr.providers.openai_answer import Answer
            from apr.providers.openai_stream import Events, chunk_of

            answer = Answer(request, self._model, self._ids, family=self._family)
            events = Events(response, answer)
            while batch := await events.next():
                for event in batch:
                    for shown in answer.take(chunk_of(event, self._where)):
                        yield shown
            if not (answer.finish_reason or (events.done and answer.begun)):
                raise ProviderError(
                    f"The answer from {self._where} ended in the middle and was dropped.",
                    retryable=True,
                )
            await response.drain()
            deltas, completion = answer.finish()
            for delta in deltas:
                yield delta
            yield completion
        finally:
            response.close()

    async def models(self) -> list[str]:
        """Return the names of the models that the server lists.

        Raises:
            ProviderError: it cannot be reached, or lists none.
        """
        response = await self._client.get("/models", self._headers)
        try:
            await self._check(response)
            listed = msgspec.json.decode(await response.read(LARGEST_LIST), type=_Listed)
        except msgspec.DecodeError as error:
            raise ProviderError(f"{self._where}/models lists no models: {error}.") from error
        finally:
            response.close()
        return [model.id for model in listed.data]

    async def knows(self, model: str) -> bool:
        """Whether the server has a model that it need not list: an alias, say.

        Raises:
            ProviderError: it cannot be reached.
        """
        from urllib.parse import quote

        response = await self._client.get(f"/models/{quote(model, safe='')}", self._headers)
        response.close()
        return response.status == 200

    async def close(self) -> None:
        """Give back connections."""
        await self._client.close()

    async def _check(self, response: Response) -> None:
        """Raise the error that the head of the answer stands for, if it does."""
        if response.status != 200:
            body = await response.read(openai_errors.LARGEST_BODY)
            raise openai_errors.refusal(
                response.status, response.headers, body, where=self._where, model=self._model
            )
        if "text/html" in response.headers.get("content-type", ""):
            raise openai_errors.web_page(self._where)
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise openai_errors.compressed(encoding, self._where)
