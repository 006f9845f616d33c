"""Running an agent in a process of its own, with a recorder between it and its model."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from ccpa.agents.base import KEY, Command
from ccpa.errors import CcpaError
from ccpa.record.recording import Recording
from ccpa.scripted.chat import error
from ccpa.scripted.http import Handler, HttpRequest, HttpResponse, listen
from ccpa.scripted.log import without_secrets

_NOT_FOUND = 404
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Struct, frozen=True):
    """How the agent ended: its exit status, 128 + n for signal n, and whether it was told to."""

    status: int
    interrupted: bool


async def run(
    recording: Recording, command: Callable[[str], Command], cwd: Path, *, stdout: int
) -> Ended:
    """Run an agent to its end, and end its recording.

    Args:
        recording: what is recorded.
        command: makes the agent's command, given the base URL of its model.
        cwd: where it runs.
        stdout: the descriptor that what it prints goes to.

    Raises:
        CcpaError: it cannot be started.
    """
    token = secrets.token_urlsafe(12)
    server = await listen(_behind(token, recording))
    try:
        port = server.sockets[0].getsockname()[1]
        ended = await _run_agent(command(f"http://127.0.0.1:{port}/{token}/v1"), cwd, stdout)
    finally:
        server.close()
    recording.close(ended.status, interrupted=ended.interrupted)
    return ended


def _behind(token: str, recording: Recording) -> Handler:
    """Serve those alone who know the token: others on this machine must not use the user's key."""
    prefix = f"/{token}"

    async def handler(request: HttpRequest) -> HttpResponse:
        if not f"{request.path}/".startswith(f"{prefix}/"):
            return HttpResponse(status=_NOT_FOUND, body=error(_NOT_FOUND, "not served here"))
        for name, shown in without_secrets(request.headers).items():
            value = request.headers[name]
            if shown != value and value.split()[-1:] != [KEY]:
                recording.secrets.add(value)
        path = request.path.removeprefix(prefix) or "/"
        return await recording.recorder(msgspec.structs.replace(request, path=path))

    return handler


async def _run_agent(command: Command, cwd: Path, stdout: int) -> Ended:
    for path, content in command.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    has_terminal = sys.stdin.isatty()
    try:
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            cwd=cwd,
            env=command.environment,
            stdout=stdout,
            # On a terminal it stays in our group, so that it can read the keyboard.
            start_new_session=not has_terminal,
        )
    except OSError as failure:
        raise CcpaError(f"{command.argv[0]}: cannot be started: {failure.strerror}") from None
    told: list[int] = []

    def stop(number: int) -> None:
        if number == signal.SIGINT and has_terminal:
            return  # the agent has had it from the terminal, and knows what it means
        told.append(number)
        with suppress(ProcessLookupError):
            if has_terminal:
                process.send_signal(number)
            else:
                os.killpg(process.pid, number)

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        status = await process.wait()
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        if not has_terminal:
            with suppress(ProcessLookupError, PermissionError):  # macOS's word for zombies
                os.killpg(process.pid, signal.SIGKILL)
    return Ended(128 - status if status < 0 else status, bool(told))
