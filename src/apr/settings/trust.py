"""What a source may not say. A project is written by strangers, and policy is not up for debate.

A headless run honours the hooks and allow rules that a project brings, as Claude Code's `-p` does:
whoever starts one in a strange project leaves them out with `--setting-sources user`. What is
refused here would reach further than that: past the sandbox, into apr's own process, to where the
user's words and keys are sent, or over the organisation's policy.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from apr.settings.files import Layer, Source
from apr.settings.merge import leaves
from apr.settings.schema import Path_

_MANAGED_ONLY = frozenset(
    {
        ("allowManagedHooksOnly",),
        ("allowManagedPermissionRulesOnly",),
        ("allowManagedMcpServersOnly",),
        ("strictKnownMarketplaces",),
        ("blockedMarketplaces",),
        ("sandbox", "network", "allowManagedDomainsOnly"),
    }
)

# Variables that make a program load or run something else, send it elsewhere, or steer apr.
_NAMES = """
    PATH HOME SHELL USER LOGNAME TMPDIR IFS ENV BASH_ENV BASHOPTS SHELLOPTS PS4 CDPATH
    ZDOTDIR PROMPT_COMMAND EDITOR VISUAL PAGER BROWSER LESSOPEN LESSCLOSE MANPAGER
    GCONV_PATH LOCPATH CLASSPATH JAVA_OPTIONS _JAVA_OPTIONS JAVA_TOOL_OPTIONS
    JDK_JAVA_OPTIONS MAVEN_OPTS GRADLE_OPTS RUSTC RUSTC_WRAPPER GOFLAGS GOPROXY GOSUMDB
    MAKEFLAGS CC CXX LDFLAGS HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY FTP_PROXY
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
"""
_PREFIXES = """
    LD_ DYLD_ PYTHON PERL5 RUBY NODE_ NPM_CONFIG_ GIT_ SSH_ XDG_ BASH_FUNC_ GLIBC_ MALLOC_
    CARGO_ PIP_ UV_ APR_ CCPA_ CLAUDE_ ANTHROPIC_ OPENAI_ HF_ OTEL_
"""
_STEERING = frozenset(_NAMES.split())
_STEERING_PREFIXES = tuple(_PREFIXES.split())

# The values that confine commands further, or keep them confined.
_TIGHTENING: dict[Path_, object] = {
    ("enabled",): True,
    ("failIfUnavailable",): True,
    ("autoAllowBashIfSandboxed",): False,
    ("allowUnsandboxedCommands",): False,
    ("enableWeakerNestedSandbox",): False,
    ("network", "allowAllUnixSockets"): False,
    ("network", "allowLocalBinding"): False,
    ("network", "allowManagedDomainsOnly"): True,
}
_TIGHTENING_LISTS = frozenset(
    {("network", "deniedDomains"), ("filesystem", "denyWrite"), ("filesystem", "denyRead")}
)

# What holds commands that run on their own.
_RUN = frozenset({"hooks", "statusLine"})

_RULES = frozenset({("permissions", "allow"), ("permissions", "ask"), ("permissions", "deny")})
_DOMAINS = ("sandbox", "network", "allowedDomains")
_ONLY_MANAGED = "the organisation's policy allows none but its own"


class Situation(Struct, frozen=True):
    """What the sources together decide about each other."""

    managed: frozenset[Path_]
    """The switches that the policy has turned on."""
    no_hooks: int
    """Sources trusted no further than this have no hooks; -1: all have."""
    sandboxed: int
    """How far the source is trusted that turned the sandbox on; -1: none did."""
    bypass_disabled: bool


def situation(layers: Iterable[Layer]) -> Situation:
    """Look for what decides about other sources."""
    managed: set[Path_] = set()
    no_hooks = sandboxed = -1
    bypass_disabled = False
    for layer in layers:
        trust = layer.source.trust
        for path, value in leaves(layer.data):
            if layer.source.rung == "managed" and value is True:
                managed.add(path)
            if path == ("disableAllHooks",) and value is True:
                no_hooks = max(no_hooks, trust)
            if path == ("sandbox", "enabled") and value is True:
                sandboxed = max(sandboxed, trust)
            if path == ("permissions", "disableBypassPermissionsMode"):
                bypass_disabled = True
    return Situation(frozenset(managed), no_hooks, sandboxed, bypass_disabled)


def refusal(path: Path_, value: Any, source: Source, now: Situation) -> str | None:
    """Say why a value does not count; None where it does."""
    reasons = (check(path, value, source, now) for check in _CHECKS)
    return next((reason for reason in reasons if reason), None)


def _policy(path: Path_, _value: Any, source: Source, now: Situation) -> str | None:
    if source.rung == "managed":
        return None
    if path in _MANAGED_ONLY:
        return "only the organisation's policy can set it"
    only_own = (
        (path in _RULES and ("allowManagedPermissionRulesOnly",) in now.managed)
        or (path[0] in _RUN and ("allowManagedHooksOnly",) in now.managed)
        or (path == _DOMAINS and ("sandbox", "network", "allowManagedDomainsOnly") in now.managed)
    )
    return _ONLY_MANAGED if only_own else None


def _hooks(path: Path_, _value: Any, source: Source, now: Situation) -> str | None:
    if path[0] in _RUN and source.trust <= now.no_hooks:
        return "disableAllHooks is set"
    return None


def _bypass(path: Path_, value: Any, source: Source, now: Situation) -> str | None:
    if path != ("permissions", "defaultMode") or value != "bypassPermissions":
        return None
    if now.bypass_disabled:
        return "disableBypassPermissionsMode is set"
    return "a project cannot lift all permissions" if source.trust == 0 else None


def _sandbox(path: Path_, value: Any, source: Source, now: Situation) -> str | None:
    """A source trusted less than the one that turned the sandbox on can only tighten it."""
    if path[0] != "sandbox" or source.trust >= now.sandboxed:
        return None
    inner = path[1:]
    if inner in _TIGHTENING_LISTS or (inner in _TIGHTENING and _TIGHTENING[inner] == value):
        return None
    return "it would loosen a sandbox that it did not turn on"


def _stranger(path: Path_, _value: Any, source: Source, _now: Situation) -> str | None:
    if source.trust > 0:
        return None
    if path[0] == "env" and _steers(path[1]):
        return "a project cannot set a variable that steers other programs"
    if path == ("statusLine",):
        return "a project cannot choose the command behind the status line"
    if path[:2] == ("apr", "webSearch"):
        return "a project cannot choose where searches are sent"
    if path in {("apr", "memoryBudget"), ("cleanupPeriodDays",), ("editorMode",)}:
        return "a project cannot decide about what is the user's own"
    shared = source.rung == "project"
    if shared and path in {("enableAllProjectMcpServers",), ("enabledMcpjsonServers",)}:
        return "a project cannot approve its own MCP servers"
    return None


def _steers(variable: str) -> bool:
    name = variable.upper()  # curl and others read http_proxy too
    return name in _STEERING or name.startswith(_STEERING_PREFIXES)


_CHECKS: Sequence[Callable[[Path_, Any, Source, Situation], str | None]] = (
    _policy,
    _hooks,
    _bypass,
    _sandbox,
    _stranger,
)
