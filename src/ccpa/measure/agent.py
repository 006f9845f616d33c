"""Starting the agent under test: in a clean environment, with the fixture's settings."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, Settings
from ccpa.measure.plan import Job
from ccpa.process import Finished, clean_environment, run_shell

AGENTS = ("apr",)


class Unplayable(CcpaError):
    """The agent has no way to be given what the fixture asks for."""


def play(
    job: Job, fixture: Fixture, prompts: list[str], *, workspace: Path, home: Path, trace: Path
) -> Finished:
    """Let the agent work on the prompts in `workspace`, and have it write its trace to `trace`.

    Raises:
        CcpaError: the agent is not installed, or cannot be given the fixture's settings or prompts.
    """
    if len(prompts) != 1:
        raise Unplayable(f"{fixture.id}: apr takes one prompt a run; this has {len(prompts)}")
    if fixture.settings.managed is not None:
        raise Unplayable(f"{fixture.id}: apr cannot be given an organisation's policy")
    words = [*command("code", job), *_settings(fixture.settings), "--emit-trace", str(trace)]
    return start([*words, "--", prompts[0]], job, cwd=workspace, home=home)


def command(subcommand: str, job: Job) -> list[str]:
    """Return how a subcommand of the job's agent is called: the user's words come first.

    Raises:
        CcpaError: the agent is not installed.
    """
    here = Path(sys.executable).parent
    found = shutil.which(job.agent, path=f"{here}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        raise CcpaError(f"the agent {job.agent!r} was not found on PATH: install it")
    server = ["--base-url", job.base_url] if job.base_url else []
    return [found, subcommand, *job.agent_args, *server]


def start(words: Iterable[str], job: Job, *, cwd: Path, home: Path, stdin: bytes = b"") -> Finished:
    """Run the agent to its end in an environment of its own.

    Its home is empty, but `APR_HOME` is the user's: there the models are, and the engines that are
    warm already.

    Raises:
        CcpaError: there is no bash to start it from.
    """
    environment = clean_environment(home)
    environment["APR_HOME"] = os.environ.get("APR_HOME") or str(Path.home() / ".apr")
    environment |= {name: os.environ[name] for name in job.environment if name in os.environ}
    line = f"exec {shlex.join(words)}"
    return run_shell(line, cwd=cwd, environment=environment, timeout_s=job.timeout_s, stdin=stdin)


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
