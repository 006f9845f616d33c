"""The scripted model server: recorded assistant turns over HTTP on loopback, in three wires."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from ccpa.scripted import chaos as faults
from ccpa.scripted import chat, messages, responses
from ccpa.scripted.adapt import Adaptation, with_portable_ids
from ccpa.scripted.chaos import Chaos
from ccpa.scripted.http import MAX_BODY, Handler, HttpRequest, HttpResponse, listen
from ccpa.scripted.log import Exchange, Outcome, now, without_secrets
from ccpa.scripted.play import Finding, Play, Refused, Taken
from ccpa.scripted.script import Script
from ccpa.scripted.side import Kind, harmless, side_request
from ccpa.scripted.wire import Answer, Asked, Entry, Said, Wire, joined
from ccpa.scripted.worktrees import actual_name, recorded_names
from ccpa.trace import AssistantTurn, TextBlock, ToolUseBlock

WIRES: dict[str, Wire] = {
    "/messages": messages,
    "/chat/completions": chat,
    "/responses": responses,
}
_NO_CHAOS = Chaos(on_request=1)


class ScriptedModel:
    """A model that says what it has been given to say.

    Given a `Script`, it holds every request against it; given mere turns, each request gets the
    next one. `requests` holds the JSON body of each request for a turn, in order, and `headers` the
    headers as they came; `exchanges` has an entry for every request of any kind, without secrets.
    With `pause_after` set, each stream stands still after that many events until `go_on` is called.

    Args:
        script: what to say.
        adaptation: how the recording differs from the run. Mere turns are said as they are, if
            there is none.
        chaos: what goes wrong.
        log: called with each entry of `exchanges` when its request is decided upon.
    """

    def __init__(
        self,
        script: Script | Iterable[AssistantTurn],
        *,
        adaptation: Adaptation | None = None,
        chaos: Iterable[Chaos] = (),
        log: Callable[[Exchange], None] = lambda _exchange: None,
    ) -> None:
        script = (
            with_portable_ids(script) if isinstance(script, Script) else Script.unchecked(script)
        )
        self._checked = script.checked
        self._worktrees = recorded_names(script) if script.checked else {}
        self._adaptation = adaptation or (Adaptation() if script.checked else None)
        self._play = Play(script, self._adaptation.text if self._adaptation else str)
        self._chaos = {fault.on_request: fault for fault in chaos}
        self._log = log
        self._told: dict[str, tuple[Entry, ...]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._go_on = asyncio.Event()
        self._pauses = True
        self._bodies: list[bytes] = []  # as they came: decoded, a long session's would fill memory
        self.headers: list[dict[str, str]] = []
        self.exchanges: list[Exchange] = []
        self.pause_after: int | None = None

    def go_on(self) -> None:
        """End the pause, of this stream and of all later ones. May be called from any thread."""
        self._pauses = False  # before it is looked for somebody who waits: a stream may just begin
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._go_on.set)

    @property
    def named(self) -> dict[str, str]:
        """Recorded name of each worktree -> what the run calls it, as far as that is known."""
        return dict(self._adaptation.names) if self._adaptation else {}

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The JSON body of each request for a turn, in order."""
        return [msgspec.json.decode(body) for body in self._bodies]

    @property
    def unsaid(self) -> int:
        """How many turns nobody has asked for yet."""
        return len(self._play.missing())

    @property
    def surplus(self) -> int:
        """How many requests were not in the script."""
        return len(self._play.extraneous)

    def findings(self) -> list[Finding]:
        """Return what was wrong with the calls: those too many so far, then those still missing."""
        return [*self._play.extraneous, *self._play.missing()]

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one HTTP request."""
        self._loop = asyncio.get_running_loop()
        ts = now()
        decided = self._decide(request)
        exchange = Exchange(
            number=len(self.exchanges) + 1,
            ts=ts,
            method=request.method,
            path=_path(request),
            size=request.size,
            headers=without_secrets(request.headers),
            status=decided.response.status,
            outcome=decided.outcome,
            conversation=decided.conversation,
            turn=decided.turn,
            detail=decided.detail,
        )
        self.exchanges.append(exchange)
        self._log(exchange)
        if decided.delay_s:
            await asyncio.sleep(decided.delay_s)
        return decided.response

    def _decide(self, request: HttpRequest) -> "_Decided":
        route = _path(request).removeprefix("/v1")
        wire = WIRES.get(route) or _likely_wire(route, request)
        if request.too_large:
            return _error(wire, 413, "malformed", f"the body has more than {MAX_BODY} bytes")
        match request.method, route:
            case "POST", "/messages/count_tokens":
                return self._count_tokens(request)
            case "POST", _ if route in WIRES:
                return self._answer(wire, request)
            case (("GET" | "HEAD"), "/models"):
                return _Decided(_json(_MODELS), "other")
            case (("GET" | "HEAD"), _) if route.startswith("/models/"):
                return _Decided(_json(_model(unquote(route.removeprefix("/models/")))), "other")
            case (("GET" | "HEAD"), ("" | "/")):  # some agents look whether anyone is there
                return _Decided(_json({}), "other")
        return _error(wire, 404, "other", f"{request.method} {_path(request)} is not served here")

    def _count_tokens(self, request: HttpRequest) -> "_Decided":
        try:
            body = _body(request)
            messages.read(body)
        except (msgspec.MsgspecError, RecursionError) as error:
            return _error(messages, 400, "malformed", f"the request body: {error}")
        counted = HttpResponse(body=messages.count_tokens(body))
        return _Decided(counted, "count_tokens")

    def _answer(self, wire: Wire, request: HttpRequest) -> "_Decided":
        """Answer a request for a turn, or one on the side."""
        try:
            asked = wire.read(_body(request))
        except (msgspec.MsgspecError, RecursionError) as error:
            return _error(wire, 400, "malformed", f"the request body: {error}")
        if asked.previous is not None:
            before = self._told.get(asked.previous)
            if before is None:
                message = f"previous_response_id: no response {asked.previous!r} was given here"
                return _error(wire, 400, "malformed", message)
            history = joined((*before, *asked.history))
            asked = msgspec.structs.replace(asked, history=history)
        kind = side_request(asked, self._play.prompts) if self._checked else None
        if kind is not None:
            return self._on_the_side(wire, asked, kind)
        self._bodies.append(request.body)
        self.headers.append(request.headers)
        fault = self._chaos.get(len(self._bodies), _NO_CHAOS)
        if fault.status is not None:
            return _fault(wire, fault.status, fault)
        taken = self._play.take(asked)
        if isinstance(taken, Refused):
            return _error(wire, 400, "refused", taken.detail, conversation=taken.conversation)
        return self._say(wire, asked, taken, fault)

    def _on_the_side(self, wire: Wire, asked: Asked, kind: Kind) -> "_Decided":
        prompt = self._play.summarise(asked) if kind == "compaction" else None
        turn = AssistantTurn(
            v=1, turn=1, blocks=[TextBlock(harmless(kind, asked, prompt))], stop_reason="end_turn"
        )
        answer = Answer(turn=turn, asked=asked, key=f"side_{len(self.exchanges)}")
        if asked.stream:
            response = _events(faults.streamed(_NO_CHAOS, wire.streamed(answer)))
        else:
            response = HttpResponse(body=wire.whole(answer))
        return _Decided(response, "side", detail=kind)

    def _say(self, wire: Wire, asked: Asked, taken: Taken, fault: Chaos) -> "_Decided":
        turn = taken.turn
        if self._adaptation is not None:
            self._learn(taken, asked)
            turn = self._adaptation.turn(turn, asked.tools)
        answer = Answer(turn=turn, asked=asked, key=taken.key)
        if wire is responses:
            ids = tuple(block.id for block in turn.blocks if isinstance(block, ToolUseBlock))
            self._told[responses.response_id(answer.key)] = (*asked.history, Said(ids))
        spoiled = fault.spoils(stream=asked.stream)
        if spoiled:
            self._play.spoiled(taken)
        if asked.stream:
            events = faults.streamed(fault, wire.streamed(answer))
            response = _events(self._stream(events, None if spoiled else taken))
        else:
            response = faults.whole(fault, wire.whole(answer))
            if not spoiled:
                self._play.arrived(taken)
        return _Decided(
            response,
            "fault" if spoiled else "turn",
            conversation=taken.conversation,
            turn=taken.position,
            delay_s=fault.latency_s,
        )

    def _learn(self, taken: Taken, asked: Asked) -> None:
        """Take over the name of the worktree that a subagent works in, from its first request."""
        recorded = self._worktrees.get(taken.conversation)
        actual = actual_name(asked) if recorded and taken.position == 0 else None
        if recorded and actual and self._adaptation is not None:
            names = {**self._adaptation.names, recorded: actual}
            self._adaptation = msgspec.structs.replace(self._adaptation, names=names)

    async def _stream(
        self, events: AsyncGenerator[bytes, None], taken: Taken | None
    ) -> AsyncGenerator[bytes, None]:
        number = 0
        async for event in events:
            if number == self.pause_after and self._pauses:
                await self._go_on.wait()
            yield event
            number += 1
        if taken is not None:
            self._play.arrived(taken)


class _Decided(Struct, frozen=True):
    """How a request is answered, and what the log says of it."""

    response: HttpResponse
    outcome: Outcome
    conversation: str | None = None
    turn: int | None = None
    detail: str | None = None
    delay_s: float = 0.0


def _path(request: HttpRequest) -> str:
    return request.path.partition("?")[0]


def _likely_wire(route: str, request: HttpRequest) -> Wire:
    """Return the wire whose errors a client will understand where the path is none of them."""
    if route.startswith("/messages") or "anthropic-version" in request.headers:
        return messages
    return chat


def _body(request: HttpRequest) -> dict[str, Any]:
    return msgspec.json.decode(request.body, type=dict[str, Any])


def _json(value: dict[str, Any]) -> HttpResponse:
    return HttpResponse(body=msgspec.json.encode(value))


def _events(events: AsyncGenerator[bytes, None]) -> HttpResponse:
    headers = (("cache-control", "no-cache"),)
    return HttpResponse(content_type="text/event-stream", body=events, headers=headers)


def _error(
    wire: Wire, status: int, outcome: Outcome, message: str, *, conversation: str | None = None
) -> _Decided:
    response = HttpResponse(status=status, body=wire.error(status, message))
    return _Decided(response, outcome, conversation=conversation, detail=message)


def _fault(wire: Wire, status: int, fault: Chaos) -> _Decided:
    message = "an error that was asked for, to test the agent"
    wait = fault.retry_after_s
    headers = () if wait is None else (("retry-after", str(wait)),)
    response = HttpResponse(status=status, body=wire.error(status, message), headers=headers)
    return _Decided(response, "fault", detail=message, delay_s=fault.latency_s)


def _model(name: str) -> dict[str, Any]:
    """Describe a model to the clients of all wires at once."""
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "ccpa",
        "type": "model",
        "display_name": name,
        "created_at": "1970-01-01T00:00:00Z",
    }


_MODELS = {
    "object": "list",
    "data": [_model("scripted")],
    "has_more": False,
    "first_id": "scripted",
    "last_id": "scripted",
}


@contextmanager
def serving(
    model: Handler,
    *,
    port: int = 0,
    listener: socket.socket | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Serve the model from a thread of its own; yields the base URL (`http://127.0.0.1:PORT/v1`).

    A `listener`, which may belong to another network namespace, is used instead of a port here.

    Raises:
        OSError: the port is taken.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scripted-model", daemon=True)
    thread.start()
    try:
        started = listen(model, port=port, listener=listener, tls=tls)
        server = asyncio.run_coroutine_threadsafe(started, loop).result()
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            asyncio.run_coroutine_threadsafe(_close(server), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
