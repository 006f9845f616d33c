"""`ccpa record`: run any agent and write its trace from what goes over the wire."""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import msgspec

from ccpa.agents import find_agent
from ccpa.agents.base import Agent, Command, Task
from ccpa.console import one_line
from ccpa.errors import CcpaError
from ccpa.fixtures import PermissionMode, Settings
from ccpa.importers.values import actor
from ccpa.record.recording import Recording, Subject
from ccpa.record.run import Ended
from ccpa.record.run import run as run_agent
from ccpa.record.start import as_typed, name_of, names_of, typed
from ccpa.scripted.http import Handler
from ccpa.scripted.log import without_secrets
from ccpa.scripted.server import ScriptedModel

HELP = "run any agent and write its trace from what goes over the wire"

_EPILOG = """\
examples:
  ccpa record --engine demo -- apr code --base-url {base_url} "fix the failing test"
  ccpa record --upstream http://127.0.0.1:8080/v1 --agent codex -- "fix the failing test"
  ccpa record --upstream https://models.example/v1 --upstream-key-env KEY -- my-agent "fix it"
  ccpa record --script teacher.ccpa-trace.jsonl -- my-agent --url {root_url} "the recorded prompt"

The agent is told where its model is by OPENAI_BASE_URL, OPENAI_API_BASE, ANTHROPIC_BASE_URL and
ANTHROPIC_API_BASE, and by {base_url} (with /v1) and {root_url} (without) in its arguments. It gets
a clean environment and an empty home. docs/record.md says what the trace holds.
exit status: 0 the agent ended well, 1 it did not, or not as the script has it, 2 wrong usage"""

_INTERRUPTED = 130


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa record`."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("words", nargs="+", metavar="WORD", help="the agent's command, or --agent's prompt")
    add("-o", "--output", type=Path, metavar="TRACE", help="default: NAME-TIME.ccpa-trace.jsonl")
    add("-C", "--project", type=Path, default=Path(), metavar="DIR", help="default: here")
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--upstream", metavar="URL", help="the model's server: its base URL")
    model.add_argument("--engine", metavar="MODEL", help="a local model: demo, a .gguf, a name")
    model.add_argument("--script", type=Path, metavar="TRACE", help="the turns of a recording")
    add("--upstream-key-env", metavar="VAR", help="environment variable with the server's key")
    add("--model", default="recorded", metavar="NAME", help="what --agent is to ask for")
    add("--agent", metavar="NAME", help="an agent that ccpa knows how to start, or a NAME.toml")
    add(
        "--permission-mode",
        choices=get_args(PermissionMode),
        metavar="MODE",
        help=f"how --agent is started: {', '.join(get_args(PermissionMode))}",
    )
    add("--name", metavar="NAME", help="what the trace calls the agent")
    add("--keep-home", action="store_true", help="let the agent have your home directory")
    add(
        "--env",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="give the agent this variable: yours, or with this value (repeatable)",
    )
    add("--json", action="store_true", help="print what was recorded as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Record, say what came of it, and return the exit status."""
    if args.upstream_key_env and not args.upstream:
        raise CcpaError("--upstream-key-env goes with --upstream")
    project = args.project.resolve()
    if not project.is_dir():
        raise CcpaError(f"{args.project}: no such directory")
    with tempfile.TemporaryDirectory(prefix="ccpa-home-", ignore_cleanup_errors=True) as empty:
        home = Path.home() if args.keep_home else Path(empty)
        return asyncio.run(_record(args, project, home))


async def _record(args: argparse.Namespace, project: Path, home: Path) -> int:
    more = dict(_variable(word) for word in args.env)
    agent = find_agent(args.agent) if args.agent else None
    async with _model(args, project) as upstream:
        recording = Recording(_subject(args, agent, project), upstream, _warn)
        shown = without_secrets(more)
        hidden = [value for name, value in more.items() if shown[name] != value]
        for secret in (*hidden, _key(args.upstream_key_env) or ""):
            recording.secrets.add(secret)

        def command(base_url: str) -> Command:
            if agent is None:
                return typed(args.words, base_url, home, more=more)
            made = agent.command(_task(args, project, home, base_url))
            if args.keep_home and made.files:
                raise CcpaError(f"{args.agent} gets settings of its own: leave out --keep-home")
            return msgspec.structs.replace(made, environment={**made.environment, **more})

        try:
            ended = await run_agent(recording, command, project, stdout=2 if args.json else 1)
        except CcpaError:
            recording.abandon()
            raise
        findings = upstream.findings() if isinstance(upstream, ScriptedModel) else []
    _report(args, recording, ended, [msgspec.to_builtins(one) for one in findings])
    if any(not trace.is_whole for trace in recording.traces):
        raise CcpaError("the trace is incomplete: it could not be written to its end")
    if ended.interrupted:
        return _INTERRUPTED
    return int(ended.status != 0 or not recording.recorder.counts.answers or bool(findings))


def _subject(args: argparse.Namespace, agent: Agent | None, project: Path) -> Subject:
    name = actor(args.name or (agent.name if agent else name_of(args.words)))
    time = f"{datetime.now(tz=UTC):%Y%m%dT%H%M%SZ}"
    output = args.output or Path(f"{name}-{time}.ccpa-trace.jsonl")
    return Subject(
        actor=name,
        files=project,
        cwd=str(project),
        output=output.absolute(),
        arguments=tuple(args.words[0 if agent else 1 :]),
        names=names_of(agent) if agent else as_typed,
    )


def _task(args: argparse.Namespace, project: Path, home: Path, base_url: str) -> Task:
    return Task(
        prompts=tuple(args.words),
        cwd=str(project),
        home=home,
        trace=home / "own.ccpa-trace.jsonl",
        base_url=base_url,
        model=args.model,
        settings=Settings(permission_mode=args.permission_mode),
    )


@asynccontextmanager
async def _model(args: argparse.Namespace, project: Path) -> AsyncIterator[Handler]:
    """Provide the model that the user named."""
    if args.engine is not None:
        from ccpa.record.engine import engine

        async with engine(args.engine) as upstream:
            yield upstream
    elif args.script is not None:
        yield _scripted(args, project)
    else:
        from ccpa.record.upstream import Upstream, where

        yield Upstream(where(args.upstream), _key(args.upstream_key_env))


def _scripted(args: argparse.Namespace, project: Path) -> ScriptedModel:
    from ccpa.fixtures import read_trace
    from ccpa.scripted.adapt import Adaptation
    from ccpa.scripted.script import Script
    from ccpa.trace import SessionStart

    records = read_trace(args.script)
    start = next((one for one in records if isinstance(one, SessionStart)), None)
    paths = {start.cwd: str(project)} if start and start.cwd else {}
    tools = find_agent(args.agent).tools if args.agent else {}
    return ScriptedModel(
        Script.from_trace(records), adaptation=Adaptation(paths=paths, tools=tools)
    )


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise CcpaError(f"--upstream-key-env: the environment variable {variable} is not set")
    return key


def _variable(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        value = os.environ.get(name, "")
    if not name or not (equals or name in os.environ):
        raise CcpaError(f"--env {word}: no such variable is set; to set one: --env NAME=VALUE")
    return name, value


def _warn(text: str) -> None:
    print(f"ccpa: {one_line(text)}", file=sys.stderr)


def _report(
    args: argparse.Namespace, recording: Recording, ended: Ended, findings: list[dict[str, str]]
) -> None:
    counts, notes = recording.recorder.counts, recording.notes
    if args.json:
        summary = {
            "traces": [{"path": str(t.path), "records": t.written} for t in recording.traces],
            "model_calls": counts.answers,
            "agent_exit_status": ended.status,
            "interrupted": ended.interrupted,
            "left_out": counts.left_out,
            "refused": counts.refused,
            "marked": notes.marked,
            "skipped": notes.skipped,
            "unknown": notes.unknown,
            "findings": findings,
        }
        print(json.dumps(summary, indent=2))
    for trace in recording.traces:
        _warn(f"{_shown(trace.path)}: {trace.written:,} records")
    _warn(f"{counts.answers:,} model calls; the agent exited with status {ended.status}")
    listed = {
        "requests left out, which are no part of a conversation": counts.left_out,
        "answers that were errors, by status": counts.refused,
        "marked": notes.marked,
        "left out": notes.skipped,
        "not known, passed over": notes.unknown,
    }
    for what, found in listed.items():
        if found:
            _warn(f"{what}: {_listed(found)}")
    for finding in findings:
        _warn(f"{finding['category']}: {finding['detail']}")


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _listed(found: Counter[str]) -> str:
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} {what}" for what, number in ordered)
