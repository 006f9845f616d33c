"""What a person allows "from now on": the narrowest rule, and where it is kept."""

from pathlib import Path

import msgspec

from apr.agent.asking import Question
from apr.agent.permissions import BadRule, parse_rules
from apr.agent.rules import Rule

_WILD = frozenset("*?[]{}!\\")
"""Characters that would make more of a path than itself."""


def narrowest(question: Question, root: Path) -> Rule | None:
    """Return the rule that allows just this again: this command, these files, or else the tool.

    None: no rule can say it. A command or path with a wildcard in it would allow others as well,
    and what is for a person to answer each time is asked each time.
    """
    tool, access = question.call.name, question.access
    if access.kind == "consent":
        return None
    if access.command is not None:
        command = access.command.strip()
        return _as_read(Rule(tool, command)) if "*" not in command else None
    if access.kind == "write" and len(access.paths) == 1:
        path = access.paths[0]
        inside = path.is_relative_to(root)
        name = f"/{path.relative_to(root).as_posix()}" if inside else f"/{path.as_posix()}"
        return _as_read(Rule("Edit", name)) if not _WILD & set(name) else None
    if access.domain is not None:
        return _as_read(Rule(tool, f"domain:{access.domain}"))
    return Rule(tool)


def keep(rule: Rule, root: Path) -> Path:
    """Write what is allowed from now on into the project's local settings, and return that file.

    Raises:
        AprError: the file cannot be used as it is.
        OSError: it cannot be written.
    """
    from apr.settings.files import read
    from apr.settings.write import change

    path = root / ".apr" / "settings.local.json"
    layer = read(path, "local")
    known = (layer.data if layer else {}).get("permissions", {}).get("allow", [])
    if str(rule) not in known:
        value = msgspec.json.encode([*known, str(rule)]).decode()
        change(path, ("permissions", "allow"), value)
    return path


def _as_read(rule: Rule) -> Rule | None:
    """Return a rule if it is still the same when it is read from a file."""
    try:
        return rule if parse_rules([str(rule)]) == (rule,) else None
    except BadRule:
        return None
