"""The sandbox of one session: confines commands, and takes away what it needed when it is over."""

import os
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from apr.agent.permissions import Policy
from apr.errors import AprError
from apr.sandbox.profile import Profile, plantable, profile, unguarded
from apr.settings.schema import Sandbox

if TYPE_CHECKING:
    from apr.sandbox.network import Network
    from apr.sandbox.proxy import Proxy

_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")
_DIRECT = "localhost,127.0.0.1,::1"


class SandboxUnavailable(AprError):
    """The settings want a sandbox or nothing, and there is none here."""


class Confinement:
    """Confines the commands of one session.

    Args:
        settings: what they may do.
        policy: the project, its directories, and the rules that deny.
        environment: what commands find in their environment besides ours, by the user's will.
    """

    def __init__(
        self, settings: Sandbox, policy: Policy, environment: Mapping[str, str] | None = None
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._given = frozenset(environment or ())
        self._home = Path.home().resolve()
        self._folder: Path | None = None
        self._network: Network | None = None
        self._proxy: Proxy | None = None
        self._port: int | None = None
        self._made: set[Path] = set()
        self._plantable: tuple[Path, ...] = ()

    @property
    def policy(self) -> Policy:
        """The policy, as it is with commands confined."""
        settings = self._settings
        return msgspec.structs.replace(
            self._policy,
            sandboxed=settings.auto_allow_bash_if_sandboxed,
            unconfined=settings.excluded_commands,
        )

    def follow(self, policy: Policy) -> None:
        """Confine by another policy, from the next command on."""
        self._policy = policy
        if self._folder is not None:
            self._plantable = plantable((policy.root, *policy.directories))

    def excludes(self, command: str) -> bool:
        """Whether the settings have a command run outside."""
        if not self._settings.excluded_commands:
            return False
        from apr.agent.shell_policy import runs_outside

        return runs_outside(self._settings.excluded_commands, command)

    def confine(self, argv: Sequence[str], folder: Path) -> list[str]:
        """Return the command that runs `argv` in a folder, confined. Call it in the event loop.

        Raises:
            SandboxFailed: it cannot be; then it must not be run.
        """
        here = self._prepared()
        self._take_away()
        environment = [name for name in os.environ if name not in self._given]
        now = profile(self._settings, self._policy, self._home, dict.fromkeys(environment, ""))
        self._made |= set(now.missing)
        if sys.platform == "darwin":
            from apr.sandbox import seatbelt

            return seatbelt.arguments(
                now,
                ["/usr/bin/env", *self._way_out(), *argv],
                temp=here / "tmp",
                proxy_port=self._port,
            )
        return self._in_namespaces(now, argv, folder, here)

    def _in_namespaces(
        self, now: Profile, argv: Sequence[str], folder: Path, here: Path
    ) -> list[str]:
        from apr.sandbox import bwrap

        made = bwrap.arguments(now, argv, folder, temp=here / "tmp", empty=here / "empty")
        if self._network is not None:
            made = [*self._network.entering(), *made]
        # Not by --unsetenv: what bubblewrap itself was given can be read inside.
        script = f"unset {' '.join(now.unset)}\n" if now.unset else ""
        script += "".join(f"export {one}\n" for one in self._way_out()) + 'exec "$@"'
        filter_file = here / ("filter-unix" if now.any_socket else "filter")
        if filter_file.exists():
            at = made.index(bwrap.PROGRAM) + 1
            made = [*made[:at], "--seccomp", "9", *made[at:]]
            script += f" 9<{shlex.quote(str(filter_file))}"
        return ["/bin/sh", "-c", script, "sh", *made]

    def _way_out(self) -> list[str]:
        """Return the variables that tell a command of the way out, if there is one."""
        if self._port is None:
            return []
        address = f"http://127.0.0.1:{self._port}"
        told = [f"{name}={address}" for name in _PROXY_VARIABLES]
        return [*told, f"NO_PROXY={_DIRECT}", f"no_proxy={_DIRECT}"]

    def _prepared(self) -> Path:
        """Make what all commands share, when the first one is to run."""
        if self._folder is not None:
            return self._folder
        self._plantable = plantable((self._policy.root, *self._policy.directories))
        here = Path(tempfile.mkdtemp(prefix="apr-sandbox-")).resolve()
        for name in ("tmp", "empty"):
            (here / name).mkdir()
        try:
            self._open_network(here)
        except BaseException:
            shutil.rmtree(here, ignore_errors=True)
            raise
        self._folder = here
        return here

    def _open_network(self, here: Path) -> None:
        from apr.sandbox.proxy import Allowed, Proxy

        network = self._settings.network
        wanted = bool(network.allowed_domains or network.http_proxy_port)
        if sys.platform == "darwin":
            listening = socket.create_server(("127.0.0.1", 0))
            self._port = listening.getsockname()[1] if wanted else None
        else:
            from apr.sandbox import syscalls
            from apr.sandbox.network import PORT, Network

            for name, unix in (("filter", False), ("filter-unix", True)):
                if (program := syscalls.program(unix_sockets=unix)) is not None:
                    (here / name).write_bytes(program)
            self._network = Network()
            listening = self._network.listening
            self._port = PORT if wanted else None
        if wanted:
            allowed = Allowed(network.allowed_domains, network.denied_domains)
            self._proxy = Proxy(listening, allowed, network.http_proxy_port)
        else:
            listening.close()

    def _take_away(self) -> None:
        """Take away what commands may have put where git would believe it."""
        for path in self._plantable:
            with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
                path.unlink()

    async def close(self) -> None:
        """Take away all that was needed, also the mount points of what must not be made."""
        proxy, self._proxy = self._proxy, None
        network, self._network = self._network, None
        folder, self._folder = self._folder, None
        if proxy is not None:
            await proxy.close()
        if network is not None:
            network.close()
        self._take_away()
        for path in sorted(self._made, reverse=True):
            with suppress(OSError):  # it is no folder, or not empty: then it is not ours
                path.rmdir()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def unavailable() -> str | None:
    """Say why commands cannot be confined here, and what to do; None if they can."""
    if sys.platform == "darwin":
        from apr.sandbox import seatbelt

        return seatbelt.unavailable()
    if sys.platform != "linux":
        return f"there is no sandbox for {sys.platform}; in WSL2 there is"
    from apr.sandbox import bwrap

    return bwrap.unavailable()


def confinement(
    settings: Sandbox, policy: Policy, environment: Mapping[str, str], notices: list[str]
) -> Confinement | None:
    """Return the sandbox that the settings want; None for none. What is amiss goes to `notices`.

    Raises:
        SandboxUnavailable: there is none here, and the settings want one or nothing.
    """
    if not settings.enabled:
        return None
    if reason := unavailable():
        if settings.fail_if_unavailable:
            raise SandboxUnavailable(f"sandbox.failIfUnavailable is set, and {reason}")
        notices.append(f"sandbox: commands run UNCONFINED: {reason}")
        return None
    if not settings.network.allow_all_unix_sockets and sys.platform == "linux":
        from apr.sandbox import syscalls

        if syscalls.program() is None:
            notices.append("sandbox: Unix sockets are not cut off on this kind of processor")
    notices += [
        f"sandbox: {path} is a link: a command can put something else in its place"
        for path in unguarded((policy.root, *policy.directories))
    ]
    return Confinement(settings, policy, environment)
