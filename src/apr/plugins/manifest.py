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
    """Folders of skills beside `skills`."""
    commands: str | list[str] | dict[str, Any] | None = None
    """Files and folders in the place of `commands`; `agents`, too."""
    agents: str | list[str] | None = None
    hooks: str | dict[str, Any] | None = None
    mcp_servers: str | dict[str, Any] | None = None


class Offer(Plugin, frozen=True, kw_only=True, rename="camel"):
    """One plugin of a marketplace, and what that says of it beside its own manifest."""

    source: str | dict[str, Any]
    """A path in the marketplace, or where else it is."""
    strict: bool = True
    """Whether the plugin has a manifest; if not, this is it."""


class Marketplace(Struct, frozen=True, kw_only=True):
    """`marketplace.json`."""

    name: str
    plugins: tuple[Offer, ...] = field(default_factory=tuple)
    metadata: dict[str, Any] = field(default_factory=dict)

    def folder(self, place: Path, source: str) -> Path:
        """Return the folder of a plugin that is in the marketplace's own, which is `place`.

        Raises:
            PluginError: it leads out of it.
        """
        base = self.metadata.get("pluginRoot")
        if isinstance(base, str) and not source.startswith("./"):
            source = f"{base}/{source}"
        return within(place, source)

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


def plugin(folder: Path, offer: Offer) -> Plugin:
    """Read what a plugin is: by its manifest, and where it has none, by the marketplace's word.

    Raises:
        PluginError: the manifest cannot be read; the message names it.
    """
    own = _read(folder / PLUGIN, Plugin)
    if own is None:
        return offer
    said = {
        name: value
        for name in ("skills", "commands", "agents", "hooks", "mcp_servers")
        if (value := getattr(offer, name)) is not None and getattr(own, name) is None
    }
    return msgspec.structs.replace(own, **said)


def within(folder: Path, path: str) -> Path:
    """Return a path that a manifest names, which must stay in its folder.

    Raises:
        PluginError: it leads out of it.
    """
    try:
        resolved = (folder / path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a NUL in it
        raise PluginError(f"{folder}: {path!r} is no path ({error})") from None
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
