"""Directories that a user names."""

from pathlib import Path

from apr.errors import AprError


def directory(root: Path, name: str) -> Path:
    """Return a directory that a user has named, relative to `root`, resolved.

    Raises:
        AprError: it is none.
    """
    try:
        path = (root / Path(name).expanduser()).resolve()
    except (OSError, RuntimeError) as error:  # where we are is gone; a loop of links; no such ~user
        raise AprError(f"not a directory: {name} ({error})") from None
    if not path.is_dir():
        raise AprError(f"not a directory: {name}")
    return path
