"""The server's side of the protocol: sessions are made, loaded, worked on and closed."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from acp import PROTOCOL_VERSION, schema

from apr import __version__
from apr.acp import choices, listing
from apr.acp.buffers import Buffers
from apr.acp.editor import Editor
from apr.acp.errors import failed, wrong
from apr.acp.folders import Folders
from apr.acp.prompts import NotTaken, prompt_of
from apr.acp.session import Busy, EditorSession, Failed, Source
from apr.assembly import Assembled, assemble
from apr.errors import AprError
from apr.models.resolve import DEMO
from apr.tools.files import Disk, Storage


class Server:
    """What an editor talks to. Its methods are named and called as the package's router does.

    Args:
        source: where sessions come from.
        editor: who talks to it.
    """

    def __init__(self, source: Source, editor: Editor) -> None:
        self._source = source
        self._editor = editor
        self._sessions: dict[str, EditorSession] = {}
        self._behind: set[asyncio.Task[None]] = set()

    async def initialize(
        self,
        protocol_version: int,
        client_capabilities: schema.ClientCapabilities | None = None,
        client_info: schema.Implementation | None = None,
        **kwargs: Any,
    ) -> schema.InitializeResponse:
        """Say what we are and can do: there is one version of the protocol yet."""
        self._editor.can = client_capabilities or schema.ClientCapabilities()
        return schema.InitializeResponse(
            protocol_version=PROTOCOL_VERSION,
            agent_capabilities=schema.AgentCapabilities(
                load_session=True,
                prompt_capabilities=schema.PromptCapabilities(
                    embedded_context=True, image=self._source.sees, audio=False
                ),
                mcp_capabilities=schema.McpCapabilities(http=True, sse=True),
                session_capabilities=schema.SessionCapabilities(
                    list=schema.SessionListCapabilities(),
                    close=schema.SessionCloseCapabilities(),
                    delete=schema.SessionDeleteCapabilities(),
                    fork=schema.SessionForkCapabilities(),
                    resume=schema.SessionResumeCapabilities(),
                    additional_directories=schema.SessionAdditionalDirectoriesCapabilities(),
                ),
            ),
            agent_info=schema.Implementation(name="apr", title="apr", version=__version__),
            auth_methods=[],
        )

    async def authenticate(self, method_id: str, **kwargs: Any) -> None:
        """Nobody has to: the model is the user's own."""
        raise wrong(f"there is no way to authenticate, nor a need to: {method_id[:40]!r}")

    async def new_session(
        self,
        cwd: str,
        additional_directories: list[str] | None = None,
        mcp_servers: list[Any] | None = None,
        **kwargs: Any,
    ) -> schema.NewSessionResponse:
        """Begin a session in a directory."""
        session = await self._begin(cwd, additional_directories, mcp_servers)
        self._later(session.introduce())
        return schema.NewSessionResponse(
            session_id=session.id, modes=session.modes(), config_options=session.config()
        )

    async def load_session(
        self,
        cwd: str,
        session_id: str,
        mcp_servers: list[Any] | None = None,
        additional_directories: list[str] | None = None,
        **kwargs: Any,
    ) -> schema.LoadSessionResponse:
        """Take up a stored session, and tell the editor what was said in it."""
        session = await self._begin(cwd, additional_directories, mcp_servers, resume=session_id)
        await session.history(listing.stored(_directory(cwd), session_id).records)
        self._later(session.introduce())
        return schema.LoadSessionResponse(modes=session.modes(), config_options=session.config())

    async def resume_session(
        self,
        session_id: str,
        cwd: str,
        additional_directories: list[str] | None = None,
        mcp_servers: list[Any] | None = None,
        **kwargs: Any,
    ) -> schema.ResumeSessionResponse:
        """Take up a stored session without telling it again."""
        session = await self._begin(cwd, additional_directories, mcp_servers, resume=session_id)
        self._later(session.introduce())
        return schema.ResumeSessionResponse(modes=session.modes(), config_options=session.config())

    async def fork_session(
        self,
        session_id: str,
        cwd: str,
        additional_directories: list[str] | None = None,
        mcp_servers: list[Any] | None = None,
        **kwargs: Any,
    ) -> schema.ForkSessionResponse:
        """Take up a copy of a stored session."""
        session = await self._begin(
            cwd, additional_directories, mcp_servers, resume=session_id, fork=True
        )
        self._later(session.introduce())
        return schema.ForkSessionResponse(
            session_id=session.id, modes=session.modes(), config_options=session.config()
        )

    async def list_sessions(
        self, cwd: str | None = None, cursor: str | None = None, **kwargs: Any
    ) -> schema.ListSessionsResponse:
        """List the stored sessions of a directory, or all of them."""
        root = None if cwd is None else _directory(cwd)
        return await asyncio.to_thread(listing.page, root, cursor)

    async def delete_session(self, session_id: str, **kwargs: Any) -> schema.DeleteSessionResponse:
        """Remove a stored session for good; one that is open ends."""
        await self._let_go(session_id)
        await asyncio.to_thread(listing.remove, session_id)
        return schema.DeleteSessionResponse()

    async def close_session(self, session_id: str, **kwargs: Any) -> schema.CloseSessionResponse:
        """End a session. It stays stored."""
        self._session(session_id)
        await self._let_go(session_id)
        return schema.CloseSessionResponse()

    async def prompt(
        self, session_id: str, prompt: list[Any], **kwargs: Any
    ) -> schema.PromptResponse:
        """Work on a prompt; what happens meanwhile is told in updates."""
        session = self._session(session_id)
        try:
            stop, usage = await session.prompt(prompt_of(prompt, sees=self._source.sees))
        except (NotTaken, Busy) as error:
            raise wrong(str(error)) from None
        except Failed as error:
            raise failed(str(error)) from None
        return schema.PromptResponse(
            stop_reason=stop,
            usage=schema.Usage(
                total_tokens=usage.input_tokens + usage.output_tokens,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cached_read_tokens=usage.cache_read_tokens,
            ),
        )

    async def cancel(self, session_id: str, **kwargs: Any) -> None:
        """End the work on the prompt at hand."""
        if session_id in self._sessions:
            self._sessions[session_id].cancel()

    async def set_session_mode(
        self, session_id: str, mode_id: str, **kwargs: Any
    ) -> schema.SetSessionModeResponse:
        """Change the permission mode of a session."""
        self._set(self._session(session_id), choices.MODE, mode_id)
        return schema.SetSessionModeResponse()

    async def set_config_option(
        self, config_id: str, session_id: str, value: str | bool, **kwargs: Any
    ) -> schema.SetSessionConfigOptionResponse:
        """Change the mode or the model of a session."""
        session = self._session(session_id)
        self._set(session, config_id, value)
        return schema.SetSessionConfigOptionResponse(config_options=session.config())

    async def close(self) -> None:
        """End every session: the editor is gone."""
        for task in self._behind:
            task.cancel()
        closing = [session.close(gone=True) for session in self._sessions.values()]
        for failure in await asyncio.gather(*closing, return_exceptions=True):
            if failure is not None:
                logging.warning("A session did not end as it should: %s", failure)
        self._sessions.clear()

    def _set(self, session: EditorSession, option: str, value: str | bool) -> None:
        try:
            match option, value:
                case choices.MODE, str():
                    session.set_mode(value)
                    self._later(session.announce())
                case choices.MODEL, str():
                    session.set_model(value)
                case _:
                    raise wrong(f"there is no option {option[:40]!r} with such a value")
        except (ValueError, AprError) as error:
            raise wrong(str(error)) from None

    def _session(self, session_id: str) -> EditorSession:
        try:
            return self._sessions[session_id]
        except KeyError:
            raise wrong(f"there is no open session {session_id[:80]!r}") from None

    async def _let_go(self, session_id: str) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            await session.close()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something as soon as the request at hand is answered."""
        task = asyncio.create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    def _storage(self, folders: Folders) -> Callable[[str], Storage]:
        """Return what a session's files are reached by: the editor, where it offers that."""
        fs = self._editor.can.fs
        if fs is None or not fs.read_text_file:
            return lambda _session: Disk()
        return lambda session: Buffers(self._editor, session, folders, fs)

    async def _begin(
        self,
        cwd: str,
        directories: list[str] | None,
        servers: list[Any] | None,
        *,
        resume: str | None = None,
        fork: bool = False,
    ) -> EditorSession:
        root, named = _directory(cwd), directories or []
        further = tuple(map(_directory, named))
        folders = Folders([cwd, *named])
        try:
            if resume is not None:
                listing.stored(root, resume)
                if not fork:
                    await self._let_go(resume)
            options = self._source.options(root)
            provider, model = self._source.open_model(options, None)
            options = msgspec.structs.replace(
                options,
                storage=self._storage(folders),
                resume=resume,
                fork=fork,
                directories=(*options.directories, *further),
                mcp=(*options.mcp, *([_servers(servers)] if servers else [])),
                core_tools=model == DEMO,
            )
            assembled = assemble(options, provider, model)
            try:
                await assembled.open()
                models = await asyncio.to_thread(self._source.models, root)
            except BaseException:
                await _abandon(assembled)
                raise
        except AprError as error:
            raise wrong(str(error)) from None
        session = EditorSession(assembled, options, self._editor, folders, self._source, models)
        self._sessions[session.id] = session
        return session


async def _abandon(assembled: Assembled) -> None:
    """Let a session go that never began."""
    if assembled.store is not None:
        assembled.store.close()
    await assembled.close()


def _directory(name: str) -> Path:
    path = Path(name)
    try:
        resolved = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise wrong(f"{name[:200]}: {error}") from None
    if not path.is_absolute() or not resolved.is_dir():
        raise wrong(f"{name[:200]} is not the absolute path of a directory")
    return resolved


def _servers(servers: list[Any]) -> str:
    """Return the editor's MCP servers as `--mcp-config` takes them."""
    entries: dict[str, dict[str, Any]] = {}
    for server in servers:
        match server:
            case schema.McpServerStdio():
                entries[server.name] = {
                    "command": server.command,
                    "args": server.args,
                    "env": {variable.name: variable.value for variable in server.env},
                }
            case schema.HttpMcpServer() | schema.SseMcpServer():
                entries[server.name] = {
                    "type": "http" if isinstance(server, schema.HttpMcpServer) else "sse",
                    "url": server.url,
                    "headers": {header.name: header.value for header in server.headers},
                }
            case _:
                raise wrong(f"the MCP server {server.name[:80]!r} can be reached by no way we know")
    return msgspec.json.encode({"mcpServers": entries}).decode()
