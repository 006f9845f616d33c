"""Shell commands as processes: started, listened to, and ended with all they have started.

Every command runs in a session and process group of its own, so that a signal reaches its children.
What left the group (`setsid`, job control) is found by a mark in its environment, where the system
shows the environment of a process (Linux).
"""

import asyncio
import codecs
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from apr.errors import AprError
from apr.tools.errors import ToolError
from apr.tools.output import Capture

if TYPE_CHECKING:
    from apr.sandbox.confinement import Confinement
    from apr.tools.guardian import Guardian

MARK = "APR_SHELL"
"""The variable by which a process tells which commands it belongs to."""
GRACE_S = 1.0
"""Time between asking to end and ending."""
LINGER_S = 0.1
"""Time that output is waited for after a shell has ended, while others hold its output open."""
_ROUNDS = 5
"""Times that processes are looked for that must be killed."""

_QUIET = {
    "PAGER": "cat",  # nobody turns pages
    "MANPAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "true",  # nobody writes in an editor
    "GIT_TERMINAL_PROMPT": "0",  # nobody types a password
    "DEBIAN_FRONTEND": "noninteractive",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "PYTHONUNBUFFERED": "1",  # output in the order it happened
}


@cache
def program() -> str:
    """Return the shell to run: bash, or whatever `sh` is."""
    if Path("/bin/bash").exists():
        return "/bin/bash"
    import shutil

    return shutil.which("bash") or "/bin/sh"


class Shell:
    """One command that runs or has run. `output` is what it said that was not taken yet."""

    def __init__(
        self,
        command: str,
        token: str,
        process: asyncio.subprocess.Process,
        *,
        said: int,
        place: int,
        progress: Callable[[str], None] | None,
    ) -> None:
        """Take over a process; `said` and `place` are pipes: its output, its last directory."""
        self.command = command
        self.output = Capture()
        self.killed = False
        self.directory: Path | None = None
        """Where the shell was when it ended; None where it did not say."""
        self._token = token
        self._process = process
        self._said, self._place = said, place
        self._progress = progress
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._closed = asyncio.Event()
        self._group_gone = False
        os.set_blocking(said, False)
        os.set_blocking(place, False)
        asyncio.get_running_loop().add_reader(said, self._listen)

    @property
    def status(self) -> int | None:
        """The exit status as a shell counts it (128 + the signal), None while it runs."""
        code = self._process.returncode
        return 128 - code if code is not None and code < 0 else code

    @property
    def gone(self) -> bool:
        """Whether nothing of it is left: neither the shell, nor others of its group or output."""
        return self.status is not None and self._closed.is_set() and not self._group_lives()

    async def finished(self) -> int:
        """Wait until the shell has ended and return its status.

        What it started may still run and hold its output open: that is listened to for a moment
        more, then discarded.
        """
        await self._process.wait()
        self._group_lives()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self._closed.wait()
        self._progress = None
        if self._place >= 0:
            with suppress(BlockingIOError):
                place = os.read(self._place, 1 << 16).decode(errors="surrogateescape")
                self.directory = Path(place.removesuffix("\n")) if place else None
            os.close(self._place)
            self._place = -1
        return self.status or 0

    async def wait(self, seconds: float) -> int:
        """Wait as `finished` does. If the time is over or the wait is cancelled, all is ended.

        Raises:
            TimeoutError: it took longer than that.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self.finished()
        except BaseException:
            await self.kill()
            raise

    async def kill(self) -> None:
        """End the shell and all it has started: ask first, then make sure.

        If this is cancelled, what is still there is ended at once.
        """
        if not self.gone:
            self.killed = self.status is None
            self._send(signal.SIGTERM)
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(GRACE_S):
                        await self._process.wait()
                        await self._closed.wait()
            finally:
                self._send(signal.SIGKILL)
        await self.finished()
        self._hang_up()

    def _listen(self) -> None:
        """Take in what can be read now, one piece, so that others get their turn."""
        try:
            data = os.read(self._said, 1 << 16)
        except BlockingIOError:
            return
        if text := self._decoder.decode(data, final=not data):
            self.output.feed(text)
            if self._progress is not None:
                self._progress(text)
        if not data:
            self._hang_up()

    def _hang_up(self) -> None:
        if not self._closed.is_set():
            asyncio.get_running_loop().remove_reader(self._said)
            os.close(self._said)
            self._closed.set()

    def _group_lives(self) -> bool:
        """Ask the system; once it is gone it is gone, and the number may be somebody else's."""
        if self.status is not None and not self._group_gone:
            self._group_gone = not _signal(os.killpg, self._process.pid, 0)
        return not self._group_gone

    def _send(self, number: int) -> None:
        if not self._group_gone:
            _signal(os.killpg, self._process.pid, number)
        _signal_marked(self._token, number)


class Shells:
    """The shells of one session. None of them, nor what they have started, outlives `close`.

    Args:
        environment: what commands find in their environment besides ours.
        sandbox: confines them; None where they are not.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        sandbox: "Confinement | None" = None,
    ) -> None:
        self._environment = dict(environment or {})
        self._sandbox = sandbox
        self._guardian: Guardian | None = None
        self._token = f"{os.urandom(8).hex()}."
        self._count = 0
        self._all: list[Shell] = []
        self._background: dict[str, Shell] = {}

    def apart(self) -> "Shells":
        """Return shells that end by themselves, and are otherwise as these: a subagent's."""
        return Shells(self._environment, self._sandbox)

    async def start(
        self, command: str, folder: Path, progress: Callable[[str], None] | None = None
    ) -> Shell:
        """Start a command in a folder. `progress` is called with its output as it comes.

        Raises:
            ToolError: the command or the folder is none that a shell can be started with.
        """
        self._count += 1
        self._all = [shell for shell in self._all if not shell.gone]
        try:
            token = f"{self._token}{self._count}."
            self._guard()
            confine = None
            if self._sandbox is not None and not self._sandbox.excludes(command):
                confine = self._sandbox.confine
            shell = await _start(command, folder, token, self._environment, progress, confine)
        except (OSError, ValueError, AprError) as error:  # too long, a NUL, no such folder
            raise ToolError(f"The shell could not be started: {error}") from None
        self._all.append(shell)
        return shell

    def _guard(self) -> None:
        """See to it that nothing outlives us, should we be killed."""
        if self._guardian is None:
            from apr.tools.guardian import Guardian

            self._guardian = Guardian(self._token)

    async def start_in_background(
        self, command: str, folder: Path, progress: Callable[[str], None] | None = None
    ) -> str:
        """Start a command that is not waited for, and return the id to ask for it by."""
        shell = await self.start(command, folder, progress)
        shell_id = f"bash_{len(self._background) + 1}"
        self._background[shell_id] = shell
        return shell_id

    def background(self, shell_id: str) -> Shell:
        """Return a background shell.

        Raises:
            ToolError: there is none by this id; the message names those there are.
        """
        try:
            return self._background[shell_id]
        except KeyError:
            known = ", ".join(self._background) or "none"
            raise ToolError(f"No background shell {shell_id}. There are: {known}.") from None

    async def close(self) -> None:
        """End every shell and everything they have started."""
        try:
            shells = {*self._all, *self._background.values()}
            await asyncio.gather(*(shell.kill() for shell in shells))
        finally:
            if self._count:
                _signal_marked(self._token, signal.SIGKILL)
            guardian, self._guardian = self._guardian, None
            if guardian is not None:
                guardian.dismiss()


async def _start(
    command: str,
    folder: Path,
    token: str,
    environment: Mapping[str, str],
    progress: Callable[[str], None] | None,
    confine: Callable[[Sequence[str], Path], Sequence[str]] | None,
) -> Shell:
    said, writer = os.pipe()
    try:
        place, place_writer = os.pipe()
    except OSError:
        os.close(said)
        os.close(writer)
        raise
    # The command is an argument, not part of the script, so that its errors show its own text.
    script = (
        f"trap '{{ command pwd -P; }} 2>/dev/null >/dev/fd/{place_writer}' EXIT; "
        'APR_COMMAND=$1; shift; eval "$APR_COMMAND"'
    )
    argv: Sequence[str] = (program(), "-c", script, "bash", command)
    try:
        process = await asyncio.create_subprocess_exec(
            *(argv if confine is None else confine(argv, folder)),
            cwd=folder,
            env={**_environment(token), **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            start_new_session=True,
            pass_fds=(place_writer,),
        )
    except BaseException:
        _signal_marked(token, signal.SIGKILL)  # cancelled while it was being started
        os.close(said)
        os.close(place)
        raise
    finally:
        os.close(writer)
        os.close(place_writer)
    return Shell(command, token, process, said=said, place=place, progress=progress)


def _environment(token: str) -> dict[str, str]:
    """Return the user's environment, quietened, with the mark; outer agents' marks are kept."""
    outer = os.environ.get(MARK, "")
    return {**os.environ, **_QUIET, MARK: f"{outer} {token}".strip()}


def _signal_marked(token: str, number: int) -> None:
    """Signal every process whose environment holds the token.

    Killing is repeated while there are any: one may have started another meanwhile.
    """
    for _ in range(_ROUNDS if number == signal.SIGKILL else 1):
        pids = list(_marked(token))
        if not pids:
            return
        for pid in pids:
            _signal(os.kill, pid, number)


def _marked(token: str) -> Iterator[int]:
    mark = token.encode()
    try:
        entries = os.listdir("/proc")  # noqa: PTH208 - names only, and many
    except OSError:  # not Linux
        return
    for entry in entries:
        if entry.isdigit():
            with suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:  # noqa: PTH123
                if mark in file.read():
                    yield int(entry)


def _signal(send: Callable[[int, int], None], target: int, number: int) -> bool:
    """Send a signal and return whether there was somebody to send it to."""
    try:
        send(target, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of which only dead members are left
        return False
    return True
