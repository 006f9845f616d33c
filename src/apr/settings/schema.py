"""The keys of a settings file: what apr acts on, and what each must hold.

Names and meanings are those of Claude Code's documentation (code.claude.com/docs/en/settings); what
is apr's own stands under `apr`. A new key is a field here, and nothing else.
"""

import re
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Struct, field

Path_ = tuple[str, ...]
"""Where a value stands in a file: `("permissions", "allow")`."""


_PART = r'(?:"(?:[^"\\]|\\.)*"|[^."]+)'


class Keys(Struct, frozen=True, kw_only=True, rename="camel"):
    """An object of a settings file. Further keys are kept aside, not refused."""


class Permissions(Keys, frozen=True, kw_only=True):
    """What may be done. Rules are read by `apr.agent.permissions`."""

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    additional_directories: tuple[str, ...] = ()
    default_mode: (
        Literal["default", "acceptEdits", "plan", "bypassPermissions", "dontAsk"] | None
    ) = None
    disable_bypass_permissions_mode: Literal["disable"] | None = None


class Hook(Keys, frozen=True, kw_only=True):
    """One thing to run. `type` is `command`; others are listed, and not run."""

    type: str
    command: str = ""
    timeout: float | None = None
    """Seconds."""
    background: bool = field(default=False, name="async")
    condition: str | None = field(default=None, name="if")
    """A permission rule that the tool use must match."""


class HookGroup(Keys, frozen=True, kw_only=True):
    """Hooks for the same subjects; no matcher means all."""

    matcher: str | None = None
    hooks: tuple[Hook, ...] = ()


class Network(Keys, frozen=True, kw_only=True):
    """What sandboxed commands can reach."""

    allowed_domains: tuple[str, ...] = ()
    denied_domains: tuple[str, ...] = ()
    allow_unix_sockets: tuple[str, ...] = ()
    allow_all_unix_sockets: bool = False
    allow_local_binding: bool = False
    http_proxy_port: int | None = None
    socks_proxy_port: int | None = None
    allow_managed_domains_only: bool = False


class Filesystem(Keys, frozen=True, kw_only=True):
    """Paths that sandboxed commands can use or not, besides the usual ones."""

    allow_write: tuple[str, ...] = ()
    deny_write: tuple[str, ...] = ()
    allow_read: tuple[str, ...] = ()
    deny_read: tuple[str, ...] = ()


class Sandbox(Keys, frozen=True, kw_only=True):
    """How commands are confined."""

    enabled: bool = False
    fail_if_unavailable: bool = False
    auto_allow_bash_if_sandboxed: bool = True
    allow_unsandboxed_commands: bool = True
    enable_weaker_nested_sandbox: bool = False
    excluded_commands: tuple[str, ...] = ()
    network: Network = Network()
    filesystem: Filesystem = Filesystem()


class Marketplace(Keys, frozen=True, kw_only=True):
    """Where plugins come from: `{"source": "github", "repo": ...}` and the like."""

    source: dict[str, Any]
    auto_update: bool = False


class StatusLine(Keys, frozen=True, kw_only=True):
    """A command whose output stands under the prompt."""

    type: str
    command: str = ""
    padding: int = 0
    refresh_interval: float | None = None
    """Seconds after which it is run again, whatever has happened; None for never."""


class WebSearch(Keys, frozen=True, kw_only=True):
    """The search service behind the tool WebSearch."""

    url: str | None = None


class Apr(Keys, frozen=True, kw_only=True):
    """What only apr knows."""

    web_search: WebSearch = WebSearch()
    max_turns: int | None = None
    memory_budget: int | None = None
    """Characters of instruction files that the model is given at most."""


class Schema(Keys, frozen=True, kw_only=True):
    """A whole settings file."""

    permissions: Permissions = Permissions()
    hooks: dict[str, tuple[HookGroup, ...]] = {}
    disable_all_hooks: bool = False
    allow_managed_hooks_only: bool = False
    allow_managed_permission_rules_only: bool = False
    allow_managed_mcp_servers_only: bool = False
    env: dict[str, str] = {}
    """For what apr starts: commands, hooks, MCP servers. Never for apr itself."""
    model: str | None = None
    sandbox: Sandbox = Sandbox()
    enabled_plugins: dict[str, bool] = {}
    extra_known_marketplaces: dict[str, Marketplace] = {}
    strict_known_marketplaces: tuple[dict[str, Any], ...] | None = None
    """None: any; empty: none."""
    blocked_marketplaces: tuple[dict[str, Any], ...] = ()
    enable_all_project_mcp_servers: bool = False
    enabled_mcpjson_servers: tuple[str, ...] = ()
    disabled_mcpjson_servers: tuple[str, ...] = ()
    allowed_mcp_servers: tuple[dict[str, Any], ...] | None = None
    """None: any; empty: none."""
    denied_mcp_servers: tuple[dict[str, Any], ...] = ()
    cleanup_period_days: int | None = None
    status_line: StatusLine | None = None
    editor_mode: Literal["normal", "vim"] = "normal"
    """How the line at the terminal is edited."""
    output_style: str | None = None
    include_co_authored_by: bool = True
    claude_md_excludes: tuple[str, ...] = ()
    """Globs of instruction files that are not read."""
    apr: Apr = Apr()


WITHOUT_EFFECT = frozenset(
    {
        "$schema",
        "alwaysThinkingEnabled",
        "apiKeyHelper",
        "attribution",
        "autoMemoryEnabled",
        "autoUpdatesChannel",
        "availableModels",
        "awsAuthRefresh",
        "awsCredentialExport",
        "companyAnnouncements",
        "effortLevel",
        "fileSuggestion",
        "forceLoginMethod",
        "forceLoginOrgUUID",
        "gcpAuthRefresh",
        "language",
        "otelHeadersHelper",
        "plansDirectory",
        "respectGitignore",
        "showTurnDuration",
        "skipDangerousModePermissionPrompt",
        "spinnerTipsEnabled",
        "spinnerVerbs",
        "theme",
        "verbose",
    }
)
"""Keys that Claude Code documents and apr has no use for."""


def unknown(data: object, kind: Any = Schema) -> Iterator[Path_]:
    """Yield where the keys stand that `kind` does not have."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        if isinstance(data, dict):
            known = dict(zip(kind.__struct_encode_fields__, _annotations(kind), strict=True))
            for key, value in data.items():
                if key not in known:
                    yield (key,)
                else:
                    yield from ((key, *rest) for rest in unknown(value, known[key]))
        return
    inner = get_args(kind)
    if get_origin(kind) is types.UnionType:
        for one in inner:
            yield from unknown(data, one)
    elif get_origin(kind) is dict and isinstance(data, Mapping):
        for key, value in data.items():
            yield from ((key, *rest) for rest in unknown(value, inner[1]))
    elif get_origin(kind) is tuple and isinstance(data, list):
        for index, value in enumerate(data):
            yield from ((str(index), *rest) for rest in unknown(value, inner[0]))


def keys(kind: Any = Schema, above: Path_ = ()) -> Iterator[str]:
    """Yield every key that has a name of its own, dotted: `sandbox.enabled`."""
    names = zip(kind.__struct_encode_fields__, _annotations(kind), strict=True)
    for name, inner in names:
        if isinstance(inner, type) and issubclass(inner, Struct):
            yield from keys(inner, (*above, name))
        else:
            yield dotted((*above, name))


def _annotations(kind: type[Struct]) -> list[Any]:
    return [kind.__annotations__[name] for name in kind.__struct_fields__]


def dotted(path: Path_) -> str:
    """Return a path as people write it: `sandbox.network`, `enabledPlugins."a.b@c"`."""
    return ".".join(
        msgspec.json.encode(part).decode() if not part or set(part) & set('."') else part
        for part in path
    )


def undotted(text: str) -> Path_:
    """Return the path that is written so.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(rf"{_PART}(?:\.{_PART})*", text):
        raise ValueError(f"{text!r} is no key")
    parts = re.findall(_PART, text)
    try:
        return tuple(msgspec.json.decode(one, type=str) if one[0] == '"' else one for one in parts)
    except msgspec.DecodeError:
        raise ValueError(f"{text!r} is no key") from None
