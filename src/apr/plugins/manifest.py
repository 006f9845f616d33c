"""The two files that say what a plugin is, and what a marketplace offers."""

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from apr.errors import AprError
from apr.memory.reading import Unreadable, text_of

PLUGIN = ".claude-plugin/plugin.json"
MARKETPLACE = ".claude-plugin/marketplace.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.IGNORECASE)

T = TypeVar("T")


class PluginError(AprError):
    """A plugin or marketplace cannot be used. The message says which, why, and what to do."""


class Plugin(Struct, frozen=True, kw_only=True, rename="camel"):
    """`plugin.json`. Paths are relative to the plugin, and stay in it."""

    name: str
    version: str = ""
    description: str = ""
    skills: str | list[str] | None = None
    commands: str | list[str] | None = None
    agents: str | list[str] | None = None
    hooks: str | dict[str, Any] | None = None
    mcp_servers: str | dict[str, Any] | None = None


class Offer(Struct, frozen=True, kw_only=True):
    """One plugin of a marketplace. `source` is a path in it, or says where else it is."""

    name: str
    source: str | dict[str, Any]
    description: str = ""
    version: str = ""


class Marketplace(Struct, frozen=True, kw_only=True):
    """`marketplace.json`."""

    name: str
    plugins: tuple[Offer, ...] = field(default_factory=tuple)

    def offer(self, name: str) -> Offer | None:
        """Return what it offers under this name."""
        return next((offer for offer in self.plugins if offer.name == name), None)


def marketplace(folder: Path) -> Marketplace:
    """Read what a marketplace offers.

    Raises:
        PluginError: there is none, or it cannot be read; the message names the file.
    """
    path = folder / MARKETPLACE
    found = _read(path, Marketplace)
    if found is None:
        raise PluginError(f"{folder} is no marketplace: there is no {path}")
    return found


def plugin(folder: Path, name: str) -> Plugin:
    """Read what a plugin is; one without a manifest is what its folders hold.

    Raises:
        PluginError: the manifest cannot be read; the message names it.
    """
    return _read(folder / PLUGIN, Plugin) or Plugin(name=name)


def within(folder: Path, path: str) -> Path:
    """Return a path that a manifest names, which must stay in its folder.

    Raises:
        PluginError: it leads out of it.
    """
    resolved = (folder / path).resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise PluginError(f"{folder}: the path {path!r} leads out of it")
    return resolved


def check_name(name: str) -> str:
    """Return a plugin's or marketplace's name, if it can be one: it becomes part of a path.

    Raises:
        PluginError: it cannot.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise PluginError(f"{name!r} cannot be the name of a plugin or marketplace")
    return name


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(text_of(path), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, Unreadable, msgspec.MsgspecError) as error:
        raise PluginError(f"{path}: {error}") from None
