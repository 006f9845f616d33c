"""May this tool use happen? A pure decision on what the tool says it would touch.

Rules are written `Tool` or `Tool(specifier)`; deny beats ask beats allow; a rule beats the mode.
A compound command is allowed only if every part of it is.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct

from apr.tools.base import Access
from ccpa.trace import DeniedBy

if TYPE_CHECKING:
    from apr.agent.commands import Parts

Mode = Literal["default", "acceptEdits", "plan", "bypassPermissions", "dontAsk"]
MODES: tuple[str, ...] = get_args(Mode)

# An Edit rule speaks of every tool that writes files, a Read rule of every tool that reads them.
_SPEAKS_FOR = {
    "Edit": frozenset({"Edit", "Write", "NotebookEdit"}),
    "Read": frozenset({"Read", "Glob", "Grep"}),
}

_SEARCHES = frozenset({"Glob", "Grep"})

# Writing here changes what runs later without anybody's asking: never a matter of course.
PROTECTED = (".git", ".claude", ".apr", ".mcp.json", ".envrc", ".vscode", ".idea", ".husky")

# These can neither read nor change a file; what they redirect or substitute is judged on its own.
# Not printf, [[ and the other tests: `printf -v` sets variables, and `test -v` runs what is in one.
_HARMLESS = frozenset({"pwd", "echo", "true", "false", ":"})
_FILE_TEST = re.compile(r"(?:\[|test) (?:! )?-[defhLrswx] [\w./-]+(?: \])?")
_MOVING = frozenset({"cd", "pushd", "popd"})
_CD = re.compile(r"cd (?!.*\.\.)(\.?[\w/][\w./-]*|'[^'~-][^']*'|\"[^\"$`\\~-][^\"$`\\]*\")")


class BadRule(ValueError):
    """A permission rule that cannot be read."""


class Rule(Struct, frozen=True):
    """One rule. No specifier: every use of the tool."""

    tool: str
    specifier: str | None = None

    def speaks_of(self, tool: str) -> bool:
        """Whether the rule is about this tool, by name or as one of its kind."""
        whole_server = self.tool.startswith("mcp__") and tool.startswith(f"{self.tool}__")
        by_name = whole_server or fnmatch.fnmatchcase(tool, self.tool)
        return by_name or tool in _SPEAKS_FOR.get(self.tool, ())

    def __str__(self) -> str:
        return self.tool if self.specifier is None else f"{self.tool}({self.specifier})"


class Decision(Struct, frozen=True):
    """`reason` is written for the model, who reads it when the answer is not yes."""

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


def parse_rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    """Read rules; one text may hold several, separated by commas or white space outside brackets.

    Raises:
        BadRule: naming the text.
    """
    return tuple(_parse_rule(part) for text in texts for part in _split(text))


def decide(policy: Policy, tool: str, access: Access) -> Decision:
    """Decide on one tool use."""
    if rule := _first(policy.deny, policy, tool, access, any):
        return Decision("deny", f"The rule {rule} forbids this {tool} call.", "rule")
    if rule := _reached(policy, tool, access):
        return Decision("deny", f"The rule {rule} forbids to read some of what is there.", "rule")
    if access.kind == "consent":
        return Decision("ask", f"{tool} is for a person to answer.", "mode")
    if policy.mode == "bypassPermissions":
        return Decision("allow")
    if policy.mode == "plan" and access.kind in {"write", "execute"}:
        return Decision("deny", f"Plan mode: {tool} may not change anything.", "mode")
    if rule := _first(policy.ask, policy, tool, access, any):
        return Decision("ask", f"The rule {rule} asks for a person's consent to {tool}.", "rule")
    return _by_kind(policy, tool, access)


def hidden(policy: Policy) -> tuple[str, ...]:
    """Return what a search must leave out, as patterns from the root: what no `Read` may open.

    A search names a folder, so the decision on it cannot see each file it will come upon. Patterns
    say nothing of files outside the root, so there `decide` refuses what could come upon one.
    """
    patterns = []
    for rule in policy.deny:
        if rule.tool != "Read" or rule.specifier is None:
            continue
        base, pattern = _anchored(rule.specifier, policy.root)
        if base == policy.root or pattern.startswith("/**/"):
            patterns.append(pattern)
        elif policy.root.is_relative_to(base):
            below = f"/{policy.root.relative_to(base).as_posix()}/"
            if pattern.startswith(below):
                patterns.append(pattern.removeprefix(below[:-1]))
    return tuple(patterns)


def _reached(policy: Policy, tool: str, access: Access) -> Rule | None:
    """Return a rule on reading that a search outside the project could break."""
    folders = [path for path in access.paths if not path.is_relative_to(policy.root)]
    if tool not in _SEARCHES or not folders:
        return None
    for rule in policy.deny:
        if rule.tool != "Read" or rule.specifier is None:
            continue
        base, pattern = _anchored(rule.specifier, policy.root)
        names = takewhile(lambda name: not set(name) & set("*?[\\"), pattern.split("/")[1:])
        first = base.joinpath(*names) if pattern.startswith("/") else base
        if any(first.is_relative_to(f) or f.is_relative_to(first) for f in folders):
            return rule
    return None


def _by_kind(policy: Policy, tool: str, access: Access) -> Decision:
    if _first(policy.allow, policy, tool, access, all):
        return Decision("allow")
    match access.kind:
        case "none" | "consent":
            return Decision("allow")
        case "execute":
            if _every_part_allowed(policy, tool, access):
                return Decision("allow")
            what = f"the command: {access.command}" if access.command is not None else f"{tool}."
            return Decision("ask", f"No rule allows {what}", "mode")
        case "network":
            where = f"{tool} of {access.domain}." if access.domain is not None else f"{tool}."
            return Decision("ask", f"No rule allows {where}", "mode")
    outside = [path for path in access.paths if not _inside(policy, path)]
    if outside:
        return Decision("ask", f"{outside[0]} is outside the project {policy.root}.", "mode")
    if access.kind == "read":
        return Decision("allow")
    guarded = [path for path in access.paths if _guarded(policy, path)]
    if guarded:
        return Decision("ask", f"{guarded[0]} configures tools; changing it needs consent.", "mode")
    if policy.mode == "acceptEdits":
        return Decision("allow")
    return Decision("ask", f"In {policy.mode} mode {tool} needs consent to write.", "mode")


def _every_part_allowed(policy: Policy, tool: str, access: Access) -> bool:
    """Whether rules allow each command in the text, and each file it writes by redirection."""
    if access.command is None:
        return False
    from apr.agent.commands import dissect  # the grammar loads only where a rule needs it

    parts = dissect(access.command)
    if not parts.certain or not parts.commands:
        return False
    here = access.cwd or policy.root
    moves = [part for part in parts.commands if _program(part) in _MOVING]
    if not _may_open(policy, here, parts, moved=bool(moves)):
        return False
    rules = [rule for rule in policy.allow if rule.tool == tool]
    return all(
        _program(part) in _HARMLESS
        or _FILE_TEST.fullmatch(part)
        or (moves == [part] and _stays_inside(policy, here, part))
        or any(_command_matches(rule, part) for rule in rules)
        for part in parts.commands
    )


def _program(command: str) -> str:
    return command.split(maxsplit=1)[0]


def _may_open(policy: Policy, here: Path, parts: "Parts", *, moved: bool) -> bool:
    """Whether each file that is redirected from or to may be read or written as a tool would."""
    if moved and any(not name.startswith("/") for name in parts.reads + parts.writes):
        return False  # relative to wherever cd has led
    reads, writes = (
        tuple((here / name).resolve() for name in names) for names in (parts.reads, parts.writes)
    )
    accesses = {
        "Read": Access(kind="read", paths=reads),
        "Edit": Access(kind="write", paths=writes),
    }
    return all(
        decide(policy, tool, access).behavior == "allow"
        for tool, access in accesses.items()
        if access.paths
    )


def _stays_inside(policy: Policy, here: Path, move: str) -> bool:
    """Whether it is a `cd` into a folder of the project that is named as it is."""
    target = _CD.fullmatch(move)
    return target is not None and _inside(policy, (here / target[1].strip("'\"")).resolve())


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
    if not rule.speaks_of(tool):
        return False
    if rule.specifier is None:
        return True
    if access.command is not None:
        if quantifier is all:
            return rule.specifier == access.command.strip()
        from apr.agent.commands import dissect

        parts = dissect(access.command)
        texts = (access.command.strip(), *parts.commands, *parts.bare)
        return any(_command_matches(rule, text) for text in texts)
    if access.domain is not None:
        return _domain_matches(rule.specifier, access.domain)
    if not access.paths:
        return False
    return quantifier(_path_matches(rule.specifier, policy, path) for path in access.paths)


def _command_matches(rule: Rule, command: str) -> bool:
    """`git diff:*` is a prefix at a word's end, `*` elsewhere a wildcard, anything else exact."""
    specifier = rule.specifier or ""
    if specifier.endswith(":*"):
        prefix = specifier[:-2]
        return command == prefix or command.startswith((prefix + " ", prefix + "\t"))
    return command == specifier or ("*" in specifier and fnmatch.fnmatchcase(command, specifier))


def _domain_matches(specifier: str, domain: str) -> bool:
    """`domain:example.com` is that host alone, `domain:*.example.com` all hosts below it."""
    kind, _, named = specifier.partition(":")
    wanted = named.lower().rstrip(".")
    if kind != "domain" or not wanted:
        return False
    if wanted.startswith("*."):
        return domain.endswith(wanted[1:])
    return wanted in {"*", domain}


def _path_matches(specifier: str, policy: Policy, path: Path) -> bool:
    """Gitignore syntax: `//x` from the root directory, `~/x` from home, else from the project."""
    from pathspec import GitIgnoreSpec  # 40 ms, paid only where there are path rules

    base, pattern = _anchored(specifier, policy.root)
    if not path.is_relative_to(base):
        return False
    return GitIgnoreSpec.from_lines([pattern]).match_file(str(path.relative_to(base)))


def _anchored(specifier: str, root: Path) -> tuple[Path, str]:
    """Return a path rule's base, and its gitignore pattern from there."""
    if specifier.startswith("//"):
        return Path("/"), specifier[1:]
    if specifier.startswith("~/"):
        return Path.home().resolve(), specifier[1:]
    pattern = specifier.removeprefix("./")
    if "/" in pattern.rstrip("/") and not pattern.startswith(("/", "**/")):
        pattern = "/" + pattern
    return root, pattern


def _inside(policy: Policy, path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in (policy.root, *policy.directories))


def _guarded(policy: Policy, path: Path) -> bool:
    folders = (policy.root, *policy.directories)
    return any(
        part.casefold() in PROTECTED  # the file system may not tell .GIT from .git
        for folder in folders
        if path.is_relative_to(folder)
        for part in path.relative_to(folder).parts
    )


def _split(text: str) -> list[str]:
    """Split at commas and white space that stand outside brackets."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0 and (char == "," or char.isspace()):
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return [part for part in parts if part]


def _parse_rule(text: str) -> Rule:
    tool, bracket, rest = text.partition("(")
    if not bracket and ")" not in text:
        return Rule(tool)
    if not tool or not rest.endswith(")") or rest == ")":
        raise BadRule(f"not a permission rule: {text!r} (write Tool or Tool(specifier))")
    specifier = rest[:-1]
    return Rule(tool) if specifier in {"*", ":*"} else Rule(tool, specifier)
