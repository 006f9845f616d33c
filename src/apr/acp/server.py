"""The server's side of the protocol: sessions are made, loaded, worked on and closed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from acp import PROTOCOL_VERSION, Client, RequestError, schema

from apr import __version__
from apr.acp.session import EditorSession, prompt_of
from apr.acp.updates import history
from apr.assembly import Assembled, Options, assemble
from apr.errors import AprError
from apr.providers.base import Provider
from apr.sessions.finding import find, summaries
from apr.sessions.places import SessionError

Make = Callable[[Path], tuple[Options, Provider, str]]
"""Takes a project's directory; returns what a session of it is to be, its model, and its name."""


class Server:
    """What an editor talks to."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._sessions: dict[str, EditorSession] = {}
        self._client: Client | None = None

    def on_connect(self, conn: Client) -> None:
        """Take the editor's side of the connection."""
        self._client = conn

    async def initialize(
        self,
        protocol_version: int,
        client_capabilities: schema.ClientCapabilities | None = None,
        client_info: schema.Implementation | None = None,
        **kwargs: Any,
    ) -> schema.InitializeResponse:
        """Say what we are and can do."""
        return schema.InitializeResponse(
            protocol_version=min(protocol_version, PROTOCOL_VERSION),
            agent_capabilities=schema.AgentCapabilities(
                load_session=True,
                prompt_capabilities=schema.PromptCapabilities(embedded_context=True, image=True),
                mcp_capabilities=schema.McpCapabilities(http=True, sse=True),
                session_capabilities=schema.SessionCapabilities(
                    list=schema.SessionListCapabilities(),
                    close=schema.SessionCloseCapabilities(),
                    fork=schema.SessionForkCapabilities(),
                    resume=schema.SessionResumeCapabilities(),
                ),
            ),
            agent_info=schema.Implementation(name="apr", title="apr", version=__version__),
        )

    async def new_session(
        self,
        cwd: str,
        additional_directories: list[str] | None = None,
        mcp_servers: list[Any] | None = None,
        **kwargs: Any,
    ) -> schema.NewSessionResponse:
        """Begin a session in a directory."""
        session = await self._begin(cwd, additional_directories, mcp_servers)
        return schema.NewSessionResponse(session_id=session.id, modes=session.modes())

    async def load_session(
        self,
        cwd: str,
        session_id: str,
        mcp_servers: list[Any] | None = None,
        additional_directories: list[str] | None = None,
        **kwargs: Any,
    ) -> schema.LoadSessionResponse:
        """Take up a stored session, and tell the editor what was said in it."""
        root = _directory(cwd)
        session = await self._begin(cwd, additional_directories, mcp_servers, resume=session_id)
        for update in history(find(root, session_id).records, root):
            await self._editor.session_update(session_id=session.id, update=update)
        return schema.LoadSessionResponse(modes=session.modes())

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
        return schema.ResumeSessionResponse(modes=session.modes())

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
        return schema.ForkSessionResponse(session_id=session.id, modes=session.modes())

    async def set_config_option(
        self, config_id: str, session_id: str, value: str | bool, **kwargs: Any
    ) -> None:
        """There are no options of our own."""
        raise RequestError.invalid_params({"reason": f"there is no option {config_id!r}"})

    async def list_sessions(
        self, cwd: str | None = None, cursor: str | None = None, **kwargs: Any
    ) -> schema.ListSessionsResponse:
        """List the stored sessions of a directory."""
        root = _directory(cwd or ".")
        found = [one for one in summaries(root) if not isinstance(one, SessionError)]
        return schema.ListSessionsResponse(
            sessions=[
                schema.SessionInfo(
                    session_id=one.id,
                    cwd=str(root),
                    title=one.name or one.first_prompt[:80],
                    updated_at=one.changed,
                )
                for one in found
            ]
        )

    async def prompt(
        self, session_id: str, prompt: list[Any], **kwargs: Any
    ) -> schema.PromptResponse:
        """Work on a prompt; what happens meanwhile is told in updates."""
        session = self._session(session_id)
        try:
            stop = await session.prompt(prompt_of(prompt))
        except RuntimeError as error:
            raise RequestError.internal_error({"reason": str(error)}) from None
        usage = session.usage
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
        try:
            self._session(session_id).set_mode(mode_id)
        except ValueError as error:
            raise RequestError.invalid_params({"reason": str(error)}) from None
        return schema.SetSessionModeResponse()

    async def close_session(self, session_id: str, **kwargs: Any) -> schema.CloseSessionResponse:
        """End a session."""
        session = self._session(session_id)
        del self._sessions[session_id]
        await session.close()
        return schema.CloseSessionResponse()

    async def authenticate(self, method_id: str, **kwargs: Any) -> None:
        """Nobody has to: the model is the user's own."""

    async def ext_method(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """There are no methods of our own."""
        raise RequestError.method_not_found(method)

    async def ext_notification(self, method: str, params: dict[str, Any]) -> None:
        """There are no notifications of our own."""

    async def close(self) -> None:
        """End every session."""
        for session in list(self._sessions.values()):
            await session.close()
        self._sessions.clear()

    @property
    def _editor(self) -> Client:
        if self._client is None:
            raise RequestError.internal_error({"reason": "nobody is connected"})
        return self._client

    def _session(self, session_id: str) -> EditorSession:
        try:
            return self._sessions[session_id]
        except KeyError:
            raise RequestError.invalid_params(
                {"reason": f"there is no session {session_id!r}"}
            ) from None

    async def _begin(
        self,
        cwd: str,
        directories: list[str] | None,
        servers: list[Any] | None,
        *,
        resume: str | None = None,
        fork: bool = False,
    ) -> EditorSession:
        try:
            options, provider, model = self._make(_directory(cwd))
            options = msgspec.structs.replace(
                options,
                resume=resume,
                fork=fork,
                directories=(*options.directories, *map(_directory, directories or ())),
                mcp=(*options.mcp, *([_servers(servers)] if servers else [])),
            )
            assembled: Assembled = assemble(options, provider, model)
            await assembled.open()
        except AprError as error:
            raise RequestError.invalid_params({"reason": str(error)}) from None
        session = EditorSession(assembled, self._editor)
        self._sessions[session.id] = session
        return session


def _directory(name: str) -> Path:
    path = Path(name)
    try:
        resolved = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise RequestError.invalid_params({"reason": f"{name}: {error}"}) from None
    if not resolved.is_dir():
        raise RequestError.invalid_params({"reason": f"{name} is not a directory"})
    return resolved


def _servers(servers: list[Any]) -> str:
    """Return the editor's MCP servers as `--mcp-config` takes them."""
    entries: dict[str, dict[str, Any]] = {}
    for server in servers:
        match server:
            case schema.McpServerStdio():
                env = {variable.name: variable.value for variable in server.env}
                entries[server.name] = {
                    "command": server.command,
                    "args": server.args,
                    "env": env,
                }
            case schema.HttpMcpServer() | schema.SseMcpServer():
                headers = {header.name: header.value for header in server.headers}
                kind = "http" if isinstance(server, schema.HttpMcpServer) else "sse"
                entries[server.name] = {"type": kind, "url": server.url, "headers": headers}
            case _:
                continue
    return msgspec.json.encode({"mcpServers": entries}).decode()
