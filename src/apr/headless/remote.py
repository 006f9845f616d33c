"""A session that another program drives: prompts and requests come in, everything else goes out."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from msgspec import Struct

from apr.agent.asking import Answer, Asker, Question
from apr.agent.prompt import Prompt
from apr.assembly import Assembled, Options
from apr.errors import AprError
from apr.headless import setup, stdin
from apr.headless.arrivals import (
    Arrival,
    BadLine,
    ControlRequest,
    ControlResponse,
    UserLine,
    prompt_of,
    read,
)
from apr.headless.consent import asker
from apr.headless.control import Control, OpenModel
from apr.headless.drive import Sink, drive
from apr.headless.host import Host
from apr.headless.state import SessionState
from apr.storing import keep_files
from apr.ui.lines import Lines
from apr.ui.stream_json import StreamJson

if TYPE_CHECKING:
    from apr.sessions.checkpoints import Checkpoints

_KEEP_FILES = "CLAUDE_CODE_ENABLE_SDK_FILE_CHECKPOINTING"
"""The environment variable by which the SDKs ask for that: `true`."""


class Plan(Struct, frozen=True, kw_only=True):
    """What the command line says of such a session."""

    options: Options
    begin: Callable[[Options], Assembled]
    """Puts the session together."""
    keep: Callable[[Assembled], list[Sink]]
    """Returns the sinks that come before what is shown."""
    show: Callable[[Assembled, Lines], StreamJson]
    """Returns the sink that tells the program what happens."""
    open_model: OpenModel
    asks: bool = False
    """Whether the program gives consent in a person's place."""
    replay: bool = False
    """Whether prompts are repeated to it."""
    warn: Callable[[str], None]


async def serve(plan: Plan, descriptor: int, lines: Lines) -> bool:
    """Run the session until no more prompts come; return whether the last one went well.

    The first line may say what the session is to be; it begins after that.

    Raises:
        AprError: a line was not understood, or such a session cannot be.
        OSError: nobody reads what we write.
        KeyboardInterrupt: see `drive`.
    """
    host = Host(lines)
    async with aclosing(stdin.lines(descriptor)) as incoming:
        first = read(line) if (line := await anext(incoming, None)) else None
        wanted = _wanted(first, host)
        try:
            options, notices = plan.options, list[str]()
            if wanted is not None:
                options, notices = setup.applied(wanted, options, host)
            options = msgspec.structs.replace(options, asks=plan.asks)
            assembled = plan.begin(_with_transports(options, host))
        except AprError as error:
            if isinstance(first, ControlRequest):
                host.refuse(first.request_id, str(error))
            raise
        for notice in notices:
            plan.warn(notice)
        stream = plan.show(assembled, lines)
        if wanted is not None and isinstance(first, ControlRequest):
            host.answer(first.request_id, setup.welcome(assembled))
            stream.wanted = msgspec.structs.replace(
                stream.wanted, subagents_text=wanted.forward_subagent_text
            )
            first = None
        return await _Conversation(plan, assembled, host, stream).run(first, incoming)


def _wanted(first: Arrival | None, host: Host) -> setup.Initialize | None:
    try:
        return setup.initialize(first)
    except AprError as error:
        if isinstance(first, ControlRequest):
            host.refuse(first.request_id, str(error))
        raise


def _with_transports(options: Options, host: Host) -> Options:
    """Return the options with a way to those MCP servers that live in the program."""
    if not options.mcp:
        return options
    from apr.mcp.config import load

    flagged = load(options.root, os.environ, flags=options.mcp, strict=True)
    inside = [server.name for server in flagged.servers if server.kind == "sdk"]

    def way(name: str) -> Callable[[], Any]:
        def transport() -> Any:
            from apr.headless.sdk_mcp import InHost

            return InHost(host, name)

        return transport

    return msgspec.structs.replace(options, transports={name: way(name) for name in inside})


def _kept(assembled: Assembled) -> "Checkpoints":
    """Return what is kept of the files, until the end where the session is not stored."""
    if assembled.keeping is not None:
        return assembled.keeping.checkpoints
    folder = tempfile.TemporaryDirectory(prefix="apr-files-")

    async def clean_up() -> None:
        folder.cleanup()

    assembled.closing.append(clean_up)
    return keep_files(assembled, Path(folder.name)).checkpoints


class _Conversation:
    """Prompts as they come, one after the other, beside all that is asked meanwhile."""

    def __init__(self, plan: Plan, assembled: Assembled, host: Host, stream: StreamJson) -> None:
        self._plan = plan
        self._assembled = assembled
        self._host = host
        self._stream = stream
        self._checkpoints = _kept(assembled) if os.environ.get(_KEEP_FILES) == "true" else None
        self._control = Control(
            assembled, plan.options.settings, host, plan.open_model, self._checkpoints
        )
        self._state = SessionState(os.environ, stream.write)
        self._prompts: asyncio.Queue[tuple[UserLine, Prompt] | None] = asyncio.Queue()
        self._bad: BadLine | None = None
        gate = assembled.agent.gate
        if plan.asks:
            gate.ask = self._waiting(asker(host, gate, plan.options.settings))

    async def run(self, first: Arrival | None, incoming: AsyncIterator[bytes]) -> bool:
        """Work on all prompts; see `serve`."""
        driving = asyncio.current_task()
        receiving = asyncio.create_task(self._receive(first, incoming))

        def failed(task: asyncio.Task[None]) -> None:
            if driving is not None and not task.cancelled() and task.exception() is not None:
                driving.cancel()

        receiving.add_done_callback(failed)
        try:
            well = await drive(
                self._assembled,
                self._each(),
                [*self._plan.keep(self._assembled), self._stream],
            )
        except KeyboardInterrupt:
            if receiving.done() and not receiving.cancelled() and receiving.exception():
                receiving.result()
            raise
        finally:
            receiving.cancel()
            await asyncio.wait([receiving])
        if self._bad is not None:
            raise self._bad
        return well

    async def _receive(self, first: Arrival | None, incoming: AsyncIterator[bytes]) -> None:
        """Take what comes, each to where it belongs."""
        try:
            if first is not None:
                await self._take(first)
            async for line in incoming:
                await self._take(read(line))
        except BadLine as error:
            self._bad = error
            self._assembled.agent.interrupt()
        self._host.leave()
        self._prompts.put_nowait(None)

    async def _take(self, arrival: Arrival) -> None:
        match arrival:
            case UserLine():
                self._prompts.put_nowait((arrival, prompt_of(arrival)))
            case ControlResponse(response):
                self._host.answered(response)
            case ControlRequest(request_id) if arrival.subtype == "initialize":
                self._host.refuse(request_id, "initialize comes first, and once")
            case ControlRequest():
                await self._control.take(arrival)
            case _:
                pass

    async def _each(self) -> AsyncIterator[Prompt]:
        """Yield the prompts."""
        while self._bad is None:
            if self._prompts.empty():
                self._state.become("idle")
            if (came := await self._prompts.get()) is None:
                break
            line, prompt = came
            self._state.become("running")
            self._stream.prompt_id = line.uuid
            prompt_id = line.uuid or str(uuid4())
            if self._checkpoints is not None:
                self._checkpoints.mark(prompt_id)
            if self._plan.replay:
                self._stream.replay = {**msgspec.to_builtins(line), "uuid": prompt_id}
            yield prompt
        self._state.become("idle")

    def _waiting(self, ask: Asker) -> Asker:
        """Return an asker that lets it be known that something is wanted of the program."""

        async def asking(question: Question) -> Answer:
            self._state.become("requires_action")
            try:
                return await ask(question)
            finally:
                self._state.become("running")

        return asking
