"""The body of an answer -> its events, and an event -> the chunk of a chat completion it holds."""

import msgspec

from apr.providers import openai_errors
from apr.providers.base import ProviderError
from apr.providers.http import Response
from apr.providers.openai_answer import Answer, Chunk
from apr.providers.sse import EventParser, ServerEvent

DONE = "[DONE]"
LARGEST_WHOLE = 64 * 1024 * 1024
"""Bytes of an answer that a server sends in one piece instead of streaming it."""

_decoder = msgspec.json.Decoder(Chunk)


def chunk_of(event: ServerEvent, where: str) -> Chunk:
    """Return what an event from the server at `where` says.

    Raises:
        ProviderError: that it failed, or something that is no chunk.
    """
    try:
        chunk = _decoder.decode(event.data)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise ProviderError(
            f"{where} sent something that is no chat completion: {error}.", retryable=True
        ) from error
    if chunk.error or "error" in (chunk.object, event.type):
        said = chunk.error or msgspec.json.decode(event.data)
        raise openai_errors.in_stream(said, where)
    if chunk.choices and chunk.choices[0].finish_reason in ("error", "abort", "content_filter"):
        raise ProviderError(
            f"{where} broke off its answer ({chunk.choices[0].finish_reason}).",
            retryable=chunk.choices[0].finish_reason != "content_filter",
        )
    return chunk


class Events:
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
