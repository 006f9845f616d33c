"""Permission rules: how they are written, and what they speak of.

`Tool` or `Tool(specifier)`, as Claude Code documents them (code.claude.com/docs/en/permissions).
What a specifier means depends on the tool: a command, a path, a domain, a name.
"""

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from apr.patterns import Pattern

# A rule for one tool speaks of its like, too.
_SPEAKS_FOR = {
    "Edit": frozenset({"Edit", "Write", "NotebookEdit"}),
    "Read": frozenset({"Read", "Glob", "Grep"}),
    "Bash": frozenset({"Bash", "Monitor"}),
    "Task": frozenset({"Agent"}),
    "TaskOutput": frozenset({"BashOutput"}),
    "TaskStop": frozenset({"KillShell"}),
}
_SERVER = Pattern(r"mcp__(?:(?!__).)+")
_OF_ONE_SERVER = Pattern(r"mcp__(?:(?!__)[^*?[])+(?:__.*)?")


class BadRule(ValueError):
    """A permission rule that cannot be read."""


class Rule(Struct, frozen=True):
    """One rule. No specifier: every use of the tool."""

    tool: str
    specifier: str | None = None

    def speaks_of(self, tool: str) -> bool:
        """Whether the rule is about this tool, by name or as one of its kind."""
        if fnmatch.fnmatchcase(tool, self.tool) or tool in _SPEAKS_FOR.get(self.tool, ()):
            return True
        return _SERVER.fullmatch(self.tool) is not None and tool.startswith(f"{self.tool}__")

    def can_allow(self) -> bool:
        """Whether it names what it allows: a wildcard stands for the tools of one server only."""
        return not set(self.tool) & set("*?[") or _OF_ONE_SERVER.fullmatch(self.tool) is not None

    def __str__(self) -> str:
        return self.tool if self.specifier is None else f"{self.tool}({self.specifier})"


def parse_rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    """Read rules; one text may hold several, separated by commas or white space outside brackets.

    Raises:
        BadRule: naming the text.
    """
    return tuple(_parse_rule(part) for text in texts for part in _split(text))


def command_matches(specifier: str, command: str) -> bool:
    """Whether a command is one of those meant: `*` is any text, also none.

    At the end, ` *` and `:*` are the same: the words before, alone or with others behind them.
    """
    for ending in (":*", " *"):
        prefix = specifier.removesuffix(ending)
        if prefix != specifier and "*" not in prefix:
            return command == prefix or command.startswith((f"{prefix} ", f"{prefix}\t"))
    if "*" not in specifier:
        return command == specifier
    if specifier.endswith((":*", " *")):
        specifier = f"{specifier[:-2]} *"
        command += " "
    pattern = ".*".join(map(re.escape, specifier.split("*")))
    return re.fullmatch(pattern, command, re.DOTALL) is not None


def domain_matches(specifier: str, domain: str) -> bool:
    """Whether a host is meant. `*.example.com` is every host below, not example.com itself."""
    wanted = specifier.removeprefix("domain:").strip().rstrip(".").casefold()
    host = domain.rstrip(".").casefold()
    if wanted == "*":
        return True
    if wanted.startswith("*."):
        return host.endswith(wanted[1:]) and len(host) > len(wanted) - 1
    return host == wanted


def name_matches(specifier: str, name: str) -> bool:
    """Whether an agent or skill is meant, by its name or by name and arguments."""
    if ":*" in specifier or "*" in specifier:
        return command_matches(specifier, name)
    return specifier.casefold() in {name.casefold(), name.split(" ", 1)[0].casefold()}


def path_matches(
    specifier: str, root: Path, path: Path, *, forbidding: bool = False, folding: bool = False
) -> bool:
    """Whether a path is meant, in gitignore's terms.

    `//x` is from the root directory, `~/x` from home, anything else from the project.

    Args:
        specifier: what the rule says.
        root: the project.
        path: resolved.
        forbidding: whether a folder that the rule names, and that is a link, means also where it
            leads. What allows does not: whoever can plant a link could choose what is allowed.
        folding: whether the file system takes upper and lower case for the same.
    """
    base, pattern = anchored(specifier, root)
    if _below(pattern, base, path, folding=folding):
        return True
    if not forbidding:
        return False
    first, rest = _literal(base, pattern)
    real = first.resolve()
    return real != first and _below(rest, real, path, folding=folding)


def anchored(specifier: str, root: Path) -> tuple[Path, str]:
    """Return a path rule's base, and its gitignore pattern from there."""
    if specifier.startswith("//"):
        return Path("/"), specifier[1:]
    if specifier.startswith("~/"):
        return Path.home().resolve(), specifier[1:]
    pattern = specifier.removeprefix("./")
    if "/" in pattern.rstrip("/") and not pattern.startswith(("/", "**/")):
        pattern = "/" + pattern
    return root, pattern


def first_folder(specifier: str, root: Path) -> Path:
    """Return the folder below which all is that a path rule speaks of."""
    return _literal(*anchored(specifier, root))[0]


def _literal(base: Path, pattern: str) -> tuple[Path, str]:
    """Cut a pattern behind its last part that is a plain name."""
    if not pattern.startswith("/"):
        return base, pattern
    names = pattern.strip("/").split("/")
    plain = next((i for i, name in enumerate(names) if set(name) & set("*?[\\")), len(names))
    return base.joinpath(*names[:plain]), "/" + "/".join(names[plain:] or ["**"])


def _below(pattern: str, base: Path, path: Path, *, folding: bool) -> bool:
    from pathspec import GitIgnoreSpec  # 40 ms, paid only where there are path rules

    if folding:
        base, path = Path(str(base).casefold()), Path(str(path).casefold())
        pattern = pattern.casefold()
    if not path.is_relative_to(base):
        return False
    if path == base and pattern == "/**":
        return True
    return GitIgnoreSpec.from_lines([pattern]).match_file(str(path.relative_to(base)))


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
