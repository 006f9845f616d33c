"""The network of one session's confined commands (Linux): theirs alone, with one way out, if any.

All of them share a network namespace, so that one finds the server that another has started. It is
kept by a process of ours, in which nothing of theirs ever runs.
"""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from apr.errors import AprError
from apr.sandbox import bwrap

PORT = 3128
"""Where the way out begins inside: that of HTTP proxies."""
_ANSWER_S = 20.0


class SandboxFailed(AprError):
    """The sandbox could not be set up; nothing runs outside of it instead."""


class Network:
    """A network namespace. `listening` is a socket at its port `PORT`."""

    def __init__(self) -> None:
        """Make it.

        Raises:
            SandboxFailed: it cannot be made.
        """
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_ANSWER_S)
        reader, writer = os.pipe()
        keeper = Path(__file__).with_name("loopback.py")
        # No --dev: for its terminals bubblewrap would put us into one more user namespace, from
        # which the network's own cannot be entered again but by root.
        argv = [bwrap.PROGRAM, "--ro-bind", "/", "/", "--unshare-user", "--unshare-net"]
        argv += ["--die-with-parent", "--info-fd", str(writer), "--"]
        with theirs, os.fdopen(reader, "rb") as told:
            try:
                self._process = subprocess.Popen(
                    [*argv, sys.executable, "-I", "-S", str(keeper), str(PORT)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=(writer,),
                    start_new_session=True,
                )
            except OSError as error:
                raise SandboxFailed(f"the sandbox's network cannot be made: {error}") from None
            finally:
                os.close(writer)
            self.listening, self._spaces = self._open(told.read())

    def _open(self, told: bytes) -> tuple[socket.socket, tuple[int, int]]:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 16, 1)
        except OSError:
            data, descriptors = b"", []
        if data != b"ready" or not descriptors:
            said = self._end()
            raise SandboxFailed(f"the sandbox's network cannot be made: {said or 'no answer'}")
        child = msgspec.json.decode(told)["child-pid"]
        spaces = [os.open(f"/proc/{child}/ns/{kind}", os.O_RDONLY) for kind in ("user", "net")]
        return socket.socket(fileno=descriptors[0]), (spaces[0], spaces[1])

    def entering(self) -> list[str]:
        """Return the words before a command that have it run in this network."""
        user, network = (f"/proc/{os.getpid()}/fd/{one}" for one in self._spaces)
        return ["nsenter", "--preserve-credentials", f"--user={user}", f"--net={network}", "--"]

    def close(self) -> None:
        """Let it go; it is gone when the last command is."""
        self.listening.close()
        for space in self._spaces:
            os.close(space)
        self._end()

    def _end(self) -> str:
        self._control.close()
        with suppress(subprocess.TimeoutExpired):
            _, said = self._process.communicate(timeout=1)
            return said.decode(errors="replace").strip()
        self._process.kill()
        self._process.communicate()
        return ""
