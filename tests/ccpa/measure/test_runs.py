"""`ccpa runs` on measurements that were put into the file by hand."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ccpa.cli.main import main
from ccpa.measure.store import open_store
from tests.ccpa.measure.jobs import outcome, plan


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file with two measurements of three fixtures: the second is better."""
    monkeypatch.chdir(tmp_path)
    file = Path("ccpa-runs.sqlite")
    with open_store(file, create=True) as store:
        for scores, passed in (((0.2, 0.5, 0.4), False), ((1.0, 0.5, 1.0), True)):
            number = store.begin(plan("a", "b", "c", agent_args=("--model=one",)))
            for fixture, score in zip("abc", scores, strict=True):
                one = outcome(fixture, 1, score, passed=passed)
                store.add(number, msgspec.structs.replace(one, trace=b'{"run":1}\n'))
    return file


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["runs", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("database")
def test_measurements_are_listed_with_what_they_came_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    first, second = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert [first[0], *first[2:]] == [
        *("1", "free", "0.3666", "3 fixtures", "3 runs", "apr --model=one")
    ]
    assert second[3] == "0.8333"
    assert [one["score"] for one in as_json(capsys, "list")] == pytest.approx([1.1 / 3, 2.5 / 3])


@pytest.mark.usefixtures("database")
def test_two_measurements_are_compared_fixture_by_fixture(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = as_json(capsys, "compare", "1", "2")
    assert found["score"]["difference"] == pytest.approx(1.4 / 3)
    # Of the signs of +0.8, 0 and +0.6 half leave the sum as large; the sign of 0 does not matter.
    assert found["score"]["p_value"] == 0.5
    assert found["task_success"]["first"] == [0, 3]
    assert found["task_success"]["second"] == [3, 3]
    assert found["task_success"]["p_value"] == pytest.approx(2 / 20)
    assert found["fixtures"]["b"] == [0.5, 0.5]
    main(["runs", "compare", "1", "2"])
    shown = capsys.readouterr().out
    assert "score 0.3666 -> 0.8333: +0.4667" in shown
    assert "p = 0.5000 (all sign changes of 3 fixtures)" in shown
    assert "+0.8000\t0.2000\t1.0000\ta" in shown


def test_only_what_both_have_unchanged_is_compared(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(database) as store:
        other = plan("a", "b")
        changed = msgspec.structs.replace(other.fixtures[1], digest="another")
        other = msgspec.structs.replace(other, fixtures=(other.fixtures[0], changed))
        number = store.begin(other)
        for fixture in "ab":
            store.add(number, outcome(fixture))
    found = as_json(capsys, "compare", "1", f"{number}")
    assert list(found["fixtures"]) == ["a"]
    assert found["changed"] == ["b"]
    assert found["task_success"] is None  # the one has no checks


def test_measurements_of_different_things_are_not_compared(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(database) as store:
        forced = store.begin(plan("a", mode="forced"))
        elsewhere = store.begin(plan("z"))
    assert main(["runs", "compare", "1", f"{forced}"]) == 2
    assert main(["runs", "compare", "1", f"{elsewhere}"]) == 2
    said = capsys.readouterr().err
    assert "forced and free measure different things" in said
    assert "no fixture in common" in said


@pytest.mark.usefixtures("database")
def test_runs_are_exported_as_csv_with_a_row_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(capsys, "export", "2", "--csv", "out.csv") == {"file": "out.csv", "runs": 3}
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["fixture"], row["score"], row["success"]) for row in rows] == [
        ("a", "1.0", "True"),
        ("b", "0.5", "True"),
        ("c", "1.0", "True"),
    ]
    assert rows[0]["error"] == ""


@pytest.mark.usefixtures("database")
def test_runs_are_exported_as_parquet_with_types(capsys: pytest.CaptureFixture[str]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `parquet`")
    as_json(capsys, "export", "1", "--parquet", "out.parquet")
    table = parquet.read_table("out.parquet")
    assert table.num_rows == 3
    assert str(table.schema.field("score").type) == "double"
    assert table.column("success").to_pylist() == [False, False, False]
    assert table.column("error").to_pylist() == [None, None, None]


@pytest.mark.usefixtures("database")
def test_without_pyarrow_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["runs", "export", "1", "--parquet", "out.parquet"]) == 2
    assert "pip install 'apr-code[parquet]'" in capsys.readouterr().err


@pytest.mark.usefixtures("database")
def test_a_runs_trace_is_printed_as_it_was_written(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert main(["runs", "trace", "1", "a", "1"]) == 0
    assert capsysbinary.readouterr().out == b'{"run":1}\n'


@pytest.mark.usefixtures("database")
def test_what_cannot_be_written_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "export", "1", "--csv", "missing/out.csv"]) == 2
    assert "missing/out.csv: cannot be written" in capsys.readouterr().err
