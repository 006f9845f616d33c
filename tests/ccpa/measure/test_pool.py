import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from ccpa.measure.outcome import Outcome
from ccpa.measure.plan import Job
from ccpa.measure.pool import ATTEMPTS, LocalPool
from tests.ccpa.measure import jobs
from tests.ccpa.measure.jobs import job

MANY = [job(fixture, run) for run in range(1, 5) for fixture in "abc"]


def keys(outcomes: list[Outcome]) -> Counter[tuple[str, int]]:
    return Counter((one.fixture, one.run) for one in outcomes)


@pytest.mark.parametrize("size", [1, 3])
def test_every_job_is_done_once(size: int) -> None:
    outcomes = list(LocalPool(size).run(jobs.done, MANY))
    assert keys(outcomes) == Counter(one.key for one in MANY)
    assert not any(one.error for one in outcomes)


def test_no_jobs_are_no_outcomes() -> None:
    assert list(LocalPool(2).run(jobs.done, [])) == []


def test_a_job_whose_worker_is_lost_is_begun_again(tmp_path: Path) -> None:
    several = [job(fixture, directory=str(tmp_path)) for fixture in "abc"]
    outcomes = list(LocalPool(2).run(jobs.done_the_second_time, several))
    assert keys(outcomes) == Counter(one.key for one in several)
    assert [one.error for one in outcomes] == [None, None, None]


def test_a_job_that_takes_every_worker_with_it_is_an_error_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    outcomes = list(LocalPool(1).run(jobs.never_done, [job("a", directory=str(tmp_path))]))
    assert (tmp_path / "a").read_text() == "x" * ATTEMPTS
    assert "worker was lost" in (outcomes[0].error or "")
    assert outcomes[0].score is None


def test_what_runs_is_ended_when_nobody_wants_the_outcomes_any_more(tmp_path: Path) -> None:
    two = [job("a"), job("b", directory=str(tmp_path))]
    with closing(LocalPool(2).run(_one_of_each, two)) as outcomes:
        assert next(outcomes).fixture == "a"
        child = int(jobs.wait_for(tmp_path / "pid"))
    jobs.wait_until_gone(child)


def _one_of_each(one: Job) -> Outcome:
    return jobs.done(one) if one.fixture == "a" else jobs.with_a_long_child(one)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_parent_that_is_killed_leaves_no_child_of_a_worker_behind(tmp_path: Path) -> None:
    program = (
        "from ccpa.measure.pool import LocalPool\n"
        "from tests.ccpa.measure.jobs import job, with_a_long_child\n"
        "if __name__ == '__main__':\n"
        f"    list(LocalPool(1).run(with_a_long_child, [job(directory={str(tmp_path)!r})]))\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, str(script)], env=environment) as parent:
        child = int(jobs.wait_for(tmp_path / "pid"))
        parent.send_signal(signal.SIGKILL)
    jobs.wait_until_gone(child)
