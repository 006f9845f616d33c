"""The recorder: stands between an agent and its model, passes on what goes by, writes it down."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import Struct, field

from ccpa.importers.notes import Notes
from ccpa.importers.reading import parsed
from ccpa.importers.values import JsonObject, effects, obj, text
from ccpa.paths import Root
from ccpa.record import chat, messages, responses
from ccpa.record.conversations import Conversation, Conversations, summary_mark
from ccpa.record.effects import changed, told_to
from ccpa.record.heard import Heard, Listener, Told
from ccpa.record.outcomes import outcome
from ccpa.record.prompts import prompt_in
from ccpa.record.sse import EventReader, EventTooLarge
from ccpa.record.start import Names, as_typed
from ccpa.record.writing import TraceFile
from ccpa.scripted.http import Handler, HttpRequest, HttpResponse
from ccpa.scripted.server import WIRES
from ccpa.scripted.side import side_request
from ccpa.scripted.wire import Asked, Prompt, Results, Said
from ccpa.trace import TextBlock, ToolUseBlock
from ccpa.workspace import Snapshot, compare

LISTENERS: Mapping[str, Listener] = {
    "/messages": messages,
    "/chat/completions": chat,
    "/responses": responses,
}
_OK = 200

_Take = Callable[[Heard, int, JsonObject], None]
"""Takes an answer: what it says, the milliseconds it took, and its JSON."""


class Counts(Struct):
    """What went by. `left_out` are requests that are no part of a conversation, by their kind."""

    answers: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Answers with an error, by status."""


class Recorder:
    """A handler of HTTP requests that writes traces of what it passes on.

    Args:
        upstream: who answers.
        look: takes a snapshot of the working tree.
        open_trace: makes the file of a new trace; given how many there are before it.
        root: the working directory.
        arguments: the agent's, among which the first prompt may be.
        names: makes the trace's tool name and input of the agent's.
    """

    def __init__(
        self,
        upstream: Handler,
        look: Callable[[], Snapshot],
        open_trace: Callable[[int], TraceFile],
        root: Root,
        *,
        arguments: tuple[str, ...] = (),
        names: Names = as_typed,
        notes: Notes,
    ) -> None:
        self.counts = Counts()
        self.conversations = Conversations()
        self.notes = notes
        self._upstream = upstream
        self._look = look
        self._open_trace = open_trace
        self._root = root
        self._arguments = arguments
        self._names = names
        self._seen = look()
        self._written: dict[str, list[str]] = {}
        self._responses: dict[str, Conversation] = {}
        self._hearing: list[_Hearing] = []
        self._one_at_a_time = asyncio.Lock()
        self.traces = [open_trace(0)]

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass on one request, and its answer."""
        route = request.path.partition("?")[0].removeprefix("/v1")
        listener = LISTENERS.get(route)
        body = parsed(request.body) if listener and request.method == "POST" else None
        if listener is None or not isinstance(body, dict):
            return await self._upstream(request)
        async with self._one_at_a_time:
            for hearing in self._hearing:
                hearing.settle()  # who has an answer and goes on need not read the rest of it
            take = await self._asked(route, listener, body)
        began = time.monotonic()
        response = await self._upstream(request)
        if response.status != _OK:
            self.counts.refused[str(response.status)] += 1
            return response
        hearing = _Hearing(listener, self.notes, began, take)
        if isinstance(response.body, bytes):
            hearing.answer(response.body)
            return response
        self._hearing.append(hearing)
        return msgspec.structs.replace(response, body=self._overheard(response.body, hearing))

    def finish(self) -> None:
        """Write down what is left; the agent has ended, and nothing goes by any more."""
        for hearing in self._hearing:
            hearing.close()

    async def _overheard(
        self, stream: AsyncGenerator[bytes, None], hearing: "_Hearing"
    ) -> AsyncGenerator[bytes, None]:
        """Pass on a stream as it comes. Its answer is written down before its end is passed on."""
        try:
            async with aclosing(stream):
                async for piece in stream:
                    hearing.feed(piece)
                    yield piece
        finally:
            hearing.close()
            self._hearing.remove(hearing)

    async def _asked(self, route: str, listener: Listener, body: JsonObject) -> _Take:
        """Write down what a request tells; return who takes its answer."""
        try:
            asked = WIRES[route].read(body)
        except (msgspec.MsgspecError, RecursionError):
            return self._leave_out("request of no known shape")
        known = self._responses.get(asked.previous or "")
        conversation = known or self.conversations.find(asked)
        kind = self._side(asked, conversation)
        if kind == "compaction" and conversation is not None:
            return self._summary_of(conversation)
        if kind is not None:
            return self._leave_out(kind)
        if conversation is None:
            conversation = self._new(asked, text(body.get("model")))
        await self._update(conversation, asked, listener.results(body))
        return self._answer_to(conversation)

    def _side(self, asked: Asked, conversation: Conversation | None) -> str | None:
        """Say what kind of request this is, if it is none for a conversation's next turn."""
        prompts = [*self._arguments, *(p for one in self.conversations.known for p in one.opening)]
        kind = side_request(asked, sorted(filter(None, prompts), key=len, reverse=True))
        main = self.conversations.main
        if kind is not None or main is None or asked.tools:
            return kind
        if conversation is None and main.tools and self.conversations.parent_of(asked) is None:
            return "request without tools, of no conversation"
        if conversation is not None and conversation.tools and asked.schema is not None:
            return "question about a conversation"
        return None

    def _leave_out(self, kind: str) -> _Take:
        self.counts.left_out[kind] += 1
        return lambda _heard, _ms, _answer: None

    def _summary_of(self, conversation: Conversation) -> _Take:
        self.counts.left_out["compaction"] += 1

        def take(heard: Heard, _ms: int, _answer: JsonObject) -> None:
            words = "".join(b.text for b in heard.blocks if isinstance(b, TextBlock))
            conversation.summary = summary_mark(words)

        return take

    def _new(self, asked: Asked, model: str | None) -> Conversation:
        """Begin a conversation: the main one, a subagent's, or one with a trace of its own."""
        found = self.conversations.parent_of(asked)
        if found is None:
            if self.conversations.known:
                self.notes.mark("conversation of no known tool use, in a trace of its own")
                self.traces.append(self._open_trace(len(self.traces)))
            trace, parent = self.traces[-1], None
            trace.session.about.model = model
        else:
            trace, parent = found[0].trace, found[1]
        made = Conversation(trace, parent, asked.opening, bool(asked.tools))
        if found is None and any(isinstance(e, Said) and e.ids for e in asked.history):
            self.notes.mark("conversation that had begun before")
        self.conversations.known.append(made)
        return made

    async def _update(self, conversation: Conversation, asked: Asked, told: list[Told]) -> None:
        """Write down what came since the last answer: results of tools, or a prompt."""
        await self._look_at_files()
        due = [one for one in told if one.use in conversation.open]
        for one in due:
            self._result(conversation, one)
        beside = any(isinstance(entry, Results) for entry in asked.tail)
        parts = [p for entry in asked.tail if isinstance(entry, Prompt) for p in entry.parts]
        words = prompt_in(parts, self._arguments)
        is_new = conversation.prompted < conversation.answers
        if conversation.open:  # the same is asked again
            self.notes.mark("answer that the agent dropped")
        elif words and beside and conversation.answers:
            self.notes.skip("text beside results")
        elif words and is_new and conversation.parent is None:
            conversation.prompted = conversation.answers
            conversation.trace.session.prompt(words)
        conversation.trace.flush()

    async def _look_at_files(self) -> None:
        """See what the open tool uses have written since the last look."""
        waiting = self.conversations.open_uses()
        if not waiting:
            return
        now = await asyncio.to_thread(self._look)
        paths = changed(compare(self._seen, now))
        self._seen = now
        written, left = told_to(paths, waiting, self._root)
        for use, names in written.items():
            before = self._written.get(use, [])
            self._written[use] = sorted({*before, *names})
        for _ in left:
            self.notes.skip("changed file that several tool uses may have written")

    def _result(self, conversation: Conversation, told: Told) -> None:
        del conversation.open[told.use]
        came = outcome(told)
        if not came.known:
            self.notes.mark("result that does not say whether it is a failure, taken for none")
        conversation.trace.session.result(
            told.use,
            told.content,
            ok=came.ok,
            denied_by=came.denied_by,
            side_effects=effects(written=self._written.pop(told.use, None), code=came.exit_code),
            parent=conversation.parent,
        )

    def _answer_to(self, conversation: Conversation) -> _Take:
        def take(heard: Heard, latency_ms: int, answer: JsonObject) -> None:
            blocks = [self._block(block) for block in heard.blocks] or [TextBlock("")]
            uses = {block.id: block for block in blocks if isinstance(block, ToolUseBlock)}
            conversation.trace.session.answer(
                blocks,
                stop=heard.stop,
                usage=heard.usage,
                model=heard.model,
                latency_ms=latency_ms,
                parent=conversation.parent,
            )
            conversation.trace.flush()
            conversation.uses |= uses
            conversation.open = uses
            conversation.answers += 1
            self.counts.answers += 1
            if name := text(answer.get("id")):
                self._responses[name] = conversation

        return take

    def _block(self, block: Any) -> Any:
        if not isinstance(block, ToolUseBlock):
            return block
        return ToolUseBlock(block.id, *self._names(block.name, block.input))


class _Hearing:
    """One answer, listened to until it is whole."""

    def __init__(
        self,
        listener: Listener,
        notes: Notes,
        began: float,
        take: _Take,
    ) -> None:
        self._listener = listener
        self._notes = notes
        self._began = began
        self._take = take
        self._reader: EventReader | None = EventReader()
        self._events: list[JsonObject] = []

    def feed(self, piece: bytes) -> None:
        """Take bytes of a stream."""
        if self._reader is None:
            return
        try:
            for data in self._reader.feed(piece):
                event = None if data == b"[DONE]" else obj(parsed(data))
                if event is not None:
                    self._events.append(event)
                if self._listener.ends(event):
                    self.settle()
                    return
        except EventTooLarge:
            self._reader = None
            self._notes.skip("answer that is too large")

    def settle(self) -> None:
        """Write the answer down, if all of it has been said."""
        if self._reader is None:
            return
        whole = self._listener.whole(self._events)
        if whole is not None:
            self._reader = None
            self._heard(whole)

    def close(self) -> None:
        """Nothing more will come."""
        self.settle()
        if self._reader is not None:
            self._reader = None
            self._notes.skip("answer that broke off")

    def answer(self, body: bytes) -> None:
        """Take an answer that came in one piece."""
        self._heard(obj(parsed(body)))

    def _heard(self, whole: JsonObject) -> None:
        heard = self._listener.heard(whole, self._notes)
        if heard is None:
            self._notes.skip("answer of no known shape")
            return
        self._take(heard, int((time.monotonic() - self._began) * 1000), whole)
