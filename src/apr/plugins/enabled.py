"""The plugins that are turned on, and what they bring: nothing of them is run here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from apr.memory.reading import Unreadable, text_of
from apr.plugins import known, manifest
from apr.plugins.manifest import Offer, Plugin, PluginError, within
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
    """MCP servers as `.mcp.json` writes them, each by `plugin:PLUGIN:SERVER`."""
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
            folder, offer = find(key, marketplaces, env)
            _take(brought, key, folder, offer)
        except PluginError as error:
            brought.notices.append(f"the plugin {key} is not used: {error}")
    return brought


def find(
    key: str, marketplaces: Mapping[str, known.Known], env: Mapping[str, str]
) -> tuple[Path, Offer]:
    """Return the folder of the plugin `name@marketplace`, and what the marketplace says of it.

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
    offers = manifest.marketplace(one.folder)
    offer = offers.offer(name)
    if offer is None:
        raise PluginError(f"the marketplace {market} does not offer {name!r}")
    if isinstance(offer.source, str):
        folder = offers.folder(one.folder, offer.source)
    else:
        folder = fetched(env, name, market)
    if not folder.is_dir():
        raise PluginError(f"there is no folder {folder}. Fetch it: apr plugin add {key}")
    return folder, offer


def fetched(env: Mapping[str, str], name: str, market: str) -> Path:
    """Return where a plugin is fetched to that is not in its marketplace's own folder."""
    return (
        known.folder_of(env) / "fetched" / manifest.check_name(market) / manifest.check_name(name)
    )


def _take(brought: Brought, key: str, folder: Path, offer: Offer) -> None:
    plugin = manifest.plugin(folder, offer)
    name = manifest.check_name(plugin.name)
    skills, commands, agents = (
        _named(folder, given) for given in (plugin.skills, plugin.commands, plugin.agents)
    )
    # A plugin that is described by the marketplace alone may be one of several in a folder.
    usual = () if plugin is offer and not offer.strict and skills else (Path("skills"),)
    hooks, servers = _hooks(folder, plugin), _servers(folder, plugin)
    brought.folders[key] = folder
    brought.places.append(
        Place(
            folder=folder,
            source=f"plugin {key}",
            prefix=f"{name}:",
            within=(folder.resolve(),),
            skills=(*usual, *skills),
            commands=commands or (Path("commands"),),
            agents=agents or (Path("agents"),),
        )
    )
    if hooks:
        brought.hooks.append((folder, hooks))
    for server, config in servers.items():
        brought.servers[f"plugin:{name}:{server}"] = _rooted(config, folder)


def _named(folder: Path, given: str | list[str] | dict[str, Any] | None) -> tuple[Path, ...]:
    """Return the paths that a manifest names, relative to the plugin.

    Raises:
        PluginError: one leads out of it.
    """
    paths: list[Any] = given if isinstance(given, list) else [given]
    if isinstance(given, dict):  # name to what the command is; what is no file here is left out
        paths = [one.get("source") for one in given.values() if isinstance(one, dict)]
    real = folder.resolve()
    return tuple(within(folder, path).relative_to(real) for path in paths if isinstance(path, str))


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
