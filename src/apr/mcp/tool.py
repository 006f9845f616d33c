"""The tools that MCP servers give the agent: each of theirs, and two to read their resources."""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from apr.mcp.content import Answer
from apr.mcp.failures import Failed, Gone
from apr.mcp.listing import Offered, clean, full_name
from apr.mcp.served import Served
from apr.tools.base import Access, Context, Outcome, Verbatim
from apr.tools.errors import ToolError
from apr.tools.output import Capture


class McpTool:
    """One tool of one server. Its schema and description are the server's own words."""

    Input = Verbatim

    def __init__(self, served: Served, offered: Offered) -> None:
        self.name = full_name(served.server.name, offered.name)
        self.description = offered.description
        self.schema = offered.schema
        self.read_only = offered.read_only
        self._served = served
        self._offered = offered

    def access(self, call: Verbatim, context: Context) -> Access:
        """Execute what nobody here can look into: only a rule or a person allows it.

        Of a tool that its server calls reading, a person can allow that in plan mode, too.
        """
        return Access(kind="network" if self.read_only else "execute")

    async def run(self, call: Verbatim, context: Context) -> Outcome:
        """Have the server do it."""
        try:
            answer = await self._served.call(self._offered.name, call.arguments, context.progress)
        except (Gone, Failed) as error:
            return _failed(self._served, error)
        return _outcome(answer)


class ListInput(Struct, forbid_unknown_fields=True):
    """What ListMcpResourcesTool takes."""

    server: Annotated[str | None, Meta(description="Only those of this server")] = None


class ListMcpResourcesTool:
    """Lists what servers have to read."""

    name: ClassVar[str] = "ListMcpResourcesTool"
    description: ClassVar[str] = (
        "List the resources of MCP servers: name, URI and server of each. "
        "Read one with ReadMcpResourceTool."
    )
    Input = ListInput
    read_only: ClassVar[bool] = True

    def __init__(self, servers: Callable[[], Sequence[Served]]) -> None:
        self._servers = servers

    def access(self, call: ListInput, context: Context) -> Access:
        """Touch nothing here: the server was configured to be asked."""
        return Access(kind="none")

    async def run(self, call: ListInput, context: Context) -> Outcome:
        """Ask each server; one that fails does not hide the others."""
        servers = self._servers()
        if call.server is not None:
            servers = [_named(servers, call.server)]
        capture, failed = Capture(), 0
        for served in servers:
            try:
                found = await served.resources()
            except (Gone, Failed) as error:
                failed += 1
                capture.feed(f"{_failed(served, error).content}\n")
                continue
            for item in found:
                told = {
                    key: clean(str(item[key]), 500)
                    for key in ("name", "uri", "mimeType", "description")
                    if item.get(key)
                }
                told["server"] = served.server.name
                capture.feed(f"{msgspec.json.encode(told).decode()}\n")
        kept = capture.take()
        return Outcome(
            content=kept.text.rstrip("\n") or "[no resources]",
            ok=failed < len(servers),
            truncated=kept.truncated,
            full_sha256=kept.sha256,
        )


class ReadInput(Struct, forbid_unknown_fields=True):
    """What ReadMcpResourceTool takes."""

    server: str
    uri: str


class ReadMcpResourceTool:
    """Reads one resource of a server."""

    name: ClassVar[str] = "ReadMcpResourceTool"
    description: ClassVar[str] = "Read a resource of an MCP server, by its URI."
    Input = ReadInput
    read_only: ClassVar[bool] = True

    def __init__(self, servers: Callable[[], Sequence[Served]]) -> None:
        self._servers = servers

    def access(self, call: ReadInput, context: Context) -> Access:
        """Touch nothing here: the server was configured to be asked."""
        return Access(kind="none")

    async def run(self, call: ReadInput, context: Context) -> Outcome:
        """Ask the server for it."""
        served = _named(self._servers(), call.server)
        try:
            answer = await served.read(call.uri)
        except (Gone, Failed) as error:
            return _failed(served, error)
        return _outcome(answer)


def _named(servers: Sequence[Served], name: str) -> Served:
    for served in servers:
        if served.server.name == name:
            return served
    known = ", ".join(served.server.name for served in servers)
    raise ToolError(f"There is no MCP server {name!r} with resources. There are: {known}.")


def _outcome(answer: Answer) -> Outcome:
    kept = answer.kept
    return Outcome(
        content=kept.text,
        ok=answer.ok,
        truncated=kept.truncated,
        full_sha256=kept.sha256,
    )


def _failed(served: Served, error: Exception) -> Outcome:
    return Outcome(content=f"The MCP server {served.server.name} failed: {error}", ok=False)
