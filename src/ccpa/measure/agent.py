"""Starting the agent under test: in a clean environment, with the fixture's settings."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, Settings
from ccpa.measure.plan import Job
from ccpa.process import clean_environment
from ccpa.sandbox import Streams, Unconfined

AGENTS = ("apr",)
_TOLD = 1000


class Ran(Struct, frozen=True):
    """A process that has ended. `status` is None if its time was up; `said` ends its stderr."""

    status: int | None
    stdout: bytes
    said: str


def play(
    job: Job, fixture: Fixture, prompts: Sequence[str], *, scratch: Path, workspace: Path
) -> tuple[Ran, bytes]:
    """Let the agent work on the prompts in `workspace`; return also the trace that it has written.

    `scratch` is a directory for what the run needs besides.

    Raises:
        CcpaError: the agent cannot be started, or be given the fixture's settings or prompts.
    """
    if len(prompts) != 1:
        raise CcpaError(f"{fixture.id}: apr takes one prompt a run; this has {len(prompts)}")
    if fixture.settings.managed is not None:
        raise CcpaError(f"{fixture.id}: apr cannot be given an organisation's policy here")
    trace = scratch / "trace.jsonl"
    words = [*_settings(fixture.settings), "--emit-trace", str(trace)]
    if job.at is not None:
        words += ["--fork-trace", str(fixture.teacher_trace), "--fork-at", str(job.at)]
    ran = start("code", [*words, "--", prompts[0]], job, cwd=workspace, scratch=scratch)
    return ran, trace.read_bytes() if trace.is_file() else b""


def start(subcommand: str, words: Sequence[str], job: Job, *, cwd: Path, scratch: Path) -> Ran:
    """Run a subcommand of the agent to its end in an environment of its own.

    Its home is empty, but `APR_HOME` is the user's: there the models are, and the engines that are
    warm already. The user's own words for the command line come first.

    Raises:
        CcpaError: it cannot be started.
    """
    home = scratch / "home"
    home.mkdir()
    environment = clean_environment(home)
    environment["APR_HOME"] = os.environ.get("APR_HOME") or str(Path.home() / ".apr")
    environment |= {name: os.environ[name] for name in job.environment if name in os.environ}
    server = ["--base-url", job.base_url] if job.base_url else []
    argv = [sys.executable, "-P", "-m", "apr", subcommand, *job.agent_args, *server, *words]
    streams = Streams(scratch / "stdout", scratch / "stderr")
    with Unconfined(cwd, streams) as place:
        status = place.run(argv, environment, timeout_s=job.timeout_s)
    said = streams.stderr.read_bytes()[-_TOLD:].decode("utf-8", "replace").strip()
    return Ran(status, streams.stdout.read_bytes(), said)


def _settings(settings: Settings) -> list[str]:
    words: list[str] = []
    if settings.permission_mode is not None:
        words += ["--permission-mode", settings.permission_mode]
    for option, rules in (("--allowedTools", settings.allow), ("--disallowedTools", settings.deny)):
        for rule in rules:
            words += [option, rule]
    if settings.max_turns is not None:
        words += ["--max-turns", str(settings.max_turns)]
    return words
