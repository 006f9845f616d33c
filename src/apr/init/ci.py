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
    ("test", re.compile(r"\b((run-?)?tests?|pytest|tox|nox|ctest|jest|vitest|check)\b")),
    ("build", re.compile(r"\b(build|compile|make)\b")),
)
_PROGRAMS = frozenset(
    (
        *("make", "cmake", "ctest", "meson", "ninja", "bazel", "just", "task"),
        *("npm", "npx", "pnpm", "yarn", "bun", "deno", "cargo", "go", "golangci-lint"),
        *("python", "python3", "pytest", "tox", "nox", "uv", "poetry", "pdm", "hatch", "mypy"),
        *("ruff", "black", "flake8", "mvn", "gradle", "dotnet", "swift", "zig", "sbt"),
        *("bundle", "rake", "composer", "mix", "rebar3", "stack", "cabal", "dune", "lein"),
    )
)
_NOT_OURS = re.compile(r"\b(install|apt|apt-get|pip|brew|npm ci|docker|cd|echo|git|sudo|upload)\b")


def look(project: Project) -> Iterator[Command]:
    """Yield the commands that say what they are for, the plainest first."""
    workflows = PurePosixPath(".github/workflows")
    found: list[Command] = []
    for path in [path for path in project.files if path.parent == workflows][:_MOST]:
        found += _commands(project, _RUN.findall(project.text(str(path))), str(path))
    if ".gitlab-ci.yml" in project.top:
        name = ".gitlab-ci.yml"
        found += _commands(project, _ITEM.findall(project.text(name)), name)
    yield from sorted(found, key=lambda command: len(command.line))


def _commands(project: Project, lines: list[str], source: str) -> Iterator[Command]:
    for line in (one.strip().strip("'\"") for one in lines):
        if not _PLAIN.fullmatch(line) or _NOT_OURS.search(line):
            continue
        if not _is_known(project, line.partition(" ")[0]):
            continue
        for purpose, pattern in _PURPOSES:
            if pattern.search(line):
                yield Command(purpose, line, source)
                break


def _is_known(project: Project, program: str) -> bool:
    """Whether a program is one that projects are built and tested with, or a file of this one."""
    return program in _PROGRAMS or PurePosixPath(program) in project.files
