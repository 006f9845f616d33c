"""One recording, from the start of the agent to the end of its trace."""

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from ccpa.agents.base import KEY, Command
from ccpa.errors import CcpaError
from ccpa.importers.notes import Notes
from ccpa.importers.session import About
from ccpa.paths import Root
from ccpa.record.recorder import Counts, Recorder
from ccpa.record.start import Names
from ccpa.record.writing import Secrets, TraceFile
from ccpa.scripted.chat import error
from ccpa.scripted.http import Handler, HttpRequest, HttpResponse, listen
from ccpa.scripted.log import now, without_secrets
from ccpa.trace import AssistantTurn, SessionStop
from ccpa.workspace import Snapshot, snapshot

_SUFFIX = ".ccpa-trace.jsonl"
_NOT_FOUND = 404


class Plan(Struct, frozen=True, kw_only=True):
    """What to record, and where.

    Args:
        actor: what the trace calls the agent.
        command: makes the agent's command, given the base URL of its model.
        project: the working directory, absolute.
        output: the trace.
        arguments: words among which the prompt may be.
        names: the trace's names of the agent's tools.
        secrets: keys that must not get into the trace.
        stdout: the descriptor that what the agent prints goes to.
        warn: told what goes wrong without ending the recording.
    """

    actor: str
    command: Callable[[str], Command]
    project: Path
    output: Path
    arguments: tuple[str, ...]
    names: Names
    secrets: tuple[str, ...] = ()
    stdout: int = 1
    warn: Callable[[str], None]


class Recorded(Struct, frozen=True, kw_only=True):
    """What came of it. `status` is the agent's; a signal counts as 128 + n."""

    traces: list[TraceFile]
    counts: Counts
    notes: Notes
    status: int
    interrupted: bool


async def record(plan: Plan, upstream: Handler) -> Recorded:
    """Run the agent to its end with a recorder between it and its model.

    Raises:
        CcpaError: the project or the trace's place is not usable, or the agent cannot be started.
    """
    notes, known = Notes(), Secrets()
    for secret in plan.secrets:
        known.add(secret)
    files = _Files(plan)
    started = time.monotonic()

    def open_trace(number: int) -> TraceFile:
        about = About(actor=plan.actor, ts=now(), cwd=str(plan.project))
        path, tree = files.place(number), files.look().tree_id
        return TraceFile(path, about, tree, notes=notes, secrets=known, warn=plan.warn)

    try:
        recorder = Recorder(
            upstream,
            files.look,
            open_trace,
            Root(str(plan.project)),
            arguments=plan.arguments,
            names=plan.names,
            notes=notes,
        )
    except OSError as failure:
        raise CcpaError(f"{failure.filename}: {failure.strerror}") from None
    token = secrets.token_urlsafe(12)
    server = await listen(_behind(token, recorder, known))
    try:
        port = server.sockets[0].getsockname()[1]
        status, interrupted = await _run_agent(
            plan, plan.command(f"http://127.0.0.1:{port}/{token}/v1")
        )
    finally:
        server.close()
    recorder.finish()
    elapsed_ms = int((time.monotonic() - started) * 1000)
    after = files.look().tree_id
    for trace in recorder.traces:
        _end(trace, status, interrupted, elapsed_ms, after)
        trace.close()
    return Recorded(
        traces=recorder.traces,
        counts=recorder.counts,
        notes=notes,
        status=status,
        interrupted=interrupted,
    )


class _Files:
    """The working tree, less the traces that are written into it."""

    def __init__(self, plan: Plan) -> None:
        self._project = plan.project
        self._output = plan.output
        self._traces: list[Path] = []

    def place(self, number: int) -> Path:
        """Return where a trace goes: the first one where the user said, others beside it."""
        name = self._output.name
        if number:
            name = f"{name.removesuffix(_SUFFIX)}.{number + 1}{_SUFFIX}"
        path = self._output.with_name(name)
        self._traces.append(path)
        return path

    def look(self) -> Snapshot:
        """Take a snapshot."""
        taken = snapshot(self._project)
        for path in self._traces:
            if path.is_relative_to(self._project):
                taken.entries.pop(path.relative_to(self._project).as_posix(), None)
        return taken


def _behind(token: str, recorder: Recorder, known: Secrets) -> Handler:
    """Serve those alone who know the token: others on this machine must not use the user's key."""

    async def handler(request: HttpRequest) -> HttpResponse:
        prefix = f"/{token}"
        if not (request.path + "/").startswith(prefix + "/"):
            return HttpResponse(status=_NOT_FOUND, body=error(_NOT_FOUND, "not served here"))
        for name, value in request.headers.items():
            if without_secrets({name: value})[name] != value and value.split()[-1:] != [KEY]:
                known.add(value)
        path = request.path.removeprefix(prefix) or "/"
        return await recorder(msgspec.structs.replace(request, path=path))

    return handler


async def _run_agent(plan: Plan, command: Command) -> tuple[int, bool]:
    """Run the agent; return its exit status, and whether the recording was told to stop."""
    for path, content in command.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    has_terminal = sys.stdin.isatty()
    try:
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            cwd=plan.project,
            env=command.environment,
            stdout=plan.stdout,
            # On a terminal it stays in our group, so that it can read the keyboard.
            start_new_session=not has_terminal,
        )
    except OSError as failure:
        raise CcpaError(f"{command.argv[0]}: cannot be started: {failure.strerror}") from None
    told: list[int] = []

    def stop(number: int) -> None:
        if number == signal.SIGINT and has_terminal:
            return  # the agent has had it from the terminal, and knows what it means
        told.append(number)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number) if not has_terminal else process.send_signal(number)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        status = await process.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
        if not has_terminal:
            with suppress(ProcessLookupError, PermissionError):  # macOS's word for zombies
                os.killpg(process.pid, signal.SIGKILL)
    return (128 - status if status < 0 else status), bool(told)


def _end(trace: TraceFile, status: int, interrupted: bool, elapsed_ms: int, after: str) -> None:
    """Tell a session how it ended, by the agent's status and the model's last word."""
    turns = [record for record in trace.session.records if isinstance(record, AssistantTurn)]
    last = next((turn for turn in reversed(turns) if turn.parent_tool_use_id is None), None)
    failure = _failure(last, status, interrupted)
    stop: SessionStop = "error"
    if failure is None and last is not None and last.stop_reason != "tool_use":
        stop = last.stop_reason
    usages = [turn.usage for turn in turns if turn.usage]
    known = bool(turns) and len(usages) == len(turns)
    trace.session.end(
        stop,
        elapsed_ms=elapsed_ms,
        tokens_in=sum(usage.input_tokens for usage in usages) if known else None,
        tokens_out=sum(usage.output_tokens for usage in usages) if known else None,
        cwd_sha256_after=after,
        error=failure,
    )


def _failure(last: AssistantTurn | None, status: int, interrupted: bool) -> str | None:
    if interrupted:
        return "interrupted"
    if status:
        return f"the agent exited with status {status}"
    if last is None:
        return "the agent got no answer of a model"
    if last.stop_reason == "tool_use":
        return "the agent ended before its model did"
    return None
