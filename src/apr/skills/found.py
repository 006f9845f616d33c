"""Which skills and commands there are: the user's, the project's, and those of plugins."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from apr.legible import legible
from apr.memory.reading import Unreadable, markdown_in, text_of
from apr.settings import SOURCES
from apr.settings.ladder import user_folders
from apr.skills import frontmatter

SKILL_FILE = "SKILL.md"
_MOST = 1000
"""Folders that are looked at in one place."""
_LONGEST_DESCRIPTION = 1024


class Skill(Struct, frozen=True, kw_only=True):
    """Instructions with a name. A command is one that a person starts."""

    name: str
    """How it is called: of a plugin's, `plugin:name`."""
    description: str
    path: Path
    kind: Literal["skill", "command"]
    source: str
    """Whose it is: `user`, `project`, or the name of a plugin."""
    root: Path
    """The folder whose files it may speak of: of the skill, or of the plugin."""
    allowed: tuple[str, ...] = ()
    """Permission rules that hold while it is in use."""
    argument_hint: str = ""
    by_model: bool = True
    """Whether the model may use it on its own."""
    by_user: bool = True
    """Whether a person can call it."""
    agent: str | None = None
    """The kind of subagent that works on it, where it is not for the conversation itself."""


class Place(Struct, frozen=True, kw_only=True):
    """A folder that may hold `skills` and `commands`."""

    folder: Path
    source: str
    prefix: str = ""
    """What comes before its names: `plugin:`."""


def places(root: Path, env: Mapping[str, str], sources: Collection[str] = SOURCES) -> list[Place]:
    """Return where the user's and the project's are, the ones that count first."""
    found: list[Place] = []
    claude, apr = user_folders(env)
    if "user" in sources:
        found += [Place(folder=folder, source="user") for folder in (apr, claude)]
    if "project" in sources:
        found += [
            Place(folder=root / name, source="project")
            for name in (".apr", ".claude")
            if root / name not in (apr, claude)
        ]
    return found


def discover(where: Iterable[Place]) -> tuple[dict[str, Skill], list[str]]:
    """Return the skills by name, and what is said of those that cannot be used.

    Of several with one name the first place's counts, and a skill before a command.
    """
    skills: dict[str, Skill] = {}
    notices: list[str] = []
    for place in where:
        for skill in (*_skills(place, notices), *_commands(place, notices)):
            skills.setdefault(skill.name, skill)
    return skills, notices


def _skills(place: Place, notices: list[str]) -> Iterator[Skill]:
    for folder in _folders(place.folder / "skills"):
        path = folder / SKILL_FILE
        if (head := _head(path, notices)) is not None:
            yield _skill(path, head, place, "skill", folder.name, root=folder)


def _commands(place: Place, notices: list[str]) -> Iterator[Skill]:
    commands = place.folder / "commands"
    for path in markdown_in(commands) if commands.is_dir() else ():
        if (head := _head(path, notices)) is not None:
            yield _skill(path, head, place, "command", path.stem, root=place.folder)


def _skill(
    path: Path,
    head: frontmatter.Head,
    place: Place,
    kind: Literal["skill", "command"],
    name: str,
    *,
    root: Path,
) -> Skill:
    own = frontmatter.text_in(head, "name") if kind == "skill" else ""
    description = frontmatter.text_in(head, "description")[:_LONGEST_DESCRIPTION]
    forked = frontmatter.text_in(head, "context") == "fork"
    return Skill(
        name=legible(place.prefix + (own or name)),
        description=legible(description),
        path=path,
        kind=kind,
        source=place.source,
        root=place.folder if place.prefix else root,
        allowed=frontmatter.names_in(head, "allowed-tools") or (),
        argument_hint=legible(frontmatter.text_in(head, "argument-hint")),
        by_model=bool(description)
        and not frontmatter.truth_in(head, "disable-model-invocation", False),
        by_user=frontmatter.truth_in(head, "user-invocable", True),
        agent=(frontmatter.text_in(head, "agent") or "general-purpose") if forked else None,
    )


def _head(path: Path, notices: list[str]) -> frontmatter.Head | None:
    try:
        return frontmatter.split(text_of(path))[0]
    except FileNotFoundError:
        return None
    except (OSError, Unreadable) as error:
        notices.append(f"{path} is not used: {getattr(error, 'strerror', None) or error}")
        return None


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for _, entry in zip(range(_MOST), entries, strict=False))
    except OSError:
        return []
    return [folder / name for name in names if not name.startswith(".")]
