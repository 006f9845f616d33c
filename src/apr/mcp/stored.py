"""The files that hold servers, changed by one entry; the rest of them stays."""

from pathlib import Path
from typing import Any

import msgspec

from apr.mcp.config import Entry, McpConfigError, meant
from apr.settings.write import replace


def add(path: Path, name: str, given: Any, *, root: Path | None = None) -> None:
    """Put a server into a file, instead of the one of that name.

    Args:
        path: the file; it is made if need be.
        name: what it is called.
        given: the entry, as it is written in such files.
        root: the one project that it is for; None where the file's servers are for all.

    Raises:
        McpConfigError: the file cannot be used, or the entry is none.
        OSError: it cannot be written.
    """
    try:
        meant(msgspec.convert(given, Entry))
    except ValueError as error:
        raise McpConfigError(f"{name}: {error}") from None
    data = _read(path)
    _holder(data, root)[name] = given
    _write(path, data)


def remove(path: Path, name: str, *, root: Path | None = None) -> bool:
    """Take a server out of a file; return whether it was there. Raises as `add` does."""
    data = _read(path)
    if _holder(data, root).pop(name, None) is None:
        return False
    _write(path, data)
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise McpConfigError(f"{path}: {error}") from None


def _holder(data: dict[str, Any], root: Path | None) -> dict[str, Any]:
    """Return the object of servers, which is made if need be."""
    for key in ("mcpServers",) if root is None else ("projects", str(root), "mcpServers"):
        data = data.setdefault(key, {})
        if not isinstance(data, dict):
            raise McpConfigError(f"{key} must hold an object")
    return data


def _write(path: Path, data: dict[str, Any]) -> None:
    replace(path, msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n")
