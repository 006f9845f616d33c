import sqlite3
from pathlib import Path

import msgspec
import pytest

from ccpa.errors import CcpaError
from ccpa.measure.plan import jobs
from ccpa.measure.store import open_store
from tests.ccpa.measure.jobs import outcome, plan


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def test_what_is_kept_is_there_when_the_file_is_opened_again(file: Path) -> None:
    kept = msgspec.structs.replace(outcome("a", 2, 0.5, passed=True), drifts={"x": 3})
    with open_store(file, create=True) as store:
        number = store.begin(plan("a", "b"))
        store.add(number, msgspec.structs.replace(kept, trace=b"{}\n" * 100))
    with open_store(file) as store:
        assert store.outcomes(number) == [kept]
        assert store.trace(number, "a", 2) == b"{}\n" * 100
        assert store.measurement(number).plan == plan("a", "b")


def test_a_run_is_on_disk_as_soon_as_it_is_kept(file: Path) -> None:
    with open_store(file, create=True) as store:
        number = store.begin(plan("a"))
        store.add(number, outcome())
        with open_store(file) as other:
            assert other.done(number) == {("a", 1)}


def test_a_run_that_broke_is_to_be_done_again_and_then_replaced(file: Path) -> None:
    broken = msgspec.structs.replace(outcome(score=None), error="the server failed")
    with open_store(file, create=True) as store:
        number = store.begin(plan("a"))
        store.add(number, broken)
        assert store.done(number) == set()
        assert store.measurement(number).errors == 1
        store.add(number, outcome())
        assert store.done(number) == {("a", 1)}
        assert store.outcomes(number) == [outcome()]


def test_only_runs_of_the_same_thing_go_into_one_measurement(file: Path) -> None:
    with open_store(file, create=True) as store:
        store.begin(plan("a"))
        number = store.begin(plan("a"))
        assert store.unfinished(plan("a")) == number
        assert store.unfinished(plan("a", base_urls=("http://elsewhere",), timeout_s=1)) == number
        assert store.unfinished(plan("a", "b")) is None
        assert store.unfinished(plan("a", agent_args=("--model=other",))) is None
        assert store.unfinished(plan("a", mode="forced")) is None


def test_runs_beyond_those_asked_for_are_left_out(file: Path) -> None:
    with open_store(file, create=True) as store:
        number = store.begin(plan("a"))
        for run in (1, 2, 3):
            store.add(number, outcome("a", run))
        assert [one.run for one in store.outcomes(number, runs=2)] == [1, 2]


def test_a_file_that_is_something_else_is_left_alone(file: Path) -> None:
    file.write_text("# not a database, but long enough to have a head\n" * 10)
    with pytest.raises(CcpaError, match="cannot be used for results"), open_store(file):
        pass
    assert file.read_text().startswith("# not")


def test_a_database_of_something_else_is_left_alone(file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE theirs (id)")
    with pytest.raises(CcpaError, match="of something else"), open_store(file, create=True):
        pass


def test_a_file_of_a_newer_version_is_refused(file: Path) -> None:
    with open_store(file, create=True):
        pass
    with sqlite3.connect(file) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(CcpaError, match="has schema 99"), open_store(file):
        pass


def test_a_missing_file_is_named_with_what_makes_it(file: Path) -> None:
    with pytest.raises(CcpaError, match="ccpa measure --db"), open_store(file):
        pass
    assert not file.exists()


def test_a_measurement_or_run_that_is_not_there_is_named(file: Path) -> None:
    with open_store(file, create=True) as store:
        with pytest.raises(CcpaError, match="no measurement 7"):
            store.measurement(7)
        number = store.begin(plan("a"))
        with pytest.raises(CcpaError, match="no run 3 of 'a'"):
            store.trace(number, "a", 3)


def test_jobs_are_all_first_runs_then_all_second_ones() -> None:
    assert [job.key for job in jobs(plan("a", "b"), 2)] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_what_is_done_is_left_out_and_changes_no_other_jobs_server() -> None:
    servers = plan("a", "b", base_urls=("http://one", "http://two"))
    every = {job.key: job.base_url for job in jobs(servers, 3)}
    assert every["a", 1] == "http://one"
    assert every["b", 1] == "http://two"
    assert every["a", 2] == "http://two"  # no fixture has one server only
    left = {job.key: job.base_url for job in jobs(servers, 3, {("a", 1), ("b", 2)})}
    assert left == {key: url for key, url in every.items() if key not in {("a", 1), ("b", 2)}}
