"""Jobs, and outcomes of them, for tests in which no agent runs."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec

from ccpa.measure.outcome import Checked, Outcome
from ccpa.measure.plan import FixtureRef, Job, Plan


def job(fixture: str = "a", run: int = 1, directory: str = "/nowhere", **more: Any) -> Job:
    """Return a job. `directory` is for the functions below to tell each other something."""
    plain = Job(
        mode="free",
        fixture=fixture,
        directory=directory,
        run=run,
        agent="apr",
        agent_args=(),
        base_url=None,
        at=None,
        environment=(),
        sandbox="auto",
        timeout_s=60,
    )
    return msgspec.structs.replace(plain, **more)


def plan(*fixtures: str, **more: Any) -> Plan:
    """Return a plan for fixtures of these ids."""
    references = tuple(
        FixtureRef(name, f"/corpus/{name}", f"digest of {name}") for name in fixtures
    )
    plain = Plan(mode="free", agent="apr", timeout_s=60, fixtures=references)
    return msgspec.structs.replace(plain, **more)


def outcome(
    fixture: str = "a", run: int = 1, score: float | None = 1.0, *, passed: bool | None = None
) -> Outcome:
    """Return an outcome; with `passed` the fixture has a check."""
    checks = () if passed is None else (Checked("true", passed),)
    return Outcome(fixture=fixture, run=run, score=score, checks=checks)


def done(job: Job) -> Outcome:
    """Do a job at once."""
    return outcome(job.fixture, job.run)


def done_the_second_time(job: Job) -> Outcome:
    """Take the worker with it, unless that has happened before: then there is a file."""
    before = Path(job.directory) / f"{job.fixture}-{job.run}"
    if not before.exists():
        before.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return done(job)


def never_done(job: Job) -> Outcome:
    """Take the worker with it each time, and count in a file how often."""
    with (Path(job.directory) / job.fixture).open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)
    return done(job)


def with_a_long_child(job: Job) -> Outcome:
    """Wait for a child that outlives any patience; leave its process id in a file."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as child:
        try:
            whole = Path(job.directory) / ".pid"
            whole.write_text(str(child.pid))
            whole.rename(Path(job.directory) / "pid")
            child.wait()
        finally:
            child.kill()
    return done(job)


def wait_until_gone(process: int) -> None:
    """Wait until there is no such process. The test's own time limit bounds it."""
    while True:
        try:
            os.kill(process, 0)
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return
        if state == "Z":  # dead; whoever is its parent now has not looked yet
            return
        time.sleep(0.01)


def wait_for(path: Path) -> str:
    """Wait until a file is there; return what it holds."""
    while not path.exists():
        time.sleep(0.01)
    return path.read_text()
