"""An editor for the tests: the protocol's own client, with what an editor remembers and holds."""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from acp import RequestError, helpers, schema, spawn_agent_process
from acp.client import ClientSideConnection

from apr.acp.serving import serve
from apr.cli.acp import configure, source_of
from tests.apr.program import APR, environment


class Editor:
    """An editor that remembers what it is told, and answers questions as it is set."""

    def __init__(self, answer: str | None = "once") -> None:
        self.answer = answer
        self.told: list[Any] = []
        self.asked: list[schema.ToolCallUpdate] = []
        self.options: dict[str, str] = {}
        self.buffers: dict[str, str] = {}
        """By path, what is open and perhaps not saved."""
        self.refuses: set[str] = set()
        """What it answers with an error: paths, or names of methods."""
        self.read: list[str] = []
        self.written: list[str] = []

    async def session_update(self, session_id: str, update: Any, **kwargs: Any) -> None:
        self.told.append(update)

    async def request_permission(
        self, session_id: str, tool_call: Any, options: list[Any], **kwargs: Any
    ) -> schema.RequestPermissionResponse:
        self.asked.append(tool_call)
        self.options = {option.option_id: option.name for option in options}
        if self.answer is None:
            return schema.RequestPermissionResponse(
                outcome=schema.DeniedOutcome(outcome="cancelled")
            )
        chosen = schema.AllowedOutcome(outcome="selected", option_id=self.answer)
        return schema.RequestPermissionResponse(outcome=chosen)

    async def read_text_file(
        self, session_id: str, path: str, **kwargs: Any
    ) -> schema.ReadTextFileResponse:
        self.read.append(path)
        if self.refuses & {path, "read"}:
            raise RequestError.resource_not_found(path)
        content = self.buffers.get(path)
        return schema.ReadTextFileResponse(
            content=Path(path).read_text() if content is None else content
        )

    async def write_text_file(
        self, session_id: str, path: str, content: str, **kwargs: Any
    ) -> None:
        self.written.append(path)
        if self.refuses & {path, "write"}:
            raise RequestError.internal_error({"reason": "read-only"})
        self.buffers[path] = content
        Path(path).write_text(content, newline="")

    def on_connect(self, conn: Any) -> None:
        pass

    def updates(self, kind: type[Any]) -> list[Any]:
        """The updates of a kind, one after the other."""
        return [update for update in self.told if isinstance(update, kind)]

    def text(self) -> str:
        """What the agent said."""
        return "".join(
            update.content.text
            for update in self.told
            if isinstance(update, schema.AgentMessageChunk)
        )

    def kinds(self) -> list[str]:
        """What kinds of updates came, one after the other."""
        return [update.session_update for update in self.told]


@asynccontextmanager
async def editing(
    editor: Editor, home: Path, project: Path, url: str, *options: str, files: bool = False
) -> AsyncIterator[ClientSideConnection]:
    """Serve an editor that offers its files, or not.

    As `apr acp` does, on pipes, but in this process: the protocol's package takes most of a second
    to load. `starting` starts the program itself.
    """
    parser = argparse.ArgumentParser()
    configure(parser)
    source = source_of(parser.parse_args(["--base-url", url, "--model", "m", *options]))
    (incoming, theirs), (ours, outgoing) = os.pipe(), os.pipe()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(home).items():
            patch.setenv(name, value)
        serving = asyncio.create_task(serve(source, incoming, outgoing))
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=1 << 26)
        protocol = asyncio.StreamReaderProtocol(reader)
        await loop.connect_read_pipe(lambda: protocol, os.fdopen(ours, "rb"))
        pipe, flow = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(theirs, "wb")
        )
        writer = asyncio.StreamWriter(pipe, flow, None, loop)
        connection = ClientSideConnection(editor, writer, reader)  # type: ignore[arg-type]
        try:
            await _initialized(connection, files)
            yield connection
        finally:
            await connection.close()
            writer.close()
            await serving
            for descriptor in (incoming, outgoing):
                os.close(descriptor)


@asynccontextmanager
async def starting(
    editor: Editor, home: Path, project: Path, *options: str, files: bool = False
) -> AsyncIterator[ClientSideConnection]:
    """Start `apr acp` for an editor."""
    async with spawn_agent_process(
        editor,  # type: ignore[arg-type]
        APR,
        "acp",
        *options,
        env=environment(home),
        cwd=project,
    ) as (connection, _process):
        await _initialized(connection, files)
        yield connection


async def _initialized(connection: ClientSideConnection, files: bool) -> None:
    fs = schema.FileSystemCapabilities(read_text_file=files, write_text_file=files)
    can = schema.ClientCapabilities(fs=fs)
    await connection.initialize(protocol_version=1, client_capabilities=can)


async def prompt(connection: ClientSideConnection, session: str, text: str) -> Any:
    """Have the agent work on a text."""
    return await connection.prompt(session_id=session, prompt=[helpers.text_block(text)])


async def begin(connection: ClientSideConnection, project: Path, **more: Any) -> str:
    """Begin a session, and return its id."""
    return (
        await connection.new_session(cwd=str(project), **{"mcp_servers": [], **more})
    ).session_id
