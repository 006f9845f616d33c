"""The agent's own tools for others: an MCP server over standard input and output.

Each call passes the same gate as the agent's own: hooks, rules, mode. Nobody can be asked.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator
from typing import Any

from mcp import types as wire
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server

from apr import __version__
from apr.agent.calls import Ran, Refused, check, execute, report
from apr.agent.gate import Gate
from apr.providers.base import ModelEvent, ProviderError, Request
from apr.tools.base import Context, Tool, parameters
from ccpa.trace import ToolResult, ToolUseBlock

logging.getLogger("mcp").addHandler(logging.NullHandler())  # who calls is told what fails


class ToolServer:
    """Tools behind a gate, as an MCP server.

    Args:
        tools: those that are offered.
        gate: decides on each call.
        context: what tools know.
    """

    def __init__(self, tools: list[Tool[Any]], gate: Gate, context: Context) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._gate = gate
        self._context = context
        self._alone = asyncio.Lock()
        self._numbers = itertools.count(1)

    async def serve(self) -> None:
        """Answer until standard input ends."""
        server: Server[Any] = Server(
            "apr", version=__version__, on_list_tools=self._list, on_call_tool=self._call
        )
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    async def use(self, name: str, given: dict[str, Any]) -> ToolResult:
        """Use a tool, if that may be, and return what it came to."""
        call = ToolUseBlock(f"mcp_{next(self._numbers)}", name, given)
        checked = check(call, {}, self._tools, self._context)
        if isinstance(checked, Refused):
            return self._report(call, checked)
        admitted = (await self._gate.admit(checked, self._tools, self._context)).came_to
        if isinstance(admitted, Refused):
            return self._report(call, admitted)
        if checked.tool.read_only:
            return self._report(call, await execute(admitted, self._context))
        async with self._alone:  # as in a turn: what changes something runs alone
            ran = await execute(admitted, self._context)
            if ran.outcome.directory is not None:
                self._context.cwd = ran.outcome.directory
        return self._report(call, ran)

    def _report(self, call: ToolUseBlock, came_to: Ran | Refused) -> ToolResult:
        return report(0, call, came_to, self._context.root)

    async def _list(
        self, _context: ServerRequestContext[Any], _params: object
    ) -> wire.ListToolsResult:
        return wire.ListToolsResult(
            tools=[
                wire.Tool(
                    name=tool.name,
                    description=tool.description,
                    input_schema=parameters(tool),
                    annotations=wire.ToolAnnotations(read_only_hint=tool.read_only),
                )
                for tool in self._tools.values()
            ]
        )

    async def _call(
        self, _context: ServerRequestContext[Any], params: wire.CallToolRequestParams
    ) -> wire.CallToolResult:
        result = await self.use(params.name, params.arguments or {})
        text = wire.TextContent(type="text", text=result.content)
        return wire.CallToolResult(content=[text], is_error=not result.ok)


class NoModel:
    """The model of a session that has none: the one who calls the tools decides."""

    context: int | None = None

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Refuse."""
        raise ProviderError("tools that are served to others have no model of their own")
        yield  # never reached: it makes this a generator

    async def close(self) -> None:
        """Give back nothing."""
