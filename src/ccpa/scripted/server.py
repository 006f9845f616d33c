"""The scripted model server: recorded assistant turns, served in order over HTTP on loopback."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from ccpa.scripted import chat
from ccpa.scripted.http import HttpRequest, HttpResponse, listen
from ccpa.trace import AssistantTurn


class ScriptedModel:
    """A model that says what it has been given to say, one turn a request.

    `requests` holds the JSON body of each request for a turn, in order, and `headers` its headers;
    `surplus` counts those that came when the script was at its end. With `pause_after` set, each
    stream stands still after that many chunks until `go_on` is called.
    """

    def __init__(self, turns: Iterable[AssistantTurn]) -> None:
        self._left = list(turns)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.surplus = 0
        self.pause_after: int | None = None
        self._go_on = threading.Event()

    def go_on(self) -> None:
        """End the pause, of this stream and of all later ones."""
        self._go_on.set()

    @property
    def unsaid(self) -> int:
        """How many turns nobody has asked for yet."""
        return len(self._left)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one HTTP request."""
        match request.method, request.path.partition("?")[0].removeprefix("/v1"):
            case "POST", "/chat/completions":
                return self._say(request)
            case "GET", "/models":
                listed = {"object": "list", "data": [{"id": "scripted", "object": "model"}]}
                return HttpResponse(200, "application/json", msgspec.json.encode(listed))
            case _:
                return _error(404, f"{request.method} {request.path} is not served here")

    def _say(self, request: HttpRequest) -> HttpResponse:
        try:
            body = msgspec.json.decode(request.body, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            return _error(400, f"the request body: {error}")
        self.requests.append(body)
        self.headers.append(request.headers)
        if not self._left:
            self.surplus += 1
            return _error(400, "the script is at its end: this call is not in the recording")
        turn = self._left.pop(0)
        model = str(body.get("model", "scripted"))
        if body.get("stream"):
            return HttpResponse(200, "text/event-stream", self._stream(chat.streamed(turn, model)))
        return HttpResponse(200, "application/json", chat.whole(turn, model))

    async def _stream(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        for number, chunk in enumerate(chunks):
            if number == self.pause_after:
                await asyncio.to_thread(self._go_on.wait)
            yield chunk


@contextmanager
def serving(model: ScriptedModel) -> Iterator[str]:
    """Serve the model from a thread of its own; yields the base URL (`http://127.0.0.1:PORT/v1`)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scripted-model", daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(model), loop).result()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def _error(status: int, message: str) -> HttpResponse:
    body = msgspec.json.encode({"error": {"message": message, "type": "invalid_request_error"}})
    return HttpResponse(status, "application/json", body)
