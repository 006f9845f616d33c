"""The plugins that are turned on, and what they bring: nothing of them is run here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from apr.memory.reading import Unreadable, text_of
from apr.plugins import known, manifest
from apr.plugins.manifest import Plugin, PluginError, within
from apr.settings import HookGroup, Settings
from apr.skills.found import Place

T = TypeVar("T")


class Brought(Struct, kw_only=True):
    """What all plugins that are turned on bring."""

    places: list[Place] = field(default_factory=list)
    """Folders with skills, commands and agents."""
    hooks: list[tuple[Path, dict[str, tuple[HookGroup, ...]]]] = field(default_factory=list)
    """By plugin folder, its hooks."""
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """MCP servers by name, as `.mcp.json` writes them; `plugin:name` where the name is taken."""
    folders: dict[str, Path] = field(default_factory=dict)
    """The plugins' folders, by `name@marketplace`."""
    notices: list[str] = field(default_factory=list)


class _HookFile(Struct):
    hooks: dict[str, tuple[HookGroup, ...]] = field(default_factory=dict)


class _ServerFile(Struct, rename="camel"):
    mcp_servers: dict[str, dict[str, Any]] = field(default_factory=dict)


def bring(root: Path, env: Mapping[str, str], settings: Settings) -> Brought:
    """Return what the plugins bring that the settings turn on. What cannot be used is a notice."""
    brought = Brought()
    marketplaces: dict[str, known.Known] | None = None
    for key, on in settings.enabled_plugins.items():
        if not on:
            continue
        try:
            if marketplaces is None:
                marketplaces = known.known(root, env, settings)
            folder = find(key, marketplaces, env)
            _take(brought, key, folder)
        except PluginError as error:
            brought.notices.append(f"the plugin {key} is not used: {error}")
    return brought


def find(key: str, marketplaces: Mapping[str, known.Known], env: Mapping[str, str]) -> Path:
    """Return the folder of the plugin `name@marketplace`.

    Raises:
        PluginError: its marketplace is not known or not fetched, or does not offer it.
    """
    name, _, market = key.partition("@")
    one = marketplaces.get(market)
    if one is None:
        raise PluginError(f"the marketplace {market!r} is not known: apr plugin marketplace add …")
    if one.folder is None:
        raise PluginError(
            f"the marketplace {market} is not fetched. Fetch it: apr plugin add {key}"
        )
    offer = manifest.marketplace(one.folder).offer(name)
    if offer is None:
        raise PluginError(f"the marketplace {market} does not offer {name!r}")
    if isinstance(offer.source, str):
        folder = within(one.folder, offer.source)
    else:
        folder = fetched(env, name, market)
    if not folder.is_dir():
        raise PluginError(f"there is no folder {folder}. Fetch it: apr plugin add {key}")
    return folder


def fetched(env: Mapping[str, str], name: str, market: str) -> Path:
    """Return where a plugin is fetched to that is not in its marketplace's own folder."""
    return (
        known.folder_of(env) / "fetched" / manifest.check_name(market) / manifest.check_name(name)
    )


def _take(brought: Brought, key: str, folder: Path) -> None:
    plugin = manifest.plugin(folder, key.partition("@")[0])
    name = manifest.check_name(plugin.name)
    brought.folders[key] = folder
    brought.places.append(Place(folder=folder, source=f"plugin {key}", prefix=f"{name}:"))
    for given in (plugin.skills, plugin.commands, plugin.agents):
        for path in [given] if isinstance(given, str) else given or ():
            within(folder, path)  # named folders beside the usual ones must be in it too
    if hooks := _hooks(folder, plugin):
        brought.hooks.append((folder, hooks))
    for server, config in _servers(folder, plugin).items():
        named = server if server not in brought.servers else f"{name}:{server}"
        brought.servers[named] = _rooted(config, folder)


def _hooks(folder: Path, plugin: Plugin) -> dict[str, tuple[HookGroup, ...]]:
    if isinstance(plugin.hooks, dict):
        inline = plugin.hooks.get("hooks", plugin.hooks)
        try:
            return msgspec.convert(inline, dict[str, tuple[HookGroup, ...]])
        except msgspec.ValidationError as error:
            raise PluginError(f"{folder / manifest.PLUGIN}: hooks: {error}") from None
    path = within(folder, plugin.hooks or "hooks/hooks.json")
    return _optional(path, _HookFile()).hooks


def _servers(folder: Path, plugin: Plugin) -> dict[str, dict[str, Any]]:
    if isinstance(plugin.mcp_servers, dict):
        return {k: v for k, v in plugin.mcp_servers.items() if isinstance(v, dict)}
    path = within(folder, plugin.mcp_servers or ".mcp.json")
    return _optional(path, _ServerFile()).mcp_servers


def _optional(path: Path, absent: T) -> T:
    try:
        return msgspec.json.decode(text_of(path), type=type(absent))
    except FileNotFoundError:
        return absent
    except (OSError, Unreadable, msgspec.MsgspecError) as error:
        raise PluginError(f"{path}: {error}") from None


def _rooted(value: Any, folder: Path) -> Any:
    """Put the plugin's folder in the place of `${CLAUDE_PLUGIN_ROOT}`."""
    if isinstance(value, str):
        return value.replace("${CLAUDE_PLUGIN_ROOT}", str(folder))
    if isinstance(value, dict):
        return {key: _rooted(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rooted(inner, folder) for inner in value]
    return value
