"""May this tool use happen? A decision on what the tool says it would touch.

Deny beats ask beats allow; a rule beats the mode. A compound command is allowed only if every part
of it is, and forbidden if any part is. docs/permissions.md says the same for users.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

from msgspec import Struct

from apr.agent.rules import (
    BadRule,
    Rule,
    anchored,
    domain_matches,
    first_folder,
    name_matches,
    parse_rules,
    path_matches,
)
from apr.tools.base import Access
from ccpa.trace import DeniedBy

__all__ = [
    "MODES",
    "PROTECTED",
    "BadRule",
    "Decision",
    "Mode",
    "Policy",
    "Rule",
    "decide",
    "hidden",
    "inside",
    "parse_rules",
]

Mode = Literal["default", "acceptEdits", "plan", "bypassPermissions", "dontAsk"]
MODES: tuple[str, ...] = get_args(Mode)

_SEARCHES = frozenset({"Glob", "Grep"})

# Writing here changes what runs later without anybody's asking: never a matter of course.
PROTECTED = (".git", ".claude", ".apr", ".mcp.json", ".envrc", ".vscode", ".idea", ".husky")


class Decision(Struct, frozen=True):
    """`reason` is written for the model, who reads it when the answer is not yes: sentences."""

    behavior: Literal["allow", "ask", "deny"]
    reason: str = ""
    by: DeniedBy | None = None


class Policy(Struct, frozen=True, kw_only=True):
    """Everything a decision depends on besides the tool use itself."""

    root: Path
    mode: Mode = "default"
    allow: tuple[Rule, ...] = ()
    ask: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()
    directories: tuple[Path, ...] = ()
    """Further directories that count as the project's own."""
    sandboxed: bool = False
    """Whether commands need no consent because they are confined."""
    unconfined: tuple[str, ...] = ()
    """Commands that are not, as specifiers of a Bash rule."""
    folds_case: bool = sys.platform in {"darwin", "win32"}
    """Whether the file system takes upper and lower case for the same."""


def decide(policy: Policy, tool: str, access: Access) -> Decision:
    """Decide on one tool use."""
    if rule := _first(policy.deny, policy, tool, access, any):
        return Decision("deny", f"The rule {rule} forbids this {tool} call.", "rule")
    if rule := _reached(policy, tool, access):
        return Decision("deny", f"The rule {rule} forbids to read some of what is there.", "rule")
    if access.kind == "consent":
        return Decision("ask", f"{tool} is for a person to answer.", "mode")
    if policy.mode == "plan" and _changes(policy, access):
        return Decision("deny", f"Plan mode: {tool} may not change anything.", "mode")
    if rule := _first(policy.ask, policy, tool, access, any):
        return Decision("ask", f"The rule {rule} asks for a person's consent to {tool}.", "rule")
    if access.command is not None and (lost := _ruin(policy, access, access.command)):
        return Decision("ask", f"To remove {lost} needs consent in every mode.", "mode")
    if policy.mode == "bypassPermissions":
        return Decision("allow")
    return _by_kind(policy, tool, access)


def hidden(policy: Policy) -> tuple[str, ...]:
    """Return what a search must leave out, as patterns from the root: what no `Read` may open.

    A search names a folder, so the decision on it cannot see each file it will come upon. Patterns
    say nothing of files outside the root, so there `decide` refuses what could come upon one.
    """
    patterns = []
    for specifier in _unreadable(policy):
        base, pattern = anchored(specifier, policy.root)
        if base == policy.root or pattern.startswith("/**/"):
            patterns.append(pattern)
        elif policy.root.is_relative_to(base):
            below = f"/{policy.root.relative_to(base).as_posix()}/"
            if pattern.startswith(below):
                patterns.append(pattern.removeprefix(below[:-1]))
    return tuple(patterns)


def inside(policy: Policy, path: Path) -> bool:
    """Whether a resolved path is the project's own."""
    return any(path.is_relative_to(folder) for folder in (policy.root, *policy.directories))


def _unreadable(policy: Policy) -> Iterable[str]:
    return (r.specifier for r in policy.deny if r.tool == "Read" and r.specifier is not None)


def _reached(policy: Policy, tool: str, access: Access) -> Rule | None:
    """Return a rule on reading that a search outside the project could break."""
    folders = [path for path in access.paths if not path.is_relative_to(policy.root)]
    if tool not in _SEARCHES or not folders:
        return None
    for rule in policy.deny:
        if rule.tool != "Read" or rule.specifier is None:
            continue
        first = first_folder(rule.specifier, policy.root)
        if any(first.is_relative_to(f) or f.is_relative_to(first) for f in folders):
            return rule
    return None


def _changes(policy: Policy, access: Access) -> bool:
    """Whether it is not sure that nothing is changed."""
    if access.kind == "execute":
        from apr.agent.shell_policy import only_reads

        return access.command is None or not only_reads(policy, access, access.command)
    return access.kind == "write"


def _ruin(policy: Policy, access: Access, command: str) -> str | None:
    if "rm" not in command:
        return None
    from apr.agent.shell_policy import ruin

    return ruin(policy, access, command)


def _by_kind(policy: Policy, tool: str, access: Access) -> Decision:
    guarded = [path for path in access.paths if access.kind == "write" and is_guarded(policy, path)]
    rules = tuple(rule for rule in policy.allow if rule.can_allow())
    if guarded:
        rules = tuple(rule for rule in rules if _names_guarded(rule))
    if _first(rules, policy, tool, access, all):
        return Decision("allow")
    match access.kind:
        case "none" | "consent":
            return Decision("allow")
        case "execute":
            return _execute(policy, tool, access)
        case "network":
            where = f"{tool} of {access.domain}." if access.domain is not None else f"{tool}."
            return Decision("ask", f"No rule allows {where}", "mode")
    outside = [path for path in access.paths if not inside(policy, path)]
    if outside:
        return Decision("ask", f"{outside[0]} is outside the project {policy.root}.", "mode")
    if access.kind == "read":
        return Decision("allow")
    if guarded:
        return Decision("ask", f"{guarded[0]} configures tools; changing it needs consent.", "mode")
    if policy.mode == "acceptEdits":
        return Decision("allow")
    return Decision("ask", f"In {policy.mode} mode {tool} needs consent to write.", "mode")


def _execute(policy: Policy, tool: str, access: Access) -> Decision:
    if access.command is None:
        return Decision("ask", f"No rule allows {tool}.", "mode")
    from apr.agent.shell_policy import runs_outside, unallowed

    if policy.sandboxed and not runs_outside(policy.unconfined, access.command):
        return Decision("allow")
    reason = unallowed(policy, tool, access, access.command)
    return Decision("allow") if reason is None else Decision("ask", reason, "mode")


def _first(
    rules: tuple[Rule, ...],
    policy: Policy,
    tool: str,
    access: Access,
    quantifier: Callable[[Iterable[bool]], bool],
) -> Rule | None:
    return next((rule for rule in rules if _matches(rule, policy, tool, access, quantifier)), None)


def _matches(
    rule: Rule,
    policy: Policy,
    tool: str,
    access: Access,
    quantifier: Callable[[Iterable[bool]], bool],
) -> bool:
    """Whether a rule speaks of this use: to forbid, of any part of it; to allow, of all."""
    forbids = quantifier is any
    if forbids and rule.specifier is not None and access.command is not None:
        from apr.agent.shell_policy import spoken_of

        return spoken_of(rule, policy, tool, access, access.command)
    if not rule.speaks_of(tool):
        return False
    if rule.specifier is None:
        return True
    if access.command is not None:
        return rule.specifier == access.command.strip()
    if access.domain is not None:
        return rule.specifier.startswith("domain:") and domain_matches(
            rule.specifier, access.domain
        )
    if access.name is not None:
        return name_matches(rule.specifier, access.name)
    if not access.paths:
        return False
    return quantifier(
        path_matches(
            rule.specifier, policy.root, path, forbidding=forbids, folding=policy.folds_case
        )
        for path in access.paths
    )


def is_guarded(policy: Policy, path: Path) -> bool:
    """Whether a path of the project decides about what other programs run."""
    folders = (policy.root, *policy.directories)
    return any(
        part.casefold() in PROTECTED  # the file system may not tell .GIT from .git
        for folder in folders
        if path.is_relative_to(folder)
        for part in path.relative_to(folder).parts
    )


def _names_guarded(rule: Rule) -> bool:
    """Whether a rule says that it means such a path: `Edit(.claude/**)`, not `Edit(**)`."""
    parts = (rule.specifier or "").casefold().split("/")
    return any(part in PROTECTED for part in parts)
