"""Every canonical fixture is what it claims to be."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa import trace
from ccpa.checks import run_checks
from ccpa.consistency import apply_teacher
from ccpa.coverage import default_matrix, load_matrix, measure
from ccpa.fixtures import Fixture, find_fixtures, load_corpus, load_fixture, materialise, read_trace
from ccpa.validate import check

pytestmark = pytest.mark.usefixtures("own_python")
CANONICAL = Path(__file__).parents[2] / "fixtures/canonical"
AUTHOR = Path(__file__).parents[2] / "tools/author_fixture.py"
DIRECTORIES = find_fixtures(CANONICAL)


def last_words(fixture: Fixture) -> str:
    """What the teacher said last."""
    texts = [
        block.text
        for record in read_trace(fixture.teacher_trace)
        if isinstance(record, trace.AssistantTurn) and record.parent_tool_use_id is None
        for block in record.blocks
        if isinstance(block, trace.TextBlock)
    ]
    return texts[-1]


@pytest.fixture(params=DIRECTORIES, ids=[directory.name for directory in DIRECTORIES])
def fixture(request: pytest.FixtureRequest) -> Fixture:
    return load_fixture(request.param)


def test_there_are_at_least_36_and_their_tasks_are_varied() -> None:
    fixtures = load_corpus(CANONICAL)
    assert len(fixtures) >= 36
    suffixes = {path.suffix for f in fixtures if f.workspace for path in f.workspace.rglob("*.*")}
    assert {".py", ".js", ".go", ".rs", ".c", ".java", ".sh", ".toml", ".yaml", ".md"} <= suffixes


def test_each_observable_row_of_the_matrix_has_two_cases_and_two_fixtures() -> None:
    rows = measure(load_matrix(default_matrix()), load_corpus(CANONICAL)).rows
    of_traces = {row.id: [case for case in row.cases if case.derived] for row in rows}
    seen = {
        row: (len(cases), len({name for case in cases for name in case.fixtures}))
        for row, cases in of_traces.items()
        if cases  # all of the others are shown by tests
    }
    assert {row: counts for row, counts in seen.items() if min(counts) < 2} == {}


def test_its_trace_is_valid(fixture: Fixture) -> None:
    for one in filter(None, (fixture, fixture.before)):
        with one.teacher_trace.open("rb") as stream:
            assert check(stream).problems == []


def test_whoever_says_something_in_it_is_there(fixture: Fixture) -> None:
    records = read_trace(fixture.teacher_trace)
    declined = any(isinstance(r, trace.ToolResult) and r.denied_by == "user" for r in records)
    assert fixture.settings.person or not declined


def test_what_it_fetches_is_in_its_web(fixture: Fixture) -> None:
    for record in read_trace(fixture.teacher_trace):
        for block in record.blocks if isinstance(record, trace.AssistantTurn) else ():
            if isinstance(block, trace.ToolUseBlock) and block.name in {"WebFetch", "WebSearch"}:
                assert fixture.web is not None


def test_its_trace_could_have_happened_and_its_checks_tell_before_from_after(
    fixture: Fixture, tmp_path: Path
) -> None:
    materialise(fixture, tmp_path / "before")
    replay = apply_teacher(fixture, tmp_path / "after")
    assert replay.inconsistencies == []
    assert fixture.checks, "without a check nothing says whether the task was done"
    before = run_checks(fixture, tmp_path / "before", "")
    after = run_checks(fixture, tmp_path / "after", last_words(fixture))
    assert not all(result.passed for result in before)
    assert [result for result in after if not result.passed] == []


@pytest.mark.parametrize("name", ["notebook-insert-cells", "hook-denies-in-json"])
def test_its_script_gives_its_trace_again(name: str, tmp_path: Path) -> None:
    copy = tmp_path / name
    shutil.copytree(CANONICAL / name, copy, symlinks=True)
    (copy / "teacher.ccpa-trace.jsonl").unlink()
    subprocess.run([sys.executable, AUTHOR, copy], check=True, stdout=subprocess.DEVNULL)
    written = (copy / "teacher.ccpa-trace.jsonl").read_bytes()
    assert written == (CANONICAL / name / "teacher.ccpa-trace.jsonl").read_bytes()
