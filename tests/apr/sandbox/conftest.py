"""A confined shell in a project, with a home that holds secrets."""

import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from apr.agent.permissions import Policy, parse_rules
from apr.sandbox.confinement import Confinement, unavailable
from apr.settings.schema import Sandbox
from apr.tools.shells import Shells

needs_sandbox = pytest.mark.skipif(
    unavailable() is not None, reason=f"nothing can be confined here: {unavailable()}"
)


class Confined:
    """A shell in the sandbox. `run` returns its exit status and what it said."""

    def __init__(self, root: Path, home: Path, outside: Path, shells: Shells) -> None:
        self.root, self.home, self.outside = root, home, outside
        self.shells = shells

    async def run(self, command: str, seconds: float = 20) -> tuple[int, str]:
        shell = await self.shells.start(command, self.root)
        status = await shell.wait(seconds)
        return status, shell.output.take().text


Opened = Callable[..., Awaitable[Confined]]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that is not below /tmp, for commands have a /tmp of their own."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="apr-test-") as folder:
        yield Path(folder).resolve()


@pytest.fixture
async def opened(place: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opened]:
    root, home, outside = place / "project", place / "home", place / "outside"
    for folder in (root, home / ".ssh", home / ".config" / "gh", outside):
        folder.mkdir(parents=True)
    (home / ".ssh" / "id_rsa").write_text("PRIVATE")
    (home / ".netrc").write_text("PRIVATE")
    (home / "notes.txt").write_text("open")
    (outside / "file").write_text("as it was")
    monkeypatch.setenv("HOME", str(home))
    sandboxes: list[tuple[Shells, Confinement]] = []

    async def start(
        settings: dict[str, object] | None = None, deny: str = "", env: dict[str, str] | None = None
    ) -> Confined:
        read = msgspec.convert({"enabled": True, **(settings or {})}, Sandbox)
        policy = Policy(root=root, deny=parse_rules([deny]))
        sandbox = Confinement(read, policy, env or {})
        shells = Shells(env or {}, sandbox)
        sandboxes.append((shells, sandbox))
        return Confined(root, home, outside, shells)

    yield start
    for shells, sandbox in sandboxes:
        await shells.close()
        await sandbox.close()


PYTHON = str(Path(sys.executable).resolve())
"""Python itself: that of an environment may lie in a folder that is hidden inside."""
