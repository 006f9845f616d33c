"""Servers for the tests: processes of their own, each with one oddity."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apr.mcp.cache import Cache
from apr.mcp.config import Server
from apr.mcp.served import Times
from apr.mcp.servers import Servers

ODD = Path(__file__).with_name("odd_server.py")
TIMES = Times(wait=20, start=20, call=20)


def odd(oddity: str = "none", name: str = "odd") -> Server:
    """Return a server with this oddity."""
    return Server(
        name=name,
        scope="user",
        source="test",
        kind="stdio",
        command=sys.executable,
        args=("-S", str(ODD), oddity),
    )


def statuses(servers: Servers) -> list[str]:
    """Return how it is with each server."""
    return [served.status for served in servers.all]


class House:
    """Servers of a session, what they told, and how often they changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []
        self.changes = 0
        self.opened: list[Servers] = []
        self.cache = Cache(folder.parent / "cache", folder)

    def __call__(self, *servers: Server, times: Times = TIMES) -> Servers:
        """Return a session's servers."""
        made = Servers(
            servers,
            self.folder,
            {"PATH": "/usr/bin:/bin"},
            times=times,
            cache=self.cache,
            changed=self._changed,
            tell=self.told.append,
        )
        self.opened.append(made)
        return made

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
async def house(project: Path) -> AsyncIterator[House]:
    made = House(project)
    yield made
    for servers in made.opened:
        await servers.close()
