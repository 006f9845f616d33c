"""A fixture directory, and a corpus of them.

Three kinds (`docs/fixtures.md` has the whole format):

- *canonical*: `fixture.toml`, `workspace/` (the starting files), `teacher.ccpa-trace.jsonl`.
- *regression*: `fixture.toml` with an `expect` list, a teacher's and a student's trace that must be
  told apart, perhaps a `workspace/`.
- *legacy*: `meta.toml` of the older meter, both traces, no workspace.
"""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ccpa import trace
from ccpa.errors import CcpaError
from ccpa.layout import (
    BEFORE,
    FIXTURE_FILE,
    LEGACY_FILE,
    STUDENT_TRACE,
    TEACHER_TRACE,
    WEB_FILE,
    WORKSPACE,
)
from ccpa.process import clean_environment
from ccpa.web import Web

Kind = Literal["canonical", "regression", "legacy"]
PermissionMode = Literal["default", "acceptEdits", "plan", "bypassPermissions", "dontAsk"]


class FixtureError(CcpaError):
    """A fixture or corpus that cannot be used; the message starts with the file, and the line."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the agent is started; what a project's own files can say stands in `workspace/`."""

    permission_mode: PermissionMode | None = None
    allow: tuple[str, ...] = ()
    """Permission rules that allow, as `Bash(git diff:*)`."""
    deny: tuple[str, ...] = ()
    max_turns: int | None = None
    managed: dict[str, Any] | None = None
    """The organisation's policy: what `managed-settings.json` would hold."""
    person: bool = False
    """Somebody is there to be asked; what they say stands in the trace (`ccpa.person`)."""


class Setup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a workspace needs that a repository cannot hold plainly."""

    git: bool = False
    """Make the workspace a repository with one commit of all its files on `main`."""


class Check(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that must be true of an outcome: exactly one of the three forms.

    - `command` exits 0 in the final workspace; `$CHECKS` is the fixture's `checks/` directory.
    - `file`, relative to the workspace, exists, and `pattern` is found in it if there is one.
    - `final_text`, a pattern, is found in the agent's last words.
    """

    command: str | None = None
    timeout_s: float = 60.0
    file: str | None = None
    pattern: str | None = None
    final_text: str | None = None

    def __post_init__(self) -> None:
        forms = [self.command, self.file, self.final_text]
        if sum(form is not None for form in forms) != 1:
            raise ValueError("needs exactly one of `command`, `file`, `final_text`")
        if self.pattern is not None and self.file is None:
            raise ValueError("`pattern` goes with `file`")
        for pattern in (self.pattern, self.final_text):
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise ValueError(f"bad pattern {pattern!r}: {error}") from None


class Fixture(Struct, frozen=True, kw_only=True):
    """One fixture. `directory` is where it lies; everything else is what its files say."""

    directory: Path
    kind: Kind
    id: str
    covers: tuple[str, ...]
    description: str
    teacher_source: str | None
    settings: Settings
    setup: Setup
    checks: tuple[Check, ...]
    expect: tuple[dict[str, Any], ...]
    """The drifts that a regression pair must show, in the terms of `ccpa diff --json`."""
    before: "Fixture | None" = None
    """The session that this one goes on with: a fixture of its own, in `before/`."""
    web: Web | None = None
    """What its session met on the web: `web.toml`."""

    @property
    def teacher_trace(self) -> Path:
        """The teacher's trace."""
        return self.directory / TEACHER_TRACE

    @property
    def student_trace(self) -> Path | None:
        """The student's trace, where the fixture is a pair."""
        return None if self.kind == "canonical" else self.directory / STUDENT_TRACE

    @property
    def workspace(self) -> Path | None:
        """The starting files, where there are any. Agents work on a copy (`materialise`)."""
        path = self.directory / WORKSPACE
        return path if path.is_dir() else None


class _FixtureFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    covers: tuple[str, ...]
    description: str
    teacher_source: str | None = None
    settings: Settings = Settings()
    setup: Setup = Setup()
    check: tuple[Check, ...] = ()
    expect: tuple[dict[str, Any], ...] = ()


class _LegacyFixture(Struct, frozen=True):
    id: str
    covers: tuple[str, ...] = ()
    description: str = ""


class _LegacyFile(Struct, frozen=True):
    fixture: _LegacyFixture


def load_fixture(directory: Path) -> Fixture:
    """Load the fixture that lies in `directory`.

    Raises:
        FixtureError: a file is missing, unreadable or malformed; the message says which, and where.
    """
    if (directory / FIXTURE_FILE).exists():
        fixture = _load_current(directory)
    elif (directory / LEGACY_FILE).exists():
        old = _parse(directory / LEGACY_FILE, _LegacyFile).fixture
        fixture = Fixture(
            directory=directory,
            kind="legacy",
            id=old.id,
            covers=old.covers,
            description=old.description,
            teacher_source=None,
            settings=Settings(),
            setup=Setup(),
            checks=(),
            expect=(),
        )
    else:
        raise FixtureError(
            f"{directory}: no fixture here: it has no {FIXTURE_FILE} (or {LEGACY_FILE})"
        )
    for path in (fixture.teacher_trace, fixture.student_trace):
        if path is not None and not path.is_file():
            raise FixtureError(f"{path}: missing; a {fixture.kind} fixture needs this trace")
    return fixture


def _load_current(directory: Path) -> Fixture:
    path = directory / FIXTURE_FILE
    file = _parse(path, _FixtureFile)
    if file.id != (name := directory.resolve().name):
        raise FixtureError(f"{path}: id: {file.id!r} is not the directory's name, {name!r}")
    kind: Kind = "regression" if (directory / STUDENT_TRACE).exists() else "canonical"
    if kind == "canonical" and not (directory / WORKSPACE).is_dir():
        raise FixtureError(
            f"{directory / WORKSPACE}: missing; a canonical fixture starts from files"
        )
    before = load_fixture(directory / BEFORE) if (directory / BEFORE).is_dir() else None
    if before is not None and before.before is not None:
        raise FixtureError(f"{before.directory / BEFORE}: one session before is all that is played")
    if file.expect and kind == "canonical":
        raise FixtureError(f"{path}: expect: needs a {STUDENT_TRACE} beside it to expect drifts of")
    return Fixture(
        directory=directory,
        kind=kind,
        id=file.id,
        covers=file.covers,
        description=file.description,
        teacher_source=file.teacher_source,
        settings=file.settings,
        setup=file.setup,
        checks=file.check,
        expect=file.expect,
        before=before,
        web=_parse(directory / WEB_FILE, Web) if (directory / WEB_FILE).exists() else None,
    )


def find_fixtures(root: Path) -> list[Path]:
    """Return the fixture directories at or below `root`, in order of path.

    Links to directories are followed.

    Raises:
        FixtureError: links lead in a circle or twice to one directory, a directory cannot be read,
            or there is no fixture at all.
    """
    found: list[Path] = []
    seen: dict[tuple[int, int], Path] = {}
    pending = [root]
    while pending:
        directory = pending.pop()
        try:
            status = directory.stat()
            with os.scandir(directory) as listing:
                items = sorted(listing, key=lambda item: item.name, reverse=True)
            below = [directory / item.name for item in items if item.is_dir()]
        except OSError as error:
            raise FixtureError(f"{directory}: cannot be read: {error.strerror}") from None
        first = seen.setdefault((status.st_dev, status.st_ino), directory)
        if first is not directory:
            raise FixtureError(f"{directory}: a link to {first}, which is in the corpus already")
        if any(item.name in (FIXTURE_FILE, LEGACY_FILE) for item in items):
            found.append(directory)
        else:
            pending += below
    if not found:
        raise FixtureError(f"{root}: no fixture here or below: none has a {FIXTURE_FILE}")
    return found


def load_corpus(root: Path) -> list[Fixture]:
    """Load every fixture at or below `root`, in order of path.

    Raises:
        FixtureError: as `find_fixtures` and `load_fixture`, or two fixtures have the same id.
    """
    fixtures = [load_fixture(directory) for directory in find_fixtures(root)]
    seen: dict[str, Path] = {}
    for fixture in fixtures:
        if fixture.id in seen:
            raise FixtureError(
                f"{fixture.directory}: id: {fixture.id!r} is taken by {seen[fixture.id]}"
            )
        seen[fixture.id] = fixture.directory
    return fixtures


def read_trace(path: Path) -> list[trace.Record]:
    """Read a whole trace.

    Raises:
        FixtureError: it cannot be read, or a line is no record; the message names the line.
    """
    records: list[trace.Record] = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise FixtureError(f"{path}: cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                records.append(trace.decode(line))
        except (msgspec.DecodeError, RecursionError) as error:
            raise FixtureError(f"{path}:{number}: {error}") from None
    return records


def materialise(fixture: Fixture, destination: Path) -> None:
    """Copy the fixture's workspace to `destination`, which must not exist, and set it up.

    Raises:
        FixtureError: there is no workspace, it cannot be copied, or git is needed and fails.
    """
    if fixture.workspace is None:
        raise FixtureError(f"{fixture.directory}: has no {WORKSPACE}/ to start from")
    try:
        shutil.copytree(fixture.workspace, destination, symlinks=True)
    except (OSError, shutil.Error) as error:
        raise FixtureError(f"{fixture.workspace}: cannot be copied: {error}") from None
    if fixture.setup.git:
        for arguments in (
            ["init", "-q", "-b", "main"],
            ["add", "-A"],
            ["commit", "-q", "--no-verify", "-m", "Start"],
        ):
            _git(destination, arguments)


def _git(directory: Path, arguments: list[str]) -> None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=directory,
            env=clean_environment(directory),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise FixtureError("git was not found; this fixture's workspace needs it") from None
    if done.returncode != 0:
        raise FixtureError(f"{directory}: git {arguments[0]} failed: {done.stderr.strip()}")


def _parse(path: Path, form: type[Any]) -> Any:
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise FixtureError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FixtureError(f"{path}: not UTF-8 at byte {error.start}") from None
    try:
        return msgspec.convert(tomllib.loads(text), form)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FixtureError(f"{path}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        field = where.rstrip("`").lstrip(".")
        line = _line_of(text, field)
        place = f"{path}:{line}" if line else f"{path}"
        raise FixtureError(f"{place}: {field + ': ' if field else ''}{message}") from None


def _line_of(text: str, field: str) -> int | None:
    """Find the line that a field, as `check[1].command`, stands on: its key's, else its table's."""
    table = ""
    counts: dict[str, int] = {}
    best: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.-]+)\s*\]", line):
            table = header[2]
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            here = table
        elif key := re.match(r"\s*([\w-]+)\s*=", line):
            here = f"{table}.{key[1]}" if table else key[1]
        else:
            continue
        if field == here or field.startswith((here + ".", here + "[")):
            best = number
    return best
