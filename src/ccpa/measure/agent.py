"""Starting the agent under test: in a clean environment, with the fixture's settings."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec import Struct

from ccpa.agents import stream_json
from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, Settings
from ccpa.measure.plan import Job
from ccpa.process import clean_environment
from ccpa.record.upstream import Upstream, where
from ccpa.sandbox import Attempt, Place, Sandbox, Streams, Talk, Unconfined, unavailable
from ccpa.scripted.server import serving

AGENTS = ("apr",)
POLICIES = ("claude-code/managed-settings.json", "apr/managed-settings.json")
"""Where an organisation's policy lies, below `/etc`."""
_TOLD = 1000


class Ran(Struct, frozen=True, kw_only=True):
    """A process that has ended.

    Args:
        status: its exit status; None if its time was up.
        stdout: all that it printed there.
        said: the end of what it printed on stderr.
        confined: whether it ran in a sandbox.
        attempts: what it tried to reach besides its model, where that is watched.
    """

    status: int | None
    stdout: bytes = b""
    said: str = ""
    confined: bool = False
    attempts: tuple[Attempt, ...] = ()


def play(
    job: Job, fixture: Fixture, prompts: Sequence[str], *, scratch: Path, workspace: Path
) -> tuple[Ran, bytes]:
    """Let the agent work on the prompts in `workspace`; return also the trace that it has written.

    `scratch` is a directory for what the run needs besides.

    Raises:
        CcpaError: the agent cannot be started, or be given the fixture's settings or prompts.
    """
    if not prompts or (job.at is not None and len(prompts) > 1):
        raise CcpaError(f"{fixture.id}: has {len(prompts)} prompts; a fork has one, a run at least")
    trace = scratch / "trace.jsonl"
    words = [*_settings(fixture.settings), "--emit-trace", str(trace)]
    if job.at is not None:
        words += ["--fork-trace", str(fixture.teacher_trace), "--fork-at", str(job.at)]
    more, talk = stream_json.options(tuple(prompts), None)
    told = [*more, "--output-format", "stream-json"] if talk else ["--", *prompts]
    ran = start(
        "code",
        [*words, *told],
        job,
        cwd=workspace,
        scratch=scratch,
        managed=fixture.settings.managed,
        talk=talk,
    )
    return ran, trace.read_bytes() if trace.is_file() else b""


def start(
    subcommand: str,
    words: Sequence[str],
    job: Job,
    *,
    cwd: Path,
    scratch: Path,
    managed: dict[str, Any] | None = None,
    talk: Talk | None = None,
) -> Ran:
    """Run a subcommand of the agent to its end in an environment of its own.

    Its home is empty, but `APR_HOME` is the user's: there the models are, and the engines that are
    warm already. The user's own words for the command line come first. Where the model is a server,
    the agent runs in a sandbox and reaches that server through us, and nothing else. A model of the
    agent's own is an engine on this machine, which a sandbox would keep it from.

    Raises:
        CcpaError: it cannot be started, or not as confined as it must be.
    """
    home = scratch / "home"
    home.mkdir()
    environment = clean_environment(home)
    environment["APR_HOME"] = os.environ.get("APR_HOME") or str(Path.home() / ".apr")
    environment |= {name: os.environ[name] for name in job.environment if name in os.environ}
    streams = Streams(scratch / "stdout", scratch / "stderr")
    without = unconfined(job)
    if without and (job.sandbox == "required" or managed is not None):
        wanted = "it is required" if managed is None else "its managed policy needs one"
        raise CcpaError(f"{job.fixture}: no sandbox, and {wanted}: {without}")
    place: Place = Unconfined(cwd, streams)
    if not without:
        policy = {} if managed is None else dict.fromkeys(POLICIES, json.dumps(managed))
        place = Sandbox(scratch / "sandbox", str(cwd), streams, etc=policy)
    argv = [sys.executable, "-P", "-m", "apr", subcommand, *job.agent_args]
    with place, ExitStack() as served:
        if job.base_url is not None:
            url = job.base_url
            if not without:
                relay = Upstream(where(job.base_url))
                url = served.enter_context(serving(relay, listener=place.listener))
            argv += ["--base-url", url]
        status = place.run([*argv, *words], environment, timeout_s=job.timeout_s, talk=talk)
        attempts = tuple(place.attempts())
    said = streams.stderr.read_bytes()[-_TOLD:].decode("utf-8", "replace").strip()
    return Ran(
        status=status,
        stdout=streams.stdout.read_bytes(),
        said=said,
        confined=not without,
        attempts=attempts,
    )


def unconfined(job: Job) -> str | None:
    """Say why a job's agent runs without a sandbox; None if it has one."""
    if job.sandbox == "off":
        return "it was switched off"
    if job.base_url is None:
        return "the model is the agent's own, on this machine; --base-url names a server instead"
    return unavailable()


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
