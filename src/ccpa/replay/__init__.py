"""Replaying fixtures: does the agent program orchestrate as the teacher's does?

The model's turns are held fixed, served from the recording, and what the agent makes of them is
compared. `replay` does one fixture, `replay_all` many at once, and `ccpa.replay.gate` says whether
what comes of it will do.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from ccpa.agents.base import Agent, Unsuited
from ccpa.drifts import Drift
from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture
from ccpa.layout import BEFORE
from ccpa.replay.judge import judge
from ccpa.replay.run import TIMEOUT_S, Played, play
from ccpa.sandbox import Attempt
from ccpa.scripted.play import Finding


class Replayed(Struct, frozen=True, kw_only=True):
    """What came of replaying a fixture.

    Args:
        fixture: its id.
        score: None where it could not be replayed.
        not_replayable: why it could not.
        drifts: every difference.
        calls: calls to the model that are too many or too few.
        attempts: what the agent tried to reach besides the model.
        problem: what was wrong with the agent's process, with the end of its stderr.
        elapsed_s: of the agent's process.
        student: its trace, in terms of the recording: JSON Lines.
    """

    fixture: str
    score: float | None = None
    not_replayable: str | None = None
    drifts: list[Drift] = []
    calls: list[Finding] = []
    attempts: list[Attempt] = []
    problem: str | None = None
    elapsed_s: float = 0.0
    student: bytes = b""


def replay(
    fixture: Fixture,
    agent: Agent,
    *,
    sandboxed: bool,
    keep: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Replayed:
    """Replay a fixture.

    Args:
        fixture: what to replay.
        agent: the agent under test.
        sandboxed: run it in a sandbox (`ccpa.sandbox`), which must be available.
        keep: a directory for what the run leaves, in `ID/`; None to leave nothing.
        timeout_s: how long the agent may take.

    Raises:
        CcpaError: the agent's trace cannot be read, or the fixture cannot be used.
    """
    if fixture.workspace is None:
        raise CcpaError(f"{fixture.directory}: has no workspace/ to start from")
    if keep is not None:
        scratch = keep / fixture.id
        try:
            scratch.mkdir(parents=True)
        except OSError as error:
            raise CcpaError(f"{scratch}: cannot be made: {error.strerror}") from None
        return _replay(fixture, agent, scratch, sandboxed=sandboxed, timeout_s=timeout_s)
    with tempfile.TemporaryDirectory(prefix="ccpa-replay-", ignore_cleanup_errors=True) as made:
        return _replay(fixture, agent, Path(made), sandboxed=sandboxed, timeout_s=timeout_s)


def replay_all(
    fixtures: Sequence[Fixture],
    agent: Agent,
    *,
    jobs: int,
    sandboxed: bool,
    keep: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[Replayed]:
    """Replay fixtures, `jobs` at a time; yields in their order. Raises as `replay` does."""

    def one(fixture: Fixture) -> Replayed:
        return replay(fixture, agent, sandboxed=sandboxed, keep=keep, timeout_s=timeout_s)

    with ThreadPoolExecutor(jobs) as pool:
        pending = [pool.submit(one, fixture) for fixture in fixtures]
        try:
            for future in pending:
                yield future.result()
        finally:
            for future in pending:
                future.cancel()


def _replay(
    fixture: Fixture, agent: Agent, scratch: Path, *, sandboxed: bool, timeout_s: float
) -> Replayed:
    try:
        played = play(fixture, agent, scratch, sandboxed=sandboxed, timeout_s=timeout_s)
    except Unsuited as error:
        return Replayed(fixture=fixture.id, not_replayable=str(error))
    finally:
        for leave in (scratch, scratch / BEFORE):
            shutil.rmtree(leave / "sandbox", ignore_errors=True)
    try:
        judged = judge(fixture, played)
        problem = _problem_before(fixture, played)
    except CcpaError as error:
        raise CcpaError(f"{fixture.id}: the trace of {agent.name}: {error}") from None
    if played.status is None:
        problem = f"not finished after {timeout_s:g} s"
    elif not played.student:
        problem = f"exit {played.status} without a trace"
    if problem and played.stderr.strip():
        problem += f"; its last words: {played.stderr.strip()}"
    return Replayed(
        fixture=fixture.id,
        score=judged.score,
        drifts=judged.drifts,
        calls=played.calls,
        attempts=played.attempts,
        problem=problem,
        elapsed_s=played.elapsed_s,
        student=played.student,
    )


def _problem_before(fixture: Fixture, played: Played) -> str | None:
    """Say how the session before came out otherwise, if there was one, and it did."""
    if fixture.before is None or played.before is None:
        return None
    categories = sorted({drift.category for drift in judge(fixture.before, played.before).drifts})
    return f"the session before shows {', '.join(categories)}" if categories else None
