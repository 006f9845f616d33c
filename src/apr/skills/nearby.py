"""Skills that the model hears of when it touches a file: of its directory, or for its kind."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from apr.skills.found import FOLDERS, Skill, callable_as, nested
from apr.skills.library import line_of
from apr.tools.errors import ToolError
from apr.tools.globs import compiled


class Nearby:
    """What one agent has heard of.

    Args:
        root: the directory it works in.
        skills: by name; what is found is added.
    """

    def __init__(self, root: Path, skills: dict[str, Skill]) -> None:
        self._root = root
        self._skills = skills
        self._told: set[str] = set()
        self._looked_into: set[Path] = {root}

    def told(self, touched: Iterable[Path]) -> str:
        """Return what there is to say of files, each once; empty for nothing."""
        new = [skill for path in touched for skill in self._for(path) if skill.by_model]
        if not new:
            return ""
        return "\n".join(["Skills for this file, for the tool Skill:", *map(line_of, new)])

    def _for(self, path: Path) -> Iterator[Skill]:
        if path.is_relative_to(self._root):
            for folder in reversed(path.relative_to(self._root).parents):
                yield from self._of(self._root / folder)
        for skill in list(self._skills.values()):
            if skill.globs and skill.name not in self._told and fits(skill, path):
                self._told.add(skill.name)
                yield skill

    def _of(self, folder: Path) -> Iterator[Skill]:
        """Yield what a directory has for all of its files, once."""
        if folder in self._looked_into:
            return
        self._looked_into.add(folder)
        if not any((folder / name).is_dir() for name in FOLDERS):
            return
        directory = folder.relative_to(self._root).as_posix()
        known = {skill.path: skill for skill in self._skills.values()}
        for own in nested(self._root, folder, os.environ):
            skill = known.get(own.path) or callable_as(own, self._skills, directory)
            self._skills[skill.name] = skill
            if not skill.globs:
                yield skill


def fits(skill: Skill, path: Path) -> bool:
    """Whether a skill is for a file."""
    if not path.is_relative_to(skill.base):
        return False
    name = path.relative_to(skill.base).as_posix()
    for glob in skill.globs:
        try:
            if compiled(glob.removeprefix("./"), anywhere="/" not in glob).fullmatch(name):
                return True
        except ToolError:  # its braces stand for too much: it matches nothing
            continue
    return False
