"""What is to be run: a measurement, and the jobs that it falls into."""

from collections.abc import Collection, Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture
from ccpa.workspace import tree_id

Mode = Literal["free", "forced", "fork"]
Confinement = Literal["auto", "required", "off"]
RunKey = tuple[str, int]
"""A fixture's id and the number of the run, from 1."""


class FixtureRef(Struct, frozen=True):
    """A fixture of a measurement. `digest` is its directory's tree id: results stand for that."""

    id: str
    directory: str
    digest: str


class Plan(Struct, frozen=True, kw_only=True):
    """A measurement.

    Args:
        mode: what is held fixed.
        agent: the agent under test.
        agent_args: what its command line is given besides.
        base_urls: the servers that the runs are spread over; none: the agent's own choice.
        at: for `fork`, how many recorded answers come before the live ones.
        environment: names of variables that the agent gets from the environment as it is.
        sandbox: whether agents run in one: where that can be, in any case, or not at all.
        timeout_s: seconds that a run may take.
        fixtures: what is run, in order of id.
    """

    mode: Mode
    agent: str
    agent_args: tuple[str, ...] = ()
    base_urls: tuple[str, ...] = ()
    at: int | None = None
    environment: tuple[str, ...] = ()
    sandbox: Confinement = "auto"
    timeout_s: float
    fixtures: tuple[FixtureRef, ...]

    @property
    def identity(self) -> bytes:
        """What two plans have in common whose runs may stand in one measurement.

        Where a corpus lies does not matter, nor which server answered, nor how long was waited.
        """
        return msgspec.json.encode(
            {
                "mode": self.mode,
                "agent": self.agent,
                "agent_args": self.agent_args,
                "at": self.at,
                "fixtures": [(one.id, one.digest) for one in self.fixtures],
            }
        )


class Job(Struct, frozen=True, kw_only=True):
    """One run of one fixture: plain data, so that another process or machine can do it."""

    mode: Mode
    fixture: str
    directory: str
    run: int
    agent: str
    agent_args: tuple[str, ...]
    base_url: str | None
    at: int | None
    environment: tuple[str, ...]
    sandbox: Confinement
    timeout_s: float

    @property
    def key(self) -> RunKey:
        """What tells it from all others of its measurement."""
        return self.fixture, self.run


def references(fixtures: Collection[Fixture]) -> tuple[FixtureRef, ...]:
    """Return what a plan says of fixtures, in order of id.

    Raises:
        CcpaError: a fixture has no workspace to run in, or two have one id.
    """
    found: dict[str, FixtureRef] = {}
    for fixture in fixtures:
        if fixture.workspace is None:
            raise CcpaError(f"{fixture.directory}: has no workspace/ for an agent to work in")
        if fixture.id in found:
            taken = found[fixture.id].directory
            raise CcpaError(f"{fixture.directory}: the id {fixture.id!r} is taken by {taken}")
        directory = fixture.directory.resolve()
        found[fixture.id] = FixtureRef(fixture.id, str(directory), tree_id(directory))
    return tuple(found[id_] for id_ in sorted(found))


def jobs(plan: Plan, runs: int, done: Collection[RunKey] = ()) -> Iterator[Job]:
    """Yield what is still to be run: all first runs, then all second ones, and so on.

    Servers take turns, in an order that is the same whatever is done already.
    """
    servers = plan.base_urls or (None,)
    for run in range(1, runs + 1):
        for number, one in enumerate(plan.fixtures, start=run - 1):
            if (one.id, run) not in done:
                yield Job(
                    mode=plan.mode,
                    fixture=one.id,
                    directory=one.directory,
                    run=run,
                    agent=plan.agent,
                    agent_args=plan.agent_args,
                    base_url=servers[number % len(servers)],
                    at=plan.at,
                    environment=plan.environment,
                    sandbox=plan.sandbox,
                    timeout_s=plan.timeout_s,
                )
