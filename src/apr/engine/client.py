"""Attach to the engine that serves a model, or start it. This side loads no native code.

A warm engine is found in a directory listing and checked with one `GET /health`. A cold one is
started detached, in a session of its own and with little of our environment, so that neither
Ctrl-C nor our end takes it away from the next run.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from apr.engine import state as engines
from apr.engine.state import EngineError, EngineState, Unloadable
from apr.home import home, open_private
from apr.ui.amounts import size

Progress = Callable[[str], None]

ANSWER_BOUND_S = 5.0
"""A sound engine answers `/health` in a millisecond, whatever it computes meanwhile."""
START_BOUND_S = 60.0
SLOWEST_DISK = 20e6
"""Bytes a second: a model is given the time to be read at this rate, besides `START_BOUND_S`."""
POLL_S = 0.01
BRIEF_S = 0.1
"""What is not worth telling a person who waits."""
TAIL_BYTES = 8192
TAIL_LINES = 12

# What an engine may need of our environment: no keys and tokens of other programs.
PASSED_ON = frozenset(
    {
        "HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR",
        "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "OMP_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
    }
)  # fmt: skip


class Endpoint(Struct, frozen=True, kw_only=True):
    """A model that can be asked: OpenAI chat completions at `base_url`, with `api_key`."""

    base_url: str
    api_key: str
    model_name: str
    template: str | None
    """The model's chat template, in Jinja."""
    context: int
    """Tokens that one conversation may have."""
    pid: int


async def attach(
    model: Path,
    *,
    ctx: int | None = None,
    keep_alive: float | None = 600.0,
    on_progress: Progress | None = None,
) -> Endpoint:
    """Return an engine that serves `model`: one that runs already, or else a new one.

    Args:
        model: the GGUF file.
        ctx: tokens of context that it must have at least, as far as the model was trained for
            them; None takes what there is, and gives a new engine what memory allows.
        keep_alive: seconds that a new engine stays without requests; None for ever. 0 asks for an
            engine that no other process shares, and that ends with this one.
        on_progress: told, for people, what is being waited for.

    Raises:
        EngineError: it could not be started; `Unloadable` where that is the model's fault.
    """
    folder = engines.directory()
    try:
        return _endpoint(await _attach(folder, model, ctx, keep_alive, on_progress or _tell_nobody))
    except OSError as error:
        raise EngineError(f"Cannot start an engine with its files in {folder}: {error}") from error


async def _attach(
    folder: Path, model: Path, ctx: int | None, keep_alive: float | None, tell: Progress
) -> EngineState:
    owner = os.getpid() if keep_alive == 0 else None
    # The lock keeps an engine that has been picked from retiring before it was asked anything.
    async with _lock(folder, engines.identity(model), tell):
        for path, engine in _fitting(folder, model, ctx, owner):
            with contextlib.suppress(FileNotFoundError):  # it was told to end just now
                os.utime(path)  # it counts its idle time from here
                if await _answers(engine.port):
                    return engine
                tell(f"the engine with process id {engine.pid} does not answer")
        return await _start(folder, model, ctx, keep_alive, tell)


def _tell_nobody(_text: str) -> None:
    pass


def _fitting(
    folder: Path, model: Path, ctx: int | None, owner: int | None
) -> list[tuple[Path, EngineState]]:
    """Return the engines for the model that have the context asked for, the roomiest first."""
    fitting = [
        (path, engine)
        for path, engine in engines.running(folder, engines.identity(model))
        if engine.owner == owner
        and (ctx is None or engine.context >= min(ctx, engine.trained_context))
    ]
    return sorted(fitting, key=lambda found: -found[1].context)


def _endpoint(engine: EngineState) -> Endpoint:
    return Endpoint(
        base_url=engine.base_url,
        api_key=engine.api_key,
        model_name=engine.model_name,
        template=engine.template,
        context=engine.context,
        pid=engine.pid,
    )


@asynccontextmanager
async def _lock(folder: Path, identity: str, tell: Progress) -> AsyncIterator[None]:
    """Be the only one who starts or picks an engine for this model."""
    began, told = time.monotonic(), False
    while True:
        with engines.try_lock(folder, identity) as held:
            if held:
                yield
                return
        if not told and time.monotonic() - began > BRIEF_S:
            tell("waiting for the engine that another apr is starting")
            told = True
        await asyncio.sleep(POLL_S)


async def _answers(port: int) -> bool:
    """Whether the engine there is well."""
    request = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(ANSWER_BOUND_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request.encode())
                return (await reader.readline()).split()[1:2] == [b"200"]
            finally:
                writer.close()
    except OSError:
        return False


async def _start(
    folder: Path, model: Path, ctx: int | None, keep_alive: float | None, tell: Progress
) -> EngineState:
    """Start an engine and wait until it has announced itself."""
    engines.sweep(folder)
    identity = engines.identity(model)
    log_path = folder / f"{identity}.log"
    log = open_private(log_path)
    try:
        process = _spawn(_command(model, ctx, keep_alive), log)
        tell(f"loading {model.stem} ({size(engines.size(identity))})")
        try:
            engine = await _ready(process, folder, identity)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if engine is None:
            code = process.wait()
            kind = Unloadable if code == Unloadable.exit_code else EngineError
            raise kind(_failure(model, code, _tail(log), log_path))
    finally:
        os.close(log)
    # Nobody waits for the engine's end; a thread does, lest it become a zombie.
    threading.Thread(target=process.wait, daemon=True).start()
    return engine


async def _ready(
    process: subprocess.Popen[bytes], folder: Path, identity: str
) -> EngineState | None:
    """Wait for an engine to announce itself; None if it has ended instead.

    Raises:
        EngineError: it takes too long.
    """
    bound = START_BOUND_S + engines.size(identity) / SLOWEST_DISK
    deadline = time.monotonic() + bound
    while time.monotonic() < deadline:
        for _, engine in engines.running(folder, identity):
            if engine.pid == process.pid:
                return engine
        if process.poll() is not None:
            return None
        await asyncio.sleep(POLL_S)
    raise EngineError(f"The engine has not loaded the model in {bound:.0f} seconds.")


def _spawn(command: list[str], log: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd="/",
        env={name: value for name, value in os.environ.items() if name in PASSED_ON}
        | {"APR_HOME": str(home())},  # what it is relative to here is another place there
        start_new_session=True,
    )


def _command(model: Path, ctx: int | None, keep_alive: float | None) -> list[str]:
    command = [sys.executable, "-P", "-m", "apr.engine", "--model", str(model.absolute())]
    command += ["--keep-alive", str(keep_alive) if keep_alive else "never"]
    if keep_alive == 0:
        command += ["--private", "--parent-pid", str(os.getpid())]
    if ctx is not None:
        command += ["--ctx", str(ctx)]
    return command


def _tail(log: int) -> str:
    """Return the end of the log."""
    size = os.fstat(log).st_size
    return os.pread(log, TAIL_BYTES, max(0, size - TAIL_BYTES)).decode("utf-8", "replace")


def _failure(model: Path, code: int, tail: str, log_path: Path) -> str:
    """Say why an engine ended before it was ready.

    It says itself what it found out, in the last lines of its log; what llama.cpp found out stands
    before that. Of a crash there are only the signal and the log.
    """
    log, told, reason = f"\n{tail}".rpartition("\napr: ")
    if code > 0 and told:
        _, found, detail = log.rpartition("error loading model: ")
        if found:
            return f"{reason.strip()}: {detail.splitlines()[0]}"
        if not log.strip():
            return reason.strip()
        what = reason.strip()
    elif code > 0:
        what = f"The engine ended with exit code {code} while it loaded {model}."
    else:
        what = f"The engine was ended by {_signal_name(-code)} while it loaded {model}."
        if code == -signal.SIGKILL:
            what += " The system does this when memory runs out."
    lines = (log if told else tail).strip().splitlines()[-TAIL_LINES:]
    return "\n".join([what, f"The end of its log, {log_path}:", *lines])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"
