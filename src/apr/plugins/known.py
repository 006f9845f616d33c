"""The marketplaces that are known: those of the settings, and those that the user has added.

Claude Code's own list and clones are read where they are (`~/.claude/plugins`); apr adds to
`$APR_HOME/plugins` only.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from apr.home import beside, home, private_directory
from apr.memory.reading import Unreadable, text_of
from apr.plugins.manifest import PluginError, check_name
from apr.settings import Settings
from apr.settings.ladder import user_folders

_LIST = "known_marketplaces.json"


class Known(Struct, frozen=True, kw_only=True):
    """One marketplace."""

    name: str
    source: dict[str, Any]
    """As the settings write it: `{"source": "directory", "path": "./plugins"}` and the like."""
    folder: Path | None
    """Where it is on this disk; None where it has not been fetched."""
    by: str
    """Who has named it: a settings file, or the user."""


class _Listed(Struct, rename="camel"):
    source: dict[str, Any]
    install_location: str = ""


def folder_of(env: Mapping[str, str]) -> Path:
    """Return where apr keeps plugins and marketplaces."""
    return home(env) / "plugins"


def known(root: Path, env: Mapping[str, str], settings: Settings) -> dict[str, Known]:
    """Return the marketplaces by name; what the settings say of one counts before the lists.

    Raises:
        PluginError: a list is damaged.
    """
    found: dict[str, Known] = {}
    for place in (user_folders(env)[0] / "plugins", folder_of(env)):
        for name, listed in _listed(place / _LIST).items():
            folder = Path(listed.install_location) if listed.install_location else None
            found[name] = Known(
                name=name, source=listed.source, folder=folder, by=str(place / _LIST)
            )
    for name, declared in settings.extra_known_marketplaces.items():
        sources = settings.sources("extraKnownMarketplaces", name)
        folder = _local(root, declared.source)
        if folder is None and (same := found.get(name)) and same.source == declared.source:
            folder = same.folder
        by = sources[-1].name if sources else "settings"
        found[name] = Known(name=name, source=declared.source, folder=folder, by=by)
    return {name: one for name, one in found.items() if _allowed(one, settings)}


def remember(env: Mapping[str, str], name: str, source: dict[str, Any], folder: Path) -> None:
    """Add a marketplace to the user's list.

    Raises:
        OSError: it cannot be written.
        PluginError: the list is damaged.
    """
    path = folder_of(env) / _LIST
    listed = _listed(path)
    listed[check_name(name)] = _Listed(source, str(folder))
    _write(path, listed)


def forget(env: Mapping[str, str], name: str) -> bool:
    """Take a marketplace off the user's list; return whether it was there."""
    path = folder_of(env) / _LIST
    listed = _listed(path)
    if listed.pop(name, None) is None:
        return False
    _write(path, listed)
    return True


def _allowed(one: Known, settings: Settings) -> bool:
    """Whether the organisation lets this marketplace be used."""
    strict = settings.strict_known_marketplaces
    if any(_fits(pattern, one.source) for pattern in settings.blocked_marketplaces):
        return False
    return strict is None or any(_fits(pattern, one.source) for pattern in strict)


def _fits(pattern: Mapping[str, Any], source: Mapping[str, Any]) -> bool:
    return all(source.get(key) == value for key, value in pattern.items())


def _local(root: Path, source: Mapping[str, Any]) -> Path | None:
    if source.get("source") in {"directory", "file"} and isinstance(
        path := source.get("path"), str
    ):
        return (root / Path(path).expanduser()).resolve()
    return None


def _listed(path: Path) -> dict[str, _Listed]:
    try:
        return msgspec.json.decode(text_of(path), type=dict[str, _Listed])
    except FileNotFoundError:
        return {}
    except (OSError, Unreadable, msgspec.MsgspecError) as error:
        raise PluginError(f"{path}: {error}") from None


def _write(path: Path, listed: Mapping[str, _Listed]) -> None:
    private_directory(path.parent)
    new = beside(path)
    new.write_bytes(msgspec.json.format(msgspec.json.encode(listed), indent=2) + b"\n")
    new.replace(path)
