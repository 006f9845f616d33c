"""What a person may allow besides the one call: which rules would do, and why there are none.

A rule is offered only if it allows just what can be seen: of a command that does more than its text
says, none. Each is tried on the very question first; one that would not answer it is not offered.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from apr.agent.asking import Question
from apr.agent.permissions import BadRule, Policy, Rule, decide, parse_rules
from apr.tools.base import Access

if TYPE_CHECKING:
    from apr.agent.commands import Simple

# Programs whose next word says what they do, so that a rule on both means one thing.
_WITH_SUBCOMMANDS = frozenset(
    {
        "apt", "bazel", "brew", "bun", "bundle", "cargo", "composer", "dotnet", "gh", "git", "go",
        "gradle", "./gradlew", "hatch", "just", "kubectl", "make", "mix", "mvn", "./mvnw", "nox",
        "npm", "pip", "pnpm", "poetry", "rake", "swift", "terraform", "tox", "uv", "yarn", "zig",
    }
)  # fmt: skip
_RUN_ANYTHING = frozenset(
    {
        "alias", "apply", "bisect", "config", "dlx", "eval", "exec", "filter-branch", "foreach",
        "rebase", "run", "run-script", "shell", "submodule", "tool", "x",
    }
)  # fmt: skip
_SCRIPTS = frozenset({"bun", "npm", "pnpm", "yarn"})
"""Of these, `run NAME` runs what the project calls so."""
# Programs that check or test a project: their arguments say which part.
_CHECKERS = frozenset(
    {
        "black", "clang-format", "ctest", "eslint", "flake8", "gofmt", "jest", "mypy", "phpunit",
        "prettier", "pylint", "pyright", "pytest", "rspec", "rubocop", "ruff", "rustfmt",
        "shellcheck", "tsc", "vitest",
    }
)  # fmt: skip
# Without a script among their arguments, these run what they read.
_INTERPRETERS = frozenset(
    {
        "ash", "bash", "bun", "dash", "deno", "fish", "irb", "ksh", "lua", "node", "perl", "php",
        "python", "ruby", "sh", "zsh",
    }
)  # fmt: skip
_RUN_THEIR_INPUT = frozenset({"mysql", "parallel", "psql", "sqlite", "ssh", "xargs"})
_PATTERN = frozenset("*?[]\\!#")
"""What means something else than itself in a rule on paths."""
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters that take part in others, or have no ink, and that Python takes for printable."""
_PIPE = re.compile(r"(?<!\|)\|(?!\|)")
_ONE_SERVER = re.compile(r"(mcp__[^\W_]+(?:[_-][^\W_]+)*)__(?!_)(?:(?!__).)+")
"""A server's tool, where the name cannot be that of another server's too."""
_LONGEST = 1000
"""Characters of what is offered: ten lines or so."""
_UNWRITABLE = "No rule is offered: it could not be written so that it means this."


class Offers(Struct, frozen=True, kw_only=True):
    """Rules that would allow this again: the narrowest there are, and wider ones."""

    narrow: tuple[Rule, ...] = ()
    wide: tuple[Rule, ...] = ()
    why_not: str = ""
    """Why there are none."""
    edits: bool = False
    """Whether the mode acceptEdits would allow it."""


class Part(Struct, frozen=True, kw_only=True):
    """A part of a command, as the permission system has taken it apart."""

    text: str
    allowed: bool


def offers(question: Question, policy: Policy, *, managed: bool = False) -> Offers:
    """Return what may be offered. `managed`: only the organisation's rules may allow something."""
    if question.access.kind == "consent":
        return Offers()
    if managed:
        return Offers(why_not="Only the organisation's rules may allow something here.")
    if decide(policy, question.call.name, question.access).behavior == "allow":
        return Offers(why_not="A hook asks each time: no rule changes that.")
    found = _candidates(question, policy)
    narrow = found.narrow if _would_do(question, policy, found.narrow) else ()
    wide = found.wide if found.wide != narrow and _would_do(question, policy, found.wide) else ()
    accepting = msgspec.structs.replace(policy, mode="acceptEdits")
    edits = (
        question.access.kind == "write"
        and policy.mode == "default"
        and decide(accepting, question.call.name, question.access).behavior == "allow"
    )
    why_not = found.why_not
    if found.narrow and not narrow:
        why_not = "This is asked each time, whatever is allowed."
    return Offers(narrow=narrow, wide=wide, why_not=why_not, edits=edits)


def parts(question: Question, policy: Policy) -> list[Part]:
    """Return the parts of a command, and the files it opens; none where it has one part only."""
    access = question.access
    if access.command is None:
        return []
    from apr.agent.commands import dissect

    found = dissect(access.command)
    shown = [
        Part(text=one.text, allowed=_allowed(policy, question.call.name, access, one.text))
        for one in found.commands
    ]
    for kind, names in (("reads", found.reads), ("writes", found.writes)):
        tool = "Read" if kind == "reads" else "Edit"
        for name in names:
            path = ((access.cwd or policy.root) / name).resolve()
            touched = Access(kind="read" if kind == "reads" else "write", paths=(path,))
            allowed = decide(policy, tool, touched).behavior == "allow"
            shown.append(Part(text=f"{kind} {name}", allowed=allowed))
    return (
        shown
        if len(shown) > 1 or (shown and shown[0].text.strip() != access.command.strip())
        else []
    )


def _candidates(question: Question, policy: Policy) -> Offers:
    """Return the rules that come into question."""
    tool, access = question.call.name, question.access
    if access.command is not None:
        return _of_command(tool, access, policy)
    if access.kind in {"read", "write"} and access.paths:
        return _of_paths("Edit" if access.kind == "write" else "Read", access.paths, policy.root)
    if "*" in (access.domain or "") + (access.name or "") or set(tool) & set("*?["):
        return Offers(why_not=_UNWRITABLE)
    if access.domain is not None:
        return _checked((Rule(tool, f"domain:{access.domain}"),))
    if access.name is not None:
        return _checked((Rule(tool, access.name),))
    server = _ONE_SERVER.fullmatch(tool)
    return _checked((Rule(tool),), (Rule(server[1]),) if server is not None else ())


def _of_command(tool: str, access: Access, policy: Policy) -> Offers:
    from apr.agent.commands import dissect

    command = (access.command or "").strip()
    found = dissect(command)
    if not found.certain or not found.commands:
        return Offers(why_not="No rule is offered: it may do more than its text says.")
    if found.writes or found.reads:
        return Offers(why_not="No rule is offered: it redirects from or to files.")

    asked: list[Simple] = [
        one for one in found.commands if not _allowed(policy, tool, access, one.text)
    ]
    if any(None in one.words or not one.words for one in asked):
        return Offers(why_not="No rule is offered: a part of it is computed when it runs.")
    if any("*" in one.text for one in asked):
        return Offers(why_not="No rule is offered: a * in it would stand for anything.")
    if any(map(_runs_its_input, asked)):
        if not _PIPE.search(command) or "*" in command:
            return Offers(why_not="No rule is offered: what is done is said by what it reads.")
        return _checked((Rule(tool, command),))  # with what it reads
    narrow = tuple(dict.fromkeys(Rule(tool, one.text.strip()) for one in asked))
    prefixes = [_prefix([word or "" for word in one.words]) for one in asked if not one.assigned]
    wide = tuple(dict.fromkeys(Rule(tool, f"{prefix}:*") for prefix in prefixes if prefix))
    return _checked(narrow, wide if len(prefixes) == len(asked) and all(prefixes) else ())


def _runs_its_input(one: "Simple") -> bool:
    """Whether a command does what it is told by what it reads: a rule on it would allow anything.

    `echo` needs no rule, and any text can be sent on to it.
    """
    from apr.agent.wrapped import everything, program

    for inner in everything(one.text):
        name, given = program(inner).rstrip(".0123456789"), inner.words[1:]
        if name in _RUN_THEIR_INPUT:
            return True
        if name in _INTERPRETERS:
            scripts = [word for word in given if word is None or not word.startswith("-")]
            if not scripts or {"-", "-s", "/dev/stdin"} & set(given):
                return True
    return False


def _prefix(words: list[str]) -> str | None:
    """Return the words that say what a command does, None where no such rule is wise."""
    program, *rest = words
    if program in {"python", "python3"} and rest[:1] == ["-m"] and rest[1:2]:
        return f"{program} -m {rest[1]}" if rest[1] in _CHECKERS else None
    if program in _CHECKERS:
        return program
    if program not in _WITH_SUBCOMMANDS or not rest or not _is_name(rest[0]):
        return None
    if program in _SCRIPTS and rest[0] in {"run", "run-script"}:
        return f"{program} {rest[0]} {rest[1]}" if rest[1:] and _is_name(rest[1]) else None
    return None if rest[0] in _RUN_ANYTHING else f"{program} {rest[0]}"


def _is_name(word: str) -> bool:
    return word[:1].isalpha() and set(word) <= set("-_:.") | {c for c in word if c.isalnum()}


def _of_paths(kind: str, paths: Iterable[Path], root: Path) -> Offers:
    narrow: list[Rule] = []
    wide: list[Rule] = []
    for path in paths:
        inside = path.is_relative_to(root)
        name = path.relative_to(root).as_posix() if inside else path.as_posix()
        if _PATTERN & set(name) or name != name.strip() or name == ".":
            return Offers(why_not="No rule is offered: the name would mean other files, too.")
        narrow.append(Rule(kind, f"/{name}"))
        folder = name.rpartition("/")[0]
        if folder and inside:
            wide.append(Rule(kind, f"/{folder}/**"))
    return _checked(tuple(narrow), tuple(dict.fromkeys(wide)))


def _checked(narrow: tuple[Rule, ...], wide: tuple[Rule, ...] = ()) -> Offers:
    """Return the rules that are the same when they are read again from a file."""
    if not all(map(_readable, narrow)):
        return Offers(why_not=_UNWRITABLE)
    if sum(len(str(rule)) for rule in narrow) > _LONGEST:
        return Offers(why_not="No rule is offered: it would be too long to be read at a glance.")
    return Offers(narrow=narrow, wide=wide if all(map(_readable, wide)) else ())


def _readable(rule: Rule) -> bool:
    text = str(rule)
    if not text.isprintable() or _UNSEEN.search(text):  # it would look like another
        return False
    try:
        return parse_rules([text]) == (rule,) and rule.can_allow()
    except BadRule:
        return False


def _would_do(question: Question, policy: Policy, rules: tuple[Rule, ...]) -> bool:
    if not rules:
        return False
    more = msgspec.structs.replace(policy, allow=(*policy.allow, *rules))
    return decide(more, question.call.name, question.access).behavior == "allow"


def _allowed(policy: Policy, tool: str, access: Access, command: str) -> bool:
    """Whether a part of a command would be allowed by itself."""
    alone = msgspec.structs.replace(access, command=command)
    return decide(policy, tool, alone).behavior == "allow"
