"""OpenAI chat completions, streamed: the wire to a local engine and to most other servers.

With a `family` the server is asked for the model's exact text, and calls are read from it here:
what the model said is what the agent sees and what the model is shown again. Without one the
server's own `tool_calls` are used, and calls that it left in the text are found there.
"""

from collections.abc import AsyncGenerator

import msgspec

from apr.providers import openai_errors, openai_request
from apr.providers.base import ModelEvent, ProviderError, Request
from apr.providers.http import Client, Response, Timeouts, parse_url
from apr.providers.openai_answer import Answer, Chunk, ToolUseIds
from apr.providers.sse import EventParser, ServerEvent
from apr.providers.toolcalls import Family

DONE = "[DONE]"
LARGEST_WHOLE = 64 * 1024 * 1024
"""Bytes of an answer that a server sends in one piece instead of streaming it."""

_decoder = msgspec.json.Decoder(Chunk)


class OpenAIChat:
    """A provider for one model of one server.

    Args:
        base_url: where the interface is, such as http://127.0.0.1:8080/v1; /v1 is added to a URL
            without a path.
        model: the server's name for the model.
        api_key: sent as a bearer token.
        family: how the model writes calls, for servers that can return its exact text (llama.cpp).
        timeouts: how long to wait for what.
        ids: gives tool uses their ids.
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
        ids: ToolUseIds | None = None,
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
        self._ids = ids or ToolUseIds()
        self.context = context

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Ask the model; see `Provider.stream`."""
        body = openai_request.encode(request, self._model, self._family)
        response = await self._client.post("/chat/completions", body, self._headers)
        try:
            await self._check(response)
            answer = Answer(request, self._model, self._ids, family=self._family)
            events = _Events(response, answer)
            while batch := await events.next():
                for event in batch:
                    for shown in answer.take(self._read(event)):
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

    def _read(self, event: ServerEvent) -> Chunk:
        try:
            chunk = _decoder.decode(event.data)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
            raise ProviderError(
                f"{self._where} sent something that is no chat completion: {error}.", retryable=True
            ) from error
        if chunk.error or "error" in (chunk.object, event.type):
            said = chunk.error or msgspec.json.decode(event.data)
            raise openai_errors.in_stream(said, self._where)
        if chunk.choices and chunk.choices[0].finish_reason in ("error", "abort", "content_filter"):
            raise ProviderError(
                f"{self._where} broke off its answer ({chunk.choices[0].finish_reason}).",
                retryable=chunk.choices[0].finish_reason != "content_filter",
            )
        return chunk


class _Events:
    """The events of a response, up to the one that says it is done."""

    def __init__(self, response: Response, answer: Answer) -> None:
        self.done = False
        self._response = response
        self._answer = answer
        self._parser = EventParser()
        self._ended = False

    async def next(self) -> list[ServerEvent]:
        """Return the next events, none at the end of the answer.

        A connection that breaks after the answer is complete has cost nothing but the token counts.
        """
        while not self.done and not self._ended:
            events = await self._more()
            data = [event.data for event in events]
            if DONE in data:
                self.done = True
                events = events[: data.index(DONE)]
            if events:
                return events
        return []

    async def _more(self) -> list[ServerEvent]:
        if "application/json" in self._response.headers.get("content-type", ""):
            self._ended = True
            body = await self._response.read(LARGEST_WHOLE)
            return [ServerEvent(body.decode("utf-8", "replace"))] if body.strip() else []
        try:
            chunk = await self._response.chunk()
        except ProviderError:
            if not self._answer.finish_reason:
                raise
            chunk = b""
        if chunk:
            return self._parser.feed(chunk)
        self._ended = True
        return self._parser.finish()
