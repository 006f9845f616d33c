"""Which capabilities have a fixture whose teacher trace really shows them?

The matrix (`contracts/parity-matrix.toml`) says, as data, what a trace must show. That a fixture
declares a capability (`covers`) counts for nothing; that it declares one which its trace does not
show is an error.
"""

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ccpa import trace
from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, read_trace

Status = Literal["covered", "partial", "uncovered", "unobservable"]

_CODE = re.compile(r"`([^`\n]+)`")


class Use(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool use. Patterns match the whole of a value."""

    tool: str
    input: dict[str, str] = {}
    ok: bool = True
    subagent: bool = False
    file: str | None = None


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one trace must show, all of it."""

    name: str
    use: Use | None = None
    records: tuple[dict[str, str], ...] = ()
    files: dict[str, str] = {}
    quotes: str | None = None
    prompts: int | None = None
    managed: bool = False

    def __post_init__(self) -> None:
        if self.use is None and not self.records and self.quotes is None:
            raise ValueError("asks nothing of the trace: give `use`, `records` or `quotes`")


class Capability(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the matrix: cases, or why there can be none."""

    id: str
    title: str
    case: tuple[Case, ...] = ()
    unobservable: str | None = None

    def __post_init__(self) -> None:
        if bool(self.case) is (self.unobservable is not None):
            raise ValueError("needs cases, or `unobservable` with the reason")


class Matrix(Struct, frozen=True, forbid_unknown_fields=True):
    """The matrix."""

    capability: tuple[Capability, ...]


class CaseCoverage(Struct, frozen=True, kw_only=True):
    """The fixtures that show a case."""

    name: str
    fixtures: tuple[str, ...]


class Row(Struct, frozen=True, kw_only=True):
    """A capability as measured."""

    id: str
    title: str
    status: Status
    cases: tuple[CaseCoverage, ...]
    reason: str | None = None


class Coverage(Struct, frozen=True, kw_only=True):
    """All rows, and what fixtures declare that their traces do not show."""

    rows: tuple[Row, ...]
    errors: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every observable row is covered, and no declaration is wrong."""
        return not self.errors and all(
            row.status in ("covered", "unobservable") for row in self.rows
        )


def default_matrix() -> Path:
    """Return the matrix that comes with this program: in the package, or in its source tree."""
    here = Path(__file__).resolve().parent
    packaged = here / "contracts/parity-matrix.toml"
    return packaged if packaged.exists() else here.parents[1] / "contracts/parity-matrix.toml"


def load_matrix(path: Path) -> Matrix:
    """Read a matrix.

    Raises:
        CcpaError: it cannot be read, or is malformed.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Matrix)
    except OSError as error:
        raise CcpaError(f"{path}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise CcpaError(f"{path}: {error}") from None


def measure(matrix: Matrix, fixtures: list[Fixture]) -> Coverage:
    """Hold every fixture's teacher trace against every case.

    Raises:
        FixtureError: a trace cannot be read.
    """
    evidence = [_Evidence(fixture) for fixture in fixtures]
    rows = tuple(_row(capability, evidence) for capability in matrix.capability)
    shown = {row.id: {name for case in row.cases for name in case.fixtures} for row in rows}
    reasons = {row.id: row.reason for row in rows}
    errors: list[str] = []
    for fixture in fixtures:
        for declared in fixture.covers:
            if declared not in shown:
                errors.append(f"{fixture.id}: covers {declared!r}, which is no row of the matrix")
            elif reasons[declared] is not None:
                errors.append(f"{fixture.id}: covers {declared!r}, which no trace can show")
            elif fixture.id not in shown[declared]:
                errors.append(f"{fixture.id}: covers {declared!r}, but its trace does not show it")
    return Coverage(rows=rows, errors=tuple(errors))


def _row(capability: Capability, evidence: list["_Evidence"]) -> Row:
    cases = tuple(
        CaseCoverage(
            name=case.name,
            fixtures=tuple(one.fixture.id for one in evidence if one.shows(case)),
        )
        for case in capability.case
    )
    found = sum(bool(case.fixtures) for case in cases)
    status: Status = "covered" if found == len(cases) else "partial" if found else "uncovered"
    return Row(
        id=capability.id,
        title=capability.title,
        status="unobservable" if capability.unobservable else status,
        cases=cases,
        reason=capability.unobservable,
    )


class _Evidence:
    """A fixture's teacher trace, indexed for the questions of the matrix."""

    def __init__(self, fixture: Fixture) -> None:
        self.fixture = fixture
        self.records = read_trace(fixture.teacher_trace)
        self.results = {r.tool_use_id: r for r in self.records if isinstance(r, trace.ToolResult)}
        turns = [r for r in self.records if isinstance(r, trace.AssistantTurn)]
        self.parents = {turn.parent_tool_use_id for turn in turns}
        self.uses = [
            block
            for turn in turns
            for block in turn.blocks
            if isinstance(block, trace.ToolUseBlock)
        ]

    @cached_property
    def fields(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(record) for record in self.records]

    def shows(self, case: Case) -> bool:
        prompts = sum(isinstance(record, trace.UserPrompt) for record in self.records)
        return (
            (case.use is None or any(self._is(case.use, block) for block in self.uses))
            and all(any(_has(fields, want) for fields in self.fields) for want in case.records)
            and all(self._file_has(file, pattern) for file, pattern in case.files.items())
            and (case.quotes is None or self._quotes(case.quotes))
            and case.prompts in (None, prompts)
            and (not case.managed or self.fixture.settings.managed is not None)
        )

    def _is(self, use: Use, block: trace.ToolUseBlock) -> bool:
        result = self.results.get(block.id)
        return (
            re.fullmatch(use.tool, block.name) is not None
            and _has(block.input, use.input)
            and result is not None
            and result.ok is use.ok
            and result.denied_by is None
            and (not use.subagent or block.id in self.parents)
            and (use.file is None or self._file_has(_filled(use.file, block.input), ""))
        )

    def _file_has(self, file: str, pattern: str) -> bool:
        text = self._text(file)
        return text is not None and re.search(pattern, text, re.MULTILINE) is not None

    def _text(self, file: str) -> str | None:
        root = self.fixture.workspace
        if root is None or not (root / file).resolve().is_relative_to(root.resolve()):
            return None
        try:
            return (root / file).read_text("utf-8", "replace")
        except OSError:
            return None

    def _quotes(self, file: str) -> bool:
        """Tell whether a tool use repeats the file's `code`, which nothing before it contained."""
        unseen = set(_CODE.findall(self._text(file) or ""))
        for record in self.records:
            if isinstance(record, trace.UserPrompt):
                unseen = {code for code in unseen if code not in record.text}
            elif isinstance(record, trace.ToolResult):
                unseen = {code for code in unseen if code not in record.content}
            elif isinstance(record, trace.AssistantTurn):
                for block in record.blocks:
                    if isinstance(block, trace.ToolUseBlock):
                        values = json.dumps(list(block.input.values()), ensure_ascii=False)
                        if any(json.dumps(code)[1:-1] in values for code in unseen):
                            return True
        return False


def _has(fields: dict[str, Any], wanted: dict[str, str]) -> bool:
    """Tell whether all fields are there and match: texts as they are, other values as JSON."""
    for name, pattern in wanted.items():
        value = fields.get(name)
        text = value if isinstance(value, str) else json.dumps(value)
        if value is None or not re.fullmatch(pattern, text, re.DOTALL):
            return False
    return True


def _filled(template: str, values: dict[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(values.get(match[1], "")), template)
