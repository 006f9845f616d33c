"""Which skills and commands there are: the user's, the project's, and those of plugins."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from apr.legible import legible
from apr.memory.reading import Unreadable, markdown_in, text_of
from apr.patterns import Pattern
from apr.settings import SOURCES
from apr.settings.ladder import user_folders
from apr.skills import frontmatter

SKILL_FILE = "SKILL.md"
FOLDERS = (".apr", ".claude")
"""Where a directory keeps its own, the one that counts first before."""
_MOST = 1000
"""Folders that are looked at in one place."""
_LONGEST_DESCRIPTION = 1536
_NO_NAME = Pattern(r"[\s/\\\x00-\x1f\x7f]+")


class Skill(Struct, frozen=True, kw_only=True):
    """Instructions with a name. A command is one that a person starts."""

    name: str
    """How it is called: `deploy`, `folder:deploy` in a folder, `plugin:deploy` of a plugin."""
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
    arguments: tuple[str, ...] = ()
    """Names of the words that it is given, in their order."""
    by_model: bool = True
    """Whether the model may use it on its own."""
    by_user: bool = True
    """Whether a person can call it."""
    agent: str | None = None
    """The kind of subagent that works on it, where it is not for the conversation itself."""
    globs: tuple[str, ...] = ()
    """The files it is for, from `base`: the model hears of it when it touches one. None: all."""
    base: Path = Path()


class Place(Struct, frozen=True, kw_only=True):
    """A folder that may hold `skills`, `commands` and `agents`."""

    folder: Path
    source: str
    prefix: str = ""
    """What comes before its names: `plugin:`."""
    within: tuple[Path, ...] | None = None
    """Where its files must be, links followed; None for anywhere: the user's own."""
    skills: tuple[Path, ...] = (Path("skills"),)
    """Relative to `folder`: a skill's folder, or a folder of those."""
    commands: tuple[Path, ...] = (Path("commands"),)
    """Relative to `folder`: Markdown files, or folders of those; `agents`, too."""
    agents: tuple[Path, ...] = (Path("agents"),)

    def holds(self, path: Path) -> bool:
        """Whether a file of this place is where it must be."""
        real = os.path.realpath(path)
        return self.within is None or any(Path(real).is_relative_to(one) for one in self.within)

    def markdown(self, of: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
        """Yield the Markdown files that are named, or in a named folder, and their names there."""
        for one in (self.folder / name for name in of):
            if one.is_dir():
                yield from ((path, path.relative_to(one)) for path in markdown_in(one))
            elif one.suffix == ".md":
                yield one, Path(one.name)


def places(root: Path, env: Mapping[str, str], sources: Collection[str] = SOURCES) -> list[Place]:
    """Return where the user's and the project's are, the ones that count first.

    The project's are those of its directory, and of those above it in the same repository. What is
    a link out of the repository is not used, unless it leads to the user's own folders.
    """
    claude, apr = user_folders(env)
    found = [Place(folder=folder, source="user") for folder in (apr, claude)]
    if "user" not in sources:
        found = []
    if "project" in sources:
        top = _top(root)
        for directory in (root, *(one for one in root.parents if one.is_relative_to(top))):
            found += places_of(directory, top, env)
    return found


def places_of(directory: Path, top: Path, env: Mapping[str, str]) -> list[Place]:
    """Return the places of one directory of a project."""
    own = user_folders(env)
    return [
        Place(
            folder=directory / name,
            source="project",
            within=(top, *(Path(os.path.realpath(one)) for one in own)),
        )
        for name in FOLDERS
        if directory / name not in own
    ]


def _top(root: Path) -> Path:
    """Return the repository that a directory is in; itself where it is in none."""
    return next((one for one in (root, *root.parents) if (one / ".git").exists()), root)


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


def nested(root: Path, directory: Path, env: Mapping[str, str]) -> Iterator[Skill]:
    """Yield the skills of a directory in the project, as they are called from elsewhere.

    Their names are their own; `callable_as` says what to do where one is taken.
    """
    found, _ = discover(places_of(directory, _top(root), env))
    yield from found.values()


def callable_as(skill: Skill, taken: Collection[str], directory: str) -> Skill:
    """Return a skill under a name that is free: its own, or with its directory before it."""
    if skill.name not in taken:
        return skill
    return msgspec.structs.replace(skill, name=f"{directory}:{skill.name}")


def named(skills: Mapping[str, Skill], name: str) -> Skill | None:
    """Return the skill of this name, or the only one whose name ends in it behind a `:`."""
    name = name.strip().removeprefix("/")
    if name in skills:
        return skills[name]
    meant = [skill for known, skill in skills.items() if known.rpartition(":")[2] == name]
    return meant[0] if len(meant) == 1 else None


def _skills(place: Place, notices: list[str]) -> Iterator[Skill]:
    for named in place.skills:
        one = place.folder / named
        folders = [one] if os.path.lexists(one / SKILL_FILE) else _folders(one)
        for folder in folders:
            if (read := _read(place, folder / SKILL_FILE, notices)) is not None:
                yield _skill(folder / SKILL_FILE, read, place, "skill", folder.name)


def _commands(place: Place, notices: list[str]) -> Iterator[Skill]:
    for path, relative in place.markdown(place.commands):
        if (read := _read(place, path, notices)) is not None:
            name = ":".join(relative.with_suffix("").parts)
            yield _skill(path, read, place, "command", name)


def _skill(
    path: Path,
    read: tuple[frontmatter.Head, str],
    place: Place,
    kind: Literal["skill", "command"],
    name: str,
) -> Skill:
    head, body = read
    own = frontmatter.text_in(head, "name") if kind == "skill" else ""
    own = name if _NO_NAME.search(own) else own
    given = frontmatter.text_in(head, "description")
    when = frontmatter.text_in(head, "when_to_use")
    described = bool(given) or kind == "skill"
    description = f"{given or _first_paragraph(body)} {when}".strip()[:_LONGEST_DESCRIPTION]
    disabled = frontmatter.truth_in(head, "disable-model-invocation", False)
    forked = frontmatter.text_in(head, "context") == "fork"
    return Skill(
        name=legible(place.prefix + _NO_NAME.sub("-", own or name)),
        description=legible(" ".join(description.split())),
        path=path,
        kind=kind,
        source=place.source,
        root=place.folder if place.prefix or kind == "command" else path.parent,
        allowed=frontmatter.names_in(head, "allowed-tools") or (),
        argument_hint=legible(frontmatter.text_in(head, "argument-hint")),
        arguments=frontmatter.names_in(head, "arguments") or (),
        by_model=described and bool(description) and not disabled,
        by_user=frontmatter.truth_in(head, "user-invocable", True),
        agent=(frontmatter.text_in(head, "agent") or "general-purpose") if forked else None,
        globs=frontmatter.names_in(head, "paths") or (),
        base=place.folder.parent,
    )


def _first_paragraph(body: str) -> str:
    """Return the first paragraph that is no heading."""
    for paragraph in re.split(r"\n\s*\n", body):
        lines = [line for line in paragraph.strip().splitlines() if not line.startswith("#")]
        if lines:
            return " ".join(lines)
    return ""


def _read(place: Place, path: Path, notices: list[str]) -> tuple[frontmatter.Head, str] | None:
    """Return the head and the body of a file, None where it is not to be used."""
    try:
        if not place.holds(path):
            if os.path.lexists(path):
                notices.append(f"{path} is not used: it leads out of the project")
            return None
        head, body = frontmatter.split(text_of(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, Unreadable) as error:
        notices.append(f"{path} is not used: {getattr(error, 'strerror', None) or error}")
        return None
    if "hooks" in head:
        notices.append(f"{path}: its hooks are not run; put them in the settings")
    return head, body


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for _, entry in zip(range(_MOST), entries, strict=False))
    except OSError:
        return []
    return [folder / name for name in names if not name.startswith(".")]
