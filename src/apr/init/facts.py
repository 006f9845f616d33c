"""What is found out about a project: each fact with the file that it comes from."""

from typing import Literal

from msgspec import Struct

Purpose = Literal["install", "build", "run", "test", "lint", "format", "types"]
PURPOSES: tuple[Purpose, ...] = ("install", "build", "run", "test", "lint", "format", "types")
"""In the order in which commands are listed."""


class Command(Struct, frozen=True):
    """A command of the project."""

    purpose: Purpose
    line: str
    source: str
    """The file that it is taken from, relative to the project."""


class Rule(Struct, frozen=True):
    """What a file of the project says of how things are done in it: a line of Markdown."""

    text: str
    source: str


class Entrance(Struct, frozen=True):
    """Where a program of the project begins."""

    program: str
    place: str
    source: str


Fact = Command | Rule | Entrance
