"""The same jobs on a Ray cluster of two nodes, each a set of processes on this machine."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccpa.cli.main import main
from ccpa.errors import CcpaError
from ccpa.measure.outcome import Outcome
from ccpa.measure.plan import Job
from ccpa.measure.pool import ATTEMPTS
from ccpa.measure.ray_pool import RayPool, packed, unpack
from ccpa.workspace import tree_id
from tests.ccpa.measure.jobs import done, job

CORPUS = Path(__file__).parents[3] / "fixtures/canonical"


def test_a_fixture_arrives_elsewhere_as_it_is(tmp_path: Path) -> None:
    here = CORPUS / "executable-bit-and-link"
    unpack(packed(here), tmp_path / "there")
    assert tree_id(tmp_path / "there") == tree_id(here)


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CcpaError, match=r"pip install 'apr-code\[ray\]'"):
        list(RayPool("local", 1).run(done, [job()]))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a cluster of two nodes with one processor each."""
    pytest.importorskip("ray", reason="needs the extra `ray`")
    from ray.cluster_utils import Cluster

    home = tmp_path_factory.mktemp("home")
    root = Path(__file__).parents[3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APR_HOME", str(home))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(root / "src"), str(root)]))
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        nodes.add_node(num_cpus=1)
        try:
            yield nodes.address
        finally:
            nodes.shutdown()
            subprocess.run(
                [sys.executable, "-m", "apr", "engine", "stop", "--all"],
                check=True,
                capture_output=True,
            )


def seen_from(one: Job) -> Outcome:
    """Say which node did the job, and what it found of the fixture."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    files = tree_id(Path(one.directory))
    return Outcome(fixture=one.fixture, run=one.run, where=f"{node} {files}")


def killed_once(one: Job) -> Outcome:
    """Take the worker with it the first time."""
    before = Path(one.agent_args[0])
    if not before.exists():
        before.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return done(one)


def killed_always(one: Job) -> Outcome:
    """Take the worker with it every time."""
    with Path(one.agent_args[0]).open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)
    return done(one)


def test_jobs_are_done_on_all_nodes_each_with_its_fixture(cluster: str) -> None:
    here = CORPUS / "demo-fix-median"
    many = [job("demo-fix-median", run, directory=str(here)) for run in range(1, 41)]
    outcomes = list(RayPool(cluster, None).run(seen_from, many))
    assert sorted(one.run for one in outcomes) == list(range(1, 41))
    nodes, files = zip(*(one.where.split() for one in outcomes), strict=True)
    assert set(files) == {tree_id(here)}
    assert len(set(nodes)) == 2


def test_a_lost_worker_costs_nothing_but_time(cluster: str, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    one = job("demo-fix-median", directory=str(CORPUS / "demo-fix-median"), agent_args=(mark,))
    assert list(RayPool(cluster, 1).run(killed_once, [one])) == [done(one)]


def test_a_job_that_takes_every_worker_with_it_is_an_error(cluster: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    one = job("demo-fix-median", directory=str(CORPUS / "demo-fix-median"), agent_args=(str(mark),))
    (outcome,) = RayPool(cluster, 1).run(killed_always, [one])
    assert "worker was lost" in (outcome.error or "")
    assert mark.read_text() == "x" * ATTEMPTS


def test_a_cluster_measures_the_same_as_this_machine(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("demo-find-port", "crlf-file-keeps-its-line-ends")
    words = ["measure", *(str(CORPUS / name) for name in names), "--agent-arg=--model=demo"]
    words += ["--runs", "2", "--json"]
    found = []
    for where in (["--ray", cluster], ["--jobs", "1"]):
        capsys.readouterr()
        main([*words, *where, "--db", str(tmp_path / "runs.sqlite")])
        found.append(comparable(json.loads(capsys.readouterr().out)))
    assert found[0] == found[1]


def comparable(measured: Any) -> Any:
    """Return a measurement without what differs between any two: times, tokens remembered."""
    fixtures = [
        (one["id"], run["run"], run["score"], run["drifts"], run["checks"], run["same_files"])
        for one in measured["fixtures"]
        for run in one["runs"]
    ]
    return measured["verdict"], measured["score"], measured["interval"], sorted(fixtures)


def test_no_cluster_is_said_so() -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")
    with pytest.raises(CcpaError, match="no Ray cluster at"):
        list(RayPool("127.0.0.1:9", 1).run(done, [job()]))
