"""Which capabilities have a fixture whose teacher trace really shows them, or tests that do?

The matrix (`contracts/parity-matrix.toml`) says, as data, what a trace must show. That a fixture
declares a capability (`covers`) counts for nothing; that it declares one which its trace does not
show is an error. What no trace can show (keys, what is drawn, what an editor does) tests show that
are named there: by the report of a run in which they passed, and by nothing else.
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
from ccpa.testreport import TestReport, key

Status = Literal["covered", "not derived", "partial", "uncovered"]

_CODE = re.compile(r"`([^`\n]+)`")


class Use(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool use. Patterns match the whole of a value."""

    tool: str
    input: dict[str, str] = {}
    ok: bool = True
    subagent: bool = False
    file: str | None = None


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one trace must show, all of it; or tests, all of which must have passed."""

    name: str
    use: Use | None = None
    records: tuple[dict[str, str], ...] = ()
    files: dict[str, str] = {}
    quotes: str | None = None
    prompts: int | None = None
    managed: bool = False
    tests: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        of_trace = self.use is not None or bool(self.records) or self.quotes is not None
        if not of_trace and not self.tests:
            raise ValueError("asks nothing: give `use`, `records` or `quotes`, or else `tests`")
        if self.tests and (of_trace or self.files or self.prompts is not None or self.managed):
            raise ValueError("asks tests and a trace: those are two cases")
        for test in self.tests:
            key(test)


class Capability(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the matrix."""

    id: str
    title: str
    case: tuple[Case, ...] = ()

    def __post_init__(self) -> None:
        if not self.case:
            raise ValueError("needs cases")


class Matrix(Struct, frozen=True, forbid_unknown_fields=True):
    """The matrix."""

    capability: tuple[Capability, ...]


class CaseCoverage(Struct, frozen=True, kw_only=True):
    """What shows a case: fixtures, or tests."""

    name: str
    fixtures: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    """Those that are asked for and passed."""
    not_passed: tuple[str, ...] = ()
    """Those that are asked for and did not, or did not run."""
    derived: bool = True
    """Whether there was what it can be told by: of tests, a report."""

    @property
    def shown(self) -> bool:
        """Whether it is shown."""
        return self.derived and not self.not_passed and bool(self.fixtures or self.tests)


class Row(Struct, frozen=True, kw_only=True):
    """A capability as measured."""

    id: str
    title: str
    status: Status
    cases: tuple[CaseCoverage, ...]


class Coverage(Struct, frozen=True, kw_only=True):
    """All rows, and what fixtures declare that their traces do not show."""

    rows: tuple[Row, ...]
    errors: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every row is covered, and no declaration is wrong."""
        return not self.errors and all(row.status == "covered" for row in self.rows)


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


def measure(matrix: Matrix, fixtures: list[Fixture], report: TestReport | None = None) -> Coverage:
    """Hold every fixture's teacher trace, and the report of a run of the tests, against every case.

    Raises:
        FixtureError: a trace cannot be read.
    """
    evidence = [_Evidence(fixture) for fixture in fixtures]
    rows = tuple(_row(capability, evidence, report) for capability in matrix.capability)
    shown = {row.id: {name for case in row.cases for name in case.fixtures} for row in rows}
    of_traces = {
        capability.id
        for capability in matrix.capability
        if any(not case.tests for case in capability.case)
    }
    errors: list[str] = []
    for fixture in fixtures:
        for declared in fixture.covers:
            if declared not in shown:
                errors.append(f"{fixture.id}: covers {declared!r}, which is no row of the matrix")
            elif declared not in of_traces:
                errors.append(f"{fixture.id}: covers {declared!r}, which no trace can show")
            elif fixture.id not in shown[declared]:
                errors.append(f"{fixture.id}: covers {declared!r}, but its trace does not show it")
    return Coverage(rows=rows, errors=tuple(errors))


def _row(capability: Capability, evidence: list["_Evidence"], report: TestReport | None) -> Row:
    cases = tuple(
        _tested(case, report)
        if case.tests
        else CaseCoverage(
            name=case.name,
            fixtures=tuple(one.fixture.id for one in evidence if one.shows(case)),
        )
        for case in capability.case
    )
    return Row(id=capability.id, title=capability.title, status=_status(cases), cases=cases)


def _tested(case: Case, report: TestReport | None) -> CaseCoverage:
    if report is None:
        return CaseCoverage(name=case.name, derived=False)
    return CaseCoverage(
        name=case.name,
        tests=tuple(test for test in case.tests if report.passed(test)),
        not_passed=tuple(test for test in case.tests if not report.passed(test)),
    )


def _status(cases: tuple[CaseCoverage, ...]) -> Status:
    if all(case.shown for case in cases):
        return "covered"
    if all(case.shown or not case.derived for case in cases):
        return "not derived"
    return "partial" if any(case.shown for case in cases) else "uncovered"


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
