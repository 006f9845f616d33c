"""What continuous integration runs, where nothing else says how that is done."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from apr.init.facts import Command, Purpose
from apr.init.project import Project

_MOST = 10
"""Workflows that are read."""
_RUN = re.compile(r"(?m)^[ \t]*(?:-[ \t]+)?run:(.*)$")
_ITEM = re.compile(r"(?m)^[ \t]+-[ \t](.*)$")
_PLAIN = re.compile(r"[A-Za-z./][\w ./:=@+-]{1,99}", re.ASCII)
"""A command without quotes, variables, pipes: what can be run as it stands there."""
_PURPOSES: tuple[tuple[Purpose, re.Pattern[str]], ...] = (
    ("format", re.compile(r"\b(cargo fmt|go fmt|gofmt|black|prettier|ruff format|clang-format)\b")),
    ("lint", re.compile(r"\b(clippy|golangci-lint|go vet|eslint|ruff check|flake8|lint)\b")),
    ("types", re.compile(r"\b(mypy|pyright|tsc|typecheck|type-check)\b")),
    ("test", re.compile(r"\b(test|tests|pytest|tox|nox|ctest|jest|vitest|check)\b")),
    ("build", re.compile(r"\b(build|compile|make)\b")),
)
_NOT_OURS = re.compile(r"\b(install|apt|apt-get|pip|brew|npm ci|docker|cd|echo|git|sudo|upload)\b")


def look(project: Project) -> Iterator[Command]:
    """Yield the commands that say what they are for."""
    workflows = PurePosixPath(".github/workflows")
    named = [path for path in project.files if path.parent == workflows]
    for path in named[:_MOST]:
        yield from _commands(_RUN.findall(project.text(str(path))), str(path))
    if ".gitlab-ci.yml" in project.top:
        yield from _commands(_ITEM.findall(project.text(".gitlab-ci.yml")), ".gitlab-ci.yml")


def _commands(lines: list[str], source: str) -> Iterator[Command]:
    for line in (one.strip().strip("'\"") for one in lines):
        if not _PLAIN.fullmatch(line) or _NOT_OURS.search(line):
            continue
        for purpose, pattern in _PURPOSES:
            if pattern.search(line):
                yield Command(purpose, line, source)
                break
