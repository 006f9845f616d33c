"""Rules and modes applied to a shell command, part by part.

Imported only where there is a command to judge: the grammar takes 20 ms to load.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from apr.agent.commands import Parts, Simple, dissect
from apr.agent.effects import Effects, effects
from apr.agent.permissions import PROTECTED, Policy, decide, inside
from apr.agent.rules import Rule, command_matches, first_folder, path_matches
from apr.agent.wrapped import everything, peeled, program, spellings
from apr.tools.base import Access

# These can neither read nor change a file; what they redirect or substitute is judged on its own.
# Not printf, [[ and the other tests: `printf -v` sets variables, and `test -v` runs what is in one.
_HARMLESS = frozenset({"pwd", "echo", "true", "false", ":"})
_FILE_TEST = re.compile(r"(?:\[|test) (?:! )?-[defhLrswx] [\w./-]+(?: \])?")
_MOVING = frozenset({"cd", "pushd", "popd"})
_CD = re.compile(r"cd (?!.*\.\.)(\.?[\w/][\w./-]*|'[^'~-][^']*'|\"[^\"$`\\~-][^\"$`\\]*\")")

_SAYING = frozenset({"echo", "printf", "pwd", "true", "false", ":", "type", "which"})
"""Programs whose arguments are no files."""
_CHANGING = frozenset(
    {
        "chmod", "chown", "cp", "dd", "install", "ln", "mkdir", "mv", "patch", "rm", "rmdir",
        "rsync", "sed", "shred", "tee", "touch", "truncate", "unlink",
    }
)  # fmt: skip


def spoken_of(rule: Rule, policy: Policy, tool: str, access: Access, command: str) -> bool:
    """Whether a rule that forbids or asks speaks of anything that a command may do."""
    specifier = rule.specifier or ""
    if rule.speaks_of(tool):
        texts = [command.strip(), *(t for one in everything(command) for t in spellings(one))]
        return any(command_matches(specifier, text) for text in texts)
    if rule.tool not in {"Read", "Edit"}:
        return False
    return any(
        path_matches(specifier, policy.root, path, forbidding=True, folding=policy.folds_case)
        for path in _named(rule.tool, policy, access, command)
    )


def only_reads(policy: Policy, access: Access, command: str) -> bool:
    """Whether a command surely changes nothing; what it may read is decided besides."""
    parts = dissect(command)
    if not parts.certain or not parts.commands or parts.writes:
        return False
    folders, moved = _folders(policy, access, parts)
    return all(
        moved is one or _harmless(one) or _only_reads(one, folders, moved=moved is not None)
        for one in parts.commands
    )


def unallowed(policy: Policy, tool: str, access: Access, command: str) -> str | None:
    """Say what of a command nothing allows; None where everything is allowed."""
    parts = dissect(command)
    if not parts.certain or not parts.commands:
        return f"No rule allows the command, and its parts are uncertain: {_one_line(command)}"
    folders, moved = _folders(policy, access, parts)
    moves = [one for one in parts.commands if program(one) in _MOVING]
    if moves and moved is None:
        return _no_rule(moves[0], command)
    if not _may_open(policy, folders[0], parts, moved=moved is not None):
        return f"No rule allows what it reads or writes by redirection: {_one_line(command)}"
    rules = [rule for rule in policy.allow if rule.can_allow() and rule.speaks_of(tool)]
    for one in parts.commands:
        if moved is one or _harmless(one) or any(_allows(rule, one) for rule in rules):
            continue
        if not _matter_of_course(policy, one, folders, moved=moved is not None):
            return _no_rule(one, command)
    return None


def runs_outside(specifiers: Iterable[str], command: str) -> bool:
    """Whether a command is excluded from the sandbox: every part of it must be."""
    chosen = tuple(specifiers)
    if not chosen:
        return False
    parts = dissect(command)
    return (
        parts.certain
        and bool(parts.commands)
        and not parts.writes
        and all(
            any(command_matches(_as_prefix(specifier), one.text) for specifier in chosen)
            for one in parts.commands
        )
    )


def ruin(policy: Policy, access: Access, command: str) -> str | None:
    """Return what a command would remove that nobody means to: home, what is above the project."""
    home = Path.home().resolve()
    lost = {Path("/"), home, *home.parents, *policy.root.parents}
    for one in everything(command):
        if program(one) != "rm":
            continue
        options = [word for word in one.words[1:] if word and word.startswith("-")]
        if not any(word.startswith("--r") or re.match(r"-\w*[rR]", word) for word in options):
            continue
        for index, word in enumerate(one.words[1:], 1):
            name = word if word is not None else one.written(index)
            plain = re.sub(r"/\*$", "", re.sub("[\"']", "", name)) or "/"
            expanded = plain.replace("${HOME}", "$HOME").replace("$HOME", str(home))
            if expanded.startswith("-"):
                continue
            target = Path(os.path.realpath((access.cwd or policy.root) / expanded))
            if target in lost:
                return str(target)
    return None


def _as_prefix(specifier: str) -> str:
    """A bare name excludes the program, whatever its arguments: `docker` is `docker *`."""
    return specifier if " " in specifier or "*" in specifier else f"{specifier} *"


def _no_rule(part: Simple, command: str) -> str:
    if part.text.strip() == command.strip():
        return f"No rule allows the command: {_one_line(command)}"
    return f"No rule allows {_one_line(part.text)} in the command: {_one_line(command)}"


def _one_line(text: str) -> str:
    """Return the text as the end of a sentence."""
    line = " ".join(text.split())
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _folders(
    policy: Policy, access: Access, parts: Parts
) -> tuple[tuple[Path, ...], Simple | None]:
    """Return where commands may run, and the one `cd` that stays in the project, if it is one."""
    here = access.cwd or policy.root
    moves = [one for one in parts.commands if program(one) in _MOVING]
    if len(moves) != 1:
        return (here,), None
    target = _CD.fullmatch(moves[0].text)
    there = (here / target[1].strip("'\"")).resolve() if target is not None else None
    if there is None or not inside(policy, there):
        return (here,), None
    return (here, there), moves[0]


def _harmless(one: Simple) -> bool:
    if _FILE_TEST.fullmatch(one.text):
        return True
    return bool(one.words) and not one.assigned and one.words[0] in _HARMLESS


def _allows(rule: Rule, one: Simple) -> bool:
    return any(
        rule.specifier is not None and command_matches(rule.specifier, form.text + " \0" * more)
        for form, more in peeled(one)
    )


def _only_reads(one: Simple, folders: tuple[Path, ...], *, moved: bool) -> bool:
    found = _effects(one, folders, moved=moved)
    return found is not None and not found.writes


def _effects(one: Simple, folders: tuple[Path, ...], *, moved: bool) -> Effects | None:
    """Return what a command does, wrappers left aside; None where that is not known."""
    *_, (inner, more) = peeled(one)
    if (
        more or inner.assigned or (moved and program(inner) == "git")
    ):  # elsewhere git may be told what to run
        return None
    return effects(inner.words, folders)


def _matter_of_course(
    policy: Policy, one: Simple, folders: tuple[Path, ...], *, moved: bool
) -> bool:
    """Whether a command needs no consent: it reads what may be read, writes what may be written."""
    found = _effects(one, folders, moved=moved)
    if found is None or (found.below and _something_below_is_hidden(policy, found)):
        return False
    if found.writes and (policy.mode != "acceptEdits" or _takes_guarded(policy, found)):
        return False
    return _may(policy, "Read", found.reads) and _may(policy, "Edit", found.writes)


def _something_below_is_hidden(policy: Policy, found: Effects) -> bool:
    firsts = [
        first_folder(rule.specifier, policy.root)
        for rule in policy.deny
        if rule.tool == "Read" and rule.specifier is not None
    ]
    return any(
        first.is_relative_to(path) or path.is_relative_to(first)
        for first in firsts
        for path in found.reads
    )


def _takes_guarded(policy: Policy, found: Effects) -> bool:
    """Whether a folder goes, or comes, that holds what configures tools."""
    return any(
        path == policy.root or any((path / name).exists() for name in PROTECTED)
        for path in found.writes
    )


def _may(policy: Policy, tool: str, paths: tuple[Path, ...]) -> bool:
    access = Access(kind="read" if tool == "Read" else "write", paths=paths)
    return not paths or decide(policy, tool, access).behavior == "allow"


def _may_open(policy: Policy, here: Path, parts: Parts, *, moved: bool) -> bool:
    """Whether each file that is redirected from or to may be read or written as a tool would."""
    if moved and any(not name.startswith("/") for name in parts.reads + parts.writes):
        return False  # relative to wherever cd has led
    reads, writes = (
        tuple((here / name).resolve() for name in names) for names in (parts.reads, parts.writes)
    )
    return _may(policy, "Read", reads) and _may(policy, "Edit", writes)


def _named(tool: str, policy: Policy, access: Access, command: str) -> set[Path]:
    """Return the files that a command may read or change, as far as it names them."""
    found = everything(command)
    here = access.cwd or policy.root
    folders = [here]
    for one in found:
        if program(one) in _MOVING:
            folders += [folder / word for folder in folders[:8] for word in one.words[1:] if word]
    parts = dissect(command)
    names = set(parts.writes if tool == "Edit" else parts.reads)
    for one in found:
        if program(one) in _SAYING or (tool == "Edit" and program(one) not in _CHANGING):
            continue
        for word in filter(None, one.words[1:]):
            names |= {word, word.partition("=")[2]}
            if word.startswith("-"):
                names.add(word[2:])
    return {Path(os.path.realpath(folder / name)) for folder in folders for name in names if name}
