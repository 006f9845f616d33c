"""A recording as a whole: its recorder, its traces, and how they begin and end."""

import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from ccpa.errors import CcpaError
from ccpa.importers.notes import Notes
from ccpa.importers.session import About
from ccpa.paths import Root
from ccpa.record.recorder import Recorder
from ccpa.record.start import Names, as_typed
from ccpa.record.writing import Secrets, TraceFile
from ccpa.scripted.http import Handler
from ccpa.scripted.log import now
from ccpa.trace import AssistantTurn, SessionStop
from ccpa.workspace import Snapshot, snapshot

_SUFFIX = ".ccpa-trace.jsonl"


class Subject(Struct, frozen=True, kw_only=True):
    """Who is recorded, and where.

    Args:
        actor: what the trace calls the agent.
        files: the working directory, absolute.
        cwd: the same as the agent sees it.
        output: the trace.
        arguments: words among which the prompt may be.
        names: the trace's names of the agent's tools.
    """

    actor: str
    files: Path
    cwd: str
    output: Path
    arguments: tuple[str, ...] = ()
    names: Names = as_typed


class Recording:
    """What stands between an agent and its model, from the agent's start to its end.

    `recorder` is to be served to the agent; `close` ends the traces when the agent has ended.

    Args:
        subject: who is recorded.
        upstream: who answers.
        warn: told, once, what keeps a trace from being written.

    Raises:
        CcpaError: the working directory cannot be read, or the trace not be made.
    """

    def __init__(self, subject: Subject, upstream: Handler, warn: Callable[[str], None]) -> None:
        self.notes = Notes()
        self.secrets = Secrets()
        self._subject = subject
        self._warn = warn
        self._places: list[Path] = []
        self._started = time.monotonic()
        try:
            self.recorder = Recorder(
                upstream,
                self._look,
                self._open_trace,
                Root(subject.cwd),
                arguments=subject.arguments,
                names=subject.names,
                notes=self.notes,
            )
        except OSError as failure:
            raise CcpaError(f"{failure.filename}: {failure.strerror}") from None

    @property
    def traces(self) -> list[TraceFile]:
        """The traces, the main one first."""
        return self.recorder.traces

    def close(self, status: int | None, *, interrupted: bool = False) -> None:
        """End the traces.

        Args:
            status: the agent's exit status; None if it was not let to its end.
            interrupted: it was told to stop.
        """
        self.recorder.finish()
        elapsed_ms = int((time.monotonic() - self._started) * 1000)
        after = self._look().tree_id
        for trace in self.traces:
            last = _last_turn(trace)
            failure = "interrupted" if interrupted else _failure(last, status)
            _end(trace, last, failure, elapsed_ms, after)
            trace.close()

    def abandon(self) -> None:
        """Leave no trace: the agent was never started."""
        for trace in self.traces:
            trace.path.unlink(missing_ok=True)

    def _open_trace(self, number: int) -> TraceFile:
        """Open the first trace where it was asked for, and others beside it."""
        subject = self._subject
        path = subject.output
        if number:
            path = path.with_name(f"{path.name.removesuffix(_SUFFIX)}.{number + 1}{_SUFFIX}")
        self._places.append(path)
        return TraceFile(
            path,
            About(actor=subject.actor, ts=now(), cwd=subject.cwd),
            self._look().tree_id,
            notes=self.notes,
            secrets=self.secrets,
            warn=self._warn,
        )

    def _look(self) -> Snapshot:
        """Take a snapshot of the working tree, less the traces that are written into it."""
        files = self._subject.files
        taken = snapshot(files)
        for path in self._places:
            if path.is_relative_to(files):
                taken.entries.pop(path.relative_to(files).as_posix(), None)
        return taken


def _last_turn(trace: TraceFile) -> AssistantTurn | None:
    """Return the model's last answer in a trace's main conversation."""
    for record in reversed(trace.session.records):
        if isinstance(record, AssistantTurn) and record.parent_tool_use_id is None:
            return record
    return None


def _failure(last: AssistantTurn | None, status: int | None) -> str | None:
    if status is None:
        return "the agent was not let to its end"
    if status:
        return f"the agent exited with status {status}"
    if last is None:
        return "the agent got no answer of a model"
    if last.stop_reason == "tool_use":
        return "the agent ended before its model did"
    return None


def _end(
    trace: TraceFile, last: AssistantTurn | None, failure: str | None, elapsed_ms: int, after: str
) -> None:
    stop: SessionStop = "error"
    if failure is None and last is not None and last.stop_reason != "tool_use":
        stop = last.stop_reason
    turns = [record for record in trace.session.records if isinstance(record, AssistantTurn)]
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
