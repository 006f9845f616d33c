"""Where apr keeps what outlives a run: `$APR_HOME`, or `~/.apr`."""

import os
from collections.abc import Mapping
from pathlib import Path


def user_home(env: Mapping[str, str] = os.environ) -> Path:
    """Return the home of the user whose environment this is: `$HOME`, or else the system's word."""
    return Path(env["HOME"]) if env.get("HOME") else Path.home()


def home(env: Mapping[str, str] = os.environ) -> Path:
    """Return the directory, absolute. It need not exist."""
    path = Path(env.get("APR_HOME") or "~/.apr")
    if path.parts[:1] == ("~",):
        path = user_home(env).joinpath(*path.parts[1:])
    return path.expanduser().absolute()


def private_directory(path: Path) -> Path:
    """Make sure that `path` is a directory that nobody else can look into, and return it.

    Raises:
        OSError: it cannot be made, or it belongs to somebody else.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise PermissionError(
            f"{path} belongs to another user; set APR_HOME to a directory of your own"
        )
    if status.st_mode & 0o077:
        path.chmod(0o700)
    return path


def open_private(path: Path) -> int:
    """Create `path` anew, readable by its owner only, and return its file descriptor.

    What was there is unlinked first: whoever has it open keeps the old file, and a link planted
    there is never followed.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def beside(path: Path) -> Path:
    """Return an unused name in the same directory, for a file that `path` is to be replaced by."""
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}")
