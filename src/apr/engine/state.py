"""How an engine makes itself known: one private file in `$APR_HOME/engine` for each that runs.

The file is the engine's for as long as it holds a lock on it, and the kernel gives the lock back
when the process ends, however it ends. So a file without a lock is stale, and a process id in a
locked one cannot have passed to another process. Nothing here is slow: attaching to a warm engine
is a directory listing, a lock and one small JSON file.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from apr.errors import AprError
from apr.home import beside, home, private_directory

SUFFIX = ".json"


class EngineError(AprError):
    """The engine could not be started or reached. The message says what happened and what to do."""

    exit_code = 1


class Unloadable(EngineError):
    """The engine has refused what it was to load: the fault is the model's, or the options'."""

    exit_code = 2


class EngineState(Struct, frozen=True, kw_only=True):
    """What an engine tells those who may attach to it."""

    pid: int
    started: str
    """When the process started, as `apr.engine.process.started` tells it."""
    owner: int | None
    """The process that alone may use it, and that it ends with."""
    port: int
    api_key: str
    model: str
    """Absolute path of the file it has loaded."""
    model_name: str
    identity: str
    """Which file that was (`identity`): another one may have taken its name since."""
    context: int
    """Tokens that one conversation may have."""
    trained_context: int
    """Tokens the model was trained for: asking for more of it gives no more."""
    keep_alive: float | None
    """Seconds without requests after which it ends; None for never."""
    template: str | None
    """The model's chat template, in Jinja."""
    engine: str
    """The engine and its version."""

    @property
    def base_url(self) -> str:
        """Where it speaks OpenAI chat completions."""
        return f"http://127.0.0.1:{self.port}/v1"


def directory() -> Path:
    """Return the private directory of engine files, made if need be.

    Raises:
        EngineError: it cannot be made.
    """
    path = home() / "engine"
    try:
        return private_directory(path)
    except OSError as error:
        raise EngineError(f"Cannot keep the engine's state in {path}: {error}") from error


def identity(model: Path) -> str:
    """Return what tells this very file from any other, and from its own later contents.

    Raises:
        EngineError: there is no such file.
    """
    try:
        status = model.stat()
    except OSError as error:
        raise EngineError(f"Cannot read the model {model}: {error.strerror}") from error
    return f"{status.st_dev:x}-{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def model_of(path: Path) -> str:
    """Return the `identity` of the model that an engine's file is about."""
    return path.name.partition(".")[0]


def size(model: str) -> int:
    """Return the bytes of the file that has this `identity`."""
    return int(model.rpartition("-")[2], 16)


def announce(folder: Path, state: EngineState) -> Path:
    """Write the engine's file and lock it until the calling process ends. Return its path."""
    path = folder / f"{state.identity}.{state.pid}{SUFFIX}"
    draft = beside(path)
    # The descriptor stays open on purpose: with it would go the lock.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, msgspec.json.encode(state))
    draft.rename(path)
    return path


def running(folder: Path, model: str = "") -> Iterator[tuple[Path, EngineState]]:
    """Yield the engines that live, with their files: those for a model's `identity`, or all."""
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - listing names is all that is needed
        if name.startswith(f"{model}." if model else "") and name.endswith(SUFFIX):
            state = _read(folder / name)
            if state is not None:
                yield folder / name, state


def sweep(folder: Path) -> None:
    """Remove what engines that were killed have left behind."""
    for path in folder.glob(f"*{SUFFIX}"):
        if not _is_locked(path):
            path.unlink(missing_ok=True)


@contextmanager
def try_lock(folder: Path, model: str) -> Iterator[bool]:
    """Hold the lock on coming and going of a model's engines; yield False if another has it."""
    descriptor = os.open(folder / f"{model}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _read(path: Path) -> EngineState | None:
    """Return what a living engine says in its file; None if it is dead, or of another version."""
    try:
        if not _is_locked(path):
            return None
        return msgspec.json.decode(path.read_bytes(), type=EngineState)
    except (OSError, msgspec.DecodeError):
        return None


def _is_locked(path: Path) -> bool:
    """Whether the engine that wrote the file lives."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
