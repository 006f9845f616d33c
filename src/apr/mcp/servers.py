"""The MCP servers of a session."""

import asyncio
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Struct

from apr.agent.parts import Expansion
from apr.mcp.cache import Cache
from apr.mcp.config import Server
from apr.mcp.failures import Failed, Gone
from apr.mcp.listing import Prompt, clean, full_name
from apr.mcp.served import Served, Times, loaded
from apr.mcp.tool import ListMcpResourcesTool, McpTool, ReadMcpResourceTool
from apr.tools.base import Tool

if TYPE_CHECKING:
    from apr.mcp.client import Transport

_POLITE_S = 2.0
"""Seconds after which servers are asked that were known: the first request is on its way then."""


_MANY_TOKENS = 10_000
"""Tokens from which on a person is told what the tools cost: a model on one's own machine has to
read them all before its first word."""


class Command(Struct, frozen=True):
    """A prompt of a server, as a user calls it: `/mcp__server__prompt`."""

    name: str
    description: str
    arguments: tuple[str, ...]


class Servers:
    """All servers of a session. What is known of them is offered at once; none is started before.

    Args:
        servers: those that may be used.
        folder: the project.
        environment: what their processes find in their environment.
        times: how long they may take.
        cache: what is known of servers; None to ask them always.
        changed: called when they offer something else than before.
        tell: told what a person should know.
        transports: by name, how to reach servers of kind `sdk`.
        unapproved: those that wait for a person's approval, and are not started before.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        folder: Path,
        environment: Mapping[str, str],
        *,
        times: Times,
        cache: Cache | None,
        changed: Callable[[], None],
        tell: Callable[[str], None],
        transports: "Mapping[str, Callable[[], Transport]] | None" = None,
        unapproved: Sequence[Server] = (),
    ) -> None:
        self.unapproved = list(unapproved)
        self._times = times
        self._tell = tell
        self._late: asyncio.Task[None] | None = None
        self._learning: list[asyncio.Task[None]] = []

        def served(server: Server) -> Served:
            return Served(
                server,
                folder,
                environment,
                times=times,
                cache=cache if server.kind != "sdk" else None,
                changed=changed,
                tell=tell,
                transport=(transports or {}).get(server.name),
            )

        self._served = served
        self.all = [served(server) for server in servers]

    def take(self, server: Server) -> Served:
        """Let one more server be used."""
        self.unapproved = [one for one in self.unapproved if one.name != server.name]
        served = self._served(server)
        self.all.append(served)
        return served

    async def ready(self) -> None:
        """Wait until it is known what each server offers, but not for ever.

        Who is not up by then is told of, and what it offers comes when it is. Servers that are
        known from long ago are asked later, when nobody waits.
        """
        self._learning = [
            asyncio.create_task(served.learn()) for served in self.all if served.listing is None
        ]
        if any(served.listing is not None and served.stale for served in self.all):
            self._late = asyncio.create_task(self._refresh())
        if self._learning:
            await self._wait()
        if (tokens := self._tokens()) > _MANY_TOKENS:
            self._tell(
                f"MCP: the servers' tools take about {tokens:,} tokens of every request; a rule "
                "that denies a tool or a server (mcp__server) takes it away"
            )

    async def _wait(self) -> None:
        await loaded()  # which is no fault of any server's
        patient = self._times.wait >= self._times.start  # each says itself what is wrong, then
        limit = None if patient else self._times.wait
        _, waiting = await asyncio.wait(self._learning, timeout=limit)
        if waiting:
            names = ", ".join(clean(s.server.name, 60) for s in self.all if s.status == "pending")
            self._tell(
                f"MCP: not up after {self._times.wait:g} s: {names}; "
                "what they offer comes when they are (MCP_TIMEOUT is in milliseconds)"
            )

    def _tokens(self) -> int:
        """Estimate what the tools take of a request: a token for four characters."""
        known = [served.listing for served in self.all if served.listing is not None]
        listed = [tool for listing in known for tool in listing.tools]
        return sum(len(t.description) + len(msgspec.json.encode(t.schema)) for t in listed) // 4

    def tools(self) -> list[Tool[Any]]:
        """Return the tools there are now."""
        found: dict[str, Tool[Any]] = {}
        for served in self.all:
            for offered in served.offers.tools if served.offers is not None else ():
                tool = McpTool(served, offered)
                found.setdefault(tool.name, cast("Tool[Any]", tool))
        more: list[Tool[Any]] = []
        if self._readable():
            more = [ListMcpResourcesTool(self._readable), ReadMcpResourceTool(self._readable)]
        return [*found.values(), *more]

    def prompts(self) -> list[Command]:
        """Return the prompts that can be called as commands."""
        return [
            Command(name, prompt.description, tuple(a.name for a in prompt.arguments))
            for name, (_, prompt) in self._prompts().items()
        ]

    async def expand(self, name: str, arguments: str) -> Expansion | None:
        """Return what a command stands for; None where no server has such a prompt."""
        found = self._prompts().get(name)
        if found is None:
            return None
        served, prompt = found
        try:
            text = await served.prompt(prompt.name, _assigned(prompt, arguments))
        except (Gone, Failed, ValueError) as error:
            self._tell(f"/{name} could not be used: {error}")
            text = f"The user called the command /{name}, which failed: {error}"
        return Expansion(name, text)

    async def close(self) -> None:
        """End all servers, at once."""
        tasks = [task for task in (self._late, *self._learning) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(served.close() for served in self.all))

    async def _refresh(self) -> None:
        await asyncio.sleep(_POLITE_S)
        stale = (served for served in self.all if served.listing is not None and served.stale)
        await asyncio.gather(*(served.learn() for served in stale))

    def _readable(self) -> list[Served]:
        return [s for s in self.all if s.offers is not None and s.offers.resources]

    def _prompts(self) -> dict[str, tuple[Served, Prompt]]:
        return {full: (served, prompt) for full, served, prompt in self._each_prompt()}

    def _each_prompt(self) -> Iterator[tuple[str, Served, Prompt]]:
        for served in self.all:
            for prompt in served.offers.prompts if served.offers is not None else ():
                yield full_name(served.server.name, prompt.name), served, prompt


def _assigned(prompt: Prompt, given: str) -> dict[str, str]:
    """Give words to a prompt's arguments in their order; the last takes all that is left.

    Raises:
        ValueError: one that it must have is missing, or a quotation is not closed.
    """
    words = shlex.split(given)
    names = [argument.name for argument in prompt.arguments]
    if names and len(words) > len(names):
        words[len(names) - 1 :] = [" ".join(words[len(names) - 1 :])]
    assigned = dict(zip(names, words, strict=False))
    missing = [a.name for a in prompt.arguments if a.required and a.name not in assigned]
    if missing:
        raise ValueError(f"it needs {', '.join(missing)}")
    return assigned
