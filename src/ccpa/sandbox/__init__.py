"""A place for an agent under test: a network of its own, with loopback and nothing else.

On Linux the agent runs in namespaces of its own (user, network, mount, process, IPC), made without
privileges. Whatever it tries to reach is noted and fails; `docs/replay.md` says what that does not
cover. Where namespaces cannot be made, `Unconfined` runs it as it is, in the same terms.
"""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from msgspec import Struct

from ccpa.errors import CcpaError
from ccpa.sandbox import inside
from ccpa.sandbox.talk import Line, Talk
from ccpa.sandbox.watch import Attempt, Watch

__all__ = [
    "Attempt",
    "Place",
    "Sandbox",
    "SandboxUnavailable",
    "Streams",
    "Talk",
    "Unconfined",
    "unavailable",
]

_ANSWER_TIMEOUT_S = 20.0
_NO_COMMAND = 127
_SOCKETS = 3
_SWITCHES = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu
    ("kernel/unprivileged_userns_clone", "0", "1"),  # Debian
    ("user/max_user_namespaces", "0", "10000"),
)
"""Settings of the kernel that can forbid user namespaces: name, value that does, and its remedy."""


class SandboxUnavailable(CcpaError):
    """Namespaces cannot be made here; the message says what failed."""


class Streams(Struct, frozen=True):
    """The files that take what a command prints."""

    stdout: Path
    stderr: Path


class Place(Protocol):
    """Somewhere to run one command. `listener` is a listening socket that it can reach."""

    @property
    def listener(self) -> socket.socket:
        """Where the model is to be served; the place's user closes it."""

    @property
    def process_id(self) -> int | None:
        """The process from which all of them descend, while it runs."""

    def run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        timeout_s: float,
        talk: Talk | None = None,
    ) -> int | None:
        """Run the command, and end all that it has started.

        Its standard input is empty, but for what `talk` says.
        Returns its exit status, 128 + n for signal n, None if time ran out.

        Raises:
            CcpaError: it cannot be started.
        """

    def attempts(self) -> list[Attempt]:
        """Return what it tried to reach, where that is watched. To be called once, after `run`."""

    def __enter__(self) -> Self:
        """Set it up."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Take it down."""


class Unconfined:
    """No sandbox: the machine as it is. Nothing is enforced, and nothing is watched.

    Args:
        cwd: where the command runs.
        streams: where its output goes.
    """

    def __init__(self, cwd: Path, streams: Streams) -> None:
        self._cwd = cwd
        self._streams = streams
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.process_id: int | None = None

    def run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        timeout_s: float,
        talk: Talk | None = None,
    ) -> int | None:
        """Run the command in a process group of its own, which is killed in the end."""
        end = time.monotonic() + timeout_s
        with ExitStack() as held:
            line = None if talk is None else held.enter_context(Line(talk, self._streams.stdout))
            out = held.enter_context(self._streams.stdout.open("wb"))
            err = held.enter_context(self._streams.stderr.open("wb"))
            try:
                process = subprocess.Popen(
                    argv,
                    cwd=self._cwd,
                    env=dict(environment),
                    stdin=line.stdin if line else subprocess.DEVNULL,
                    stdout=line.stdout if line else out,
                    stderr=err,
                    start_new_session=True,
                )
            except OSError as error:
                raise CcpaError(f"cannot start {argv[0]}: {error.strerror}") from None
            self.process_id = process.pid
            try:
                if line is not None:
                    line.keep(process, timeout_s=timeout_s)
                return _shell_status(process.wait(max(end - time.monotonic(), 0)))
            except subprocess.TimeoutExpired:
                return None
            finally:
                self.process_id = None
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def attempts(self) -> list[Attempt]:
        """Return nothing: nobody watched."""
        return []

    def __enter__(self) -> Self:
        """Nothing is to be set up."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the listener."""
        self.listener.close()


class Sandbox:
    """Namespaces of its own for one command.

    Args:
        scratch: a directory for what the sandbox itself needs: empty, or not there yet.
        cwd: where the command runs, as seen inside.
        streams: where its output goes.
        binds: directories, and the absolute paths that they are at inside. A path whose first
            segment the machine does not have is made; any other must be a directory already.
        etc: files to be seen under `/etc`, by relative path, in place of the machine's own.
        hosts: names that lead to loopback.
        ports: of loopback, for which there are listening sockets in `ports` then.

    Raises:
        SandboxUnavailable: on entry, if the machine does not let us.
    """

    listener: socket.socket
    ports: tuple[socket.socket, ...]
    process_id: int | None = None

    def __init__(
        self,
        scratch: Path,
        cwd: str,
        streams: Streams,
        *,
        binds: Mapping[Path, str] | None = None,
        etc: Mapping[str, str] | None = None,
        hosts: Sequence[str] = (),
        ports: Sequence[int] = (),
    ) -> None:
        self._scratch = scratch
        self._cwd = cwd
        self._streams = streams
        self._binds = dict(binds or {})
        self._etc = _own_etc(hosts) | dict(etc or {})
        self._ports = list(ports)

    def __enter__(self) -> Self:
        """Make the namespaces and take over their sockets."""
        if sys.platform != "linux":
            raise SandboxUnavailable(f"no network namespaces on {sys.platform}")
        spec = self._prepare()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_ANSWER_TIMEOUT_S)
        with theirs, self._streams.stdout.open("wb") as out, self._streams.stderr.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", inside.__file__, str(theirs.fileno())],
                cwd="/",
                env={},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=[theirs.fileno()],
            )
        try:
            self.listener, names, packets, *ports = self._set_up(spec)
        except BaseException:
            self._end()
            raise
        self.ports = tuple(ports)
        self._watch = Watch(names, packets)
        self.process_id = self._process.pid
        return self

    def run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        timeout_s: float,
        talk: Talk | None = None,
    ) -> int | None:
        """Run the command as the first user process of the sandbox, which ends with it."""
        end = time.monotonic() + timeout_s
        command = {"argv": list(argv), "environment": dict(environment)}
        try:
            if talk is None:
                self._tell(command)
            else:
                with Line(talk, self._streams.stdout) as line:
                    self._tell(command, [line.stdin, line.stdout])
                    line.keep(self._process, timeout_s=timeout_s)
            status = _shell_status(self._process.wait(max(end - time.monotonic(), 0)))
        except subprocess.TimeoutExpired:
            return None
        if status == _NO_COMMAND and (answer := self._answer()[0]):
            raise CcpaError(f"cannot start {answer['no_command']}")
        return status

    def attempts(self) -> list[Attempt]:
        """Return what anything in the sandbox tried to reach outside, each once."""
        return self._watch.stop()

    def __exit__(self, *_: object) -> None:
        """End every process in the sandbox."""
        self._end()
        self._watch.stop()
        for one in (self.listener, *self.ports):
            one.close()

    def _prepare(self) -> dict[str, Any]:
        root, etc = self._scratch / "root", self._scratch / "etc"
        root.mkdir(parents=True)
        for name, text in self._etc.items():
            (etc / name).parent.mkdir(parents=True, exist_ok=True)
            (etc / name).write_text(text)
        binds = [[str(source), place] for source, place in self._binds.items()]
        places = {"root": str(root), "etc": str(etc), "binds": binds, "cwd": self._cwd}
        return places | {"ports": self._ports}

    def _set_up(self, spec: dict[str, Any]) -> list[socket.socket]:
        self._tell(spec)
        try:
            answer, sockets = self._answer()
        except TimeoutError:
            answer, sockets = None, []
        if answer is None or len(sockets) != _SOCKETS + len(self._ports):
            said = (answer or {}).get("error")
            raise SandboxUnavailable(
                (said or "the sandbox's first process ended or hangs") + _hint()
            )
        return sockets

    def _tell(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        with suppress(BrokenPipeError):  # then there is an answer that says why
            if descriptors:  # they go with a byte of their own, however long the message
                socket.send_fds(self._control, [b" "], descriptors)
            self._control.sendall(json.dumps(message).encode() + b"\n")

    def _answer(self) -> tuple[dict[str, Any] | None, list[socket.socket]]:
        data, descriptors, _, _ = socket.recv_fds(self._control, 65536, _SOCKETS + len(self._ports))
        sockets = [socket.socket(fileno=one) for one in descriptors]
        return (json.loads(data) if data else None), sockets

    def _end(self) -> None:
        self._control.close()  # its first process ends when we are gone, and all others with it
        self._process.wait()


def _own_etc(hosts: Sequence[str]) -> dict[str, str]:
    name = " ".join([socket.gethostname(), *hosts])
    return {
        "resolv.conf": "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n",
        "hosts": f"127.0.0.1 localhost {name}\n::1 localhost\n",
        # No service of the machine answers for names or users.
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }


def _hint() -> str:
    """Say what forbids namespaces, where that is known."""
    for name, forbids, wanted in _SWITCHES:
        with suppress(OSError):
            if Path("/proc/sys", name).read_text().strip() == forbids:
                return f"; `sysctl {name.replace('/', '.')}={wanted}` allows user namespaces"
    return ""


def _shell_status(status: int) -> int:
    return status if status >= 0 else 128 - status


@functools.cache
def unavailable() -> str | None:
    """Say why there is no sandbox on this machine; None if there is one. Tried once."""
    with tempfile.TemporaryDirectory(prefix="ccpa-") as scratch:
        here = Path(scratch)
        streams = Streams(here / "stdout", here / "stderr")
        try:
            with Sandbox(here / "sandbox", "/", streams) as place:
                place.run(["true"], {"PATH": os.environ.get("PATH", os.defpath)}, timeout_s=20)
                place.attempts()
        except CcpaError as error:
            return str(error)
    return None
