"""What the program that drives us wants while the session runs, and what it is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from apr.agent.compaction import CHARACTERS_A_TOKEN, Compactor
from apr.assembly import Assembled
from apr.errors import AprError
from apr.headless.arrivals import ControlRequest
from apr.headless.consent import with_mode
from apr.headless.host import Host
from apr.headless.introduction import mcp_servers
from apr.legible import legible
from apr.mcp.failures import Gone
from apr.providers.base import Provider
from apr.settings import Settings
from apr.tools.errors import ToolError

if TYPE_CHECKING:
    from apr.mcp.served import Served
    from apr.sessions.checkpoints import Checkpoints

OpenModel = Callable[[str | None], tuple[Provider, str]]
"""Takes a model's name, None for that of the start; returns the wire to it, and what it is called.

Raises AprError where there is no such model.
"""


class SetPermissionMode(Struct):
    """Another permission mode from now on."""

    mode: str


class SetModel(Struct):
    """Another model from the next request on; None for that of the start."""

    model: str | None = None


class SetMaxThinkingTokens(Struct):
    """Whether the model reasons before it answers: not at all with 0."""

    max_thinking_tokens: int | None = None


class McpReconnect(Struct, rename="camel"):
    """A new connection to an MCP server."""

    server_name: str


class McpToggle(McpReconnect):
    """Whether an MCP server may be used from now on."""

    enabled: bool


class RewindFiles(Struct):
    """Files as they were before a prompt."""

    user_message_id: str
    dry_run: bool = False


class StopTask(Struct):
    """The end of a command that runs in the background, by the id that its tool gave."""

    task_id: str


class Control:
    """Answers requests.

    Args:
        assembled: the session.
        settings: say which modes are allowed.
        host: who is answered.
        open_model: opens another model.
        checkpoints: files as they were; None where they are not kept.
    """

    def __init__(
        self,
        assembled: Assembled,
        settings: Settings,
        host: Host,
        open_model: OpenModel,
        checkpoints: "Checkpoints | None",
    ) -> None:
        self._assembled = assembled
        self._agent = assembled.agent
        self._settings = settings
        self._host = host
        self._open_model = open_model
        self._checkpoints = checkpoints
        self._going_on: set[asyncio.Task[None]] = set()
        self._answers: Mapping[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "interrupt": self._interrupt,
            "set_permission_mode": self._set_permission_mode,
            "set_model": self._set_model,
            "set_max_thinking_tokens": self._set_max_thinking_tokens,
            "mcp_status": self._mcp_status,
            "mcp_reconnect": self._mcp_reconnect,
            "mcp_toggle": self._mcp_toggle,
            "get_context_usage": self._get_context_usage,
            "stop_task": self._stop_task,
            "rewind_files": self._rewind_files,
        }

    async def take(self, request: ControlRequest) -> None:
        """Do what is wanted, in the order of the requests.

        What needs the host meanwhile, which cannot be heard before this returns, goes on beside it.
        """
        if request.subtype == "mcp_reconnect":
            task = asyncio.create_task(self._do(request))
            self._going_on.add(task)
            task.add_done_callback(self._going_on.discard)
        else:
            await self._do(request)

    async def _do(self, request: ControlRequest) -> None:
        """Do it, and answer; where it cannot be done, say why."""
        answer = self._answers.get(request.subtype)
        if answer is None:
            known = ", ".join(self._answers)
            self._host.refuse(
                request.request_id,
                f"{request.subtype!r} cannot be asked for here; what can: {known}",
            )
            return
        try:
            answered = await answer(request.request)
        except (AprError, ToolError, Gone, msgspec.ValidationError) as error:
            self._host.refuse(request.request_id, str(error))
        else:
            self._host.answer(request.request_id, answered)

    async def _interrupt(self, request: dict[str, Any]) -> dict[str, Any]:
        self._agent.interrupt()
        return {}

    async def _set_permission_mode(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = msgspec.convert(request, SetPermissionMode)
        policy = with_mode(self._agent.gate.policy, wanted.mode, self._settings)
        self._assembled.enforce(policy)
        return {"mode": policy.mode}

    async def _set_model(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = msgspec.convert(request, SetModel).model
        provider, name = self._open_model(None if wanted == "default" else wanted)
        self._assembled.use(provider, name)
        return {"model": name}

    async def _set_max_thinking_tokens(self, request: dict[str, Any]) -> dict[str, Any]:
        tokens = msgspec.convert(request, SetMaxThinkingTokens).max_thinking_tokens
        self._agent.request = msgspec.structs.replace(
            self._agent.request, options=reasoning(self._agent.request.options, tokens != 0)
        )
        return {}

    async def _mcp_status(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"mcpServers": mcp_servers(self._assembled)}

    async def _mcp_reconnect(self, request: dict[str, Any]) -> dict[str, Any]:
        name = msgspec.convert(request, McpReconnect).server_name
        await _server(self._assembled, name).reconnect()
        return {}

    async def _mcp_toggle(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = msgspec.convert(request, McpToggle)
        _server(self._assembled, wanted.server_name).enabled = wanted.enabled
        self._assembled.give_tools()
        return {}

    async def _get_context_usage(self, request: dict[str, Any]) -> dict[str, Any]:
        agent = self._agent
        window = agent.window
        total = window.tokens(agent) if isinstance(window, Compactor) else 0
        system = _tokens(agent.request.system)
        tools = _tokens(msgspec.json.encode(agent.request.tools).decode())
        most = agent.provider.context or 0
        parts = {"System prompt": system, "Tools": tools, "Messages": total - system - tools}
        return {
            "categories": [
                {"name": name, "tokens": max(tokens, 0), "color": "text"}
                for name, tokens in parts.items()
            ],
            "totalTokens": total,
            "maxTokens": most,
            "rawMaxTokens": most,
            "percentage": round(100 * total / most, 1) if most else 0.0,
            "model": agent.session.model,
            "isAutoCompactEnabled": window is not None,
            "memoryFiles": [],
            "mcpTools": [],
            "agents": [],
            "gridRows": [],
        }

    async def _rewind_files(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = msgspec.convert(request, RewindFiles)
        if self._checkpoints is None:
            raise AprError("files are not kept in this session: see enable_file_checkpointing")
        from apr.sessions.checkpoints import put_back

        steps = self._checkpoints.since(self._checkpoints.marked(wanted.user_message_id))
        names = [legible(str(step.path)) for step in steps]
        if not wanted.dry_run and steps:
            failed = self._checkpoints.restore(steps)
            left = {step.path for step, _ in failed}
            if back := [step for step in steps if step.path not in left]:
                self._agent.inbox.append(put_back(back))
            if failed:
                raise AprError(
                    "\n".join(f"{step.path} is as it was: {why}" for step, why in failed)
                )
        return {"canRewind": True, "filesChanged": names}

    async def _stop_task(self, request: dict[str, Any]) -> dict[str, Any]:
        task = msgspec.convert(request, StopTask).task_id
        await self._agent.context.shells.background(task).kill()
        return {}


def _server(assembled: Assembled, name: str) -> "Served":
    servers = assembled.servers.all if assembled.servers is not None else []
    found = next((served for served in servers if served.server.name == name), None)
    if found is None:
        raise AprError(f"there is no MCP server {name!r} in this session")
    return found


def reasoning(options: Mapping[str, Any], wanted: bool) -> dict[str, Any]:
    """Return a request's options, with the chat template told whether there is to be reasoning."""
    kwargs = {**options.get("chat_template_kwargs", {}), "enable_thinking": wanted}
    return {**options, "chat_template_kwargs": kwargs}


def _tokens(text: str) -> int:
    return int(len(text) / CHARACTERS_A_TOKEN)
