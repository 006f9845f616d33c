"""One run on its own: the agent gets prompt and files, and is judged by what comes of it.

A run that is a fork begins with recorded answers: the agent carries out what they ask for, and the
results are its own. It is judged by what came after, and by the outcome.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import msgspec

from ccpa import trace
from ccpa.actions import AssistantTurnView, SessionStartView, View, decode_views, read_views
from ccpa.checks import CheckResult, run_checks
from ccpa.compare import Comparison, compare
from ccpa.endstate import Files, final_files
from ccpa.errors import CcpaError
from ccpa.fixtures import Check, load_fixture, materialise, read_trace
from ccpa.measure import agent
from ccpa.measure.agent import Ran
from ccpa.measure.outcome import Checked, Outcome, Tokens
from ccpa.measure.plan import Job
from ccpa.pairs import text_reader
from ccpa.trace import AssistantTurn, Record, SessionEnd, TextBlock, UserPrompt

TURN_LIMIT = "max_turns"
"""How the `error` of a session that reached its limit begins: that is the model's doing."""


def run_free(job: Job) -> Outcome:
    """Run the agent once, and judge the run.

    Raises:
        CcpaError: the fixture is unusable, or the agent cannot be started.
    """
    fixture = load_fixture(Path(job.directory))
    recorded = read_trace(fixture.teacher_trace)
    prompts = [record.text for record in recorded if isinstance(record, UserPrompt)]
    if job.at is not None and job.at >= (there := answers(recorded)):
        raise CcpaError(
            f"{fixture.id}: has {there} answers, so a fork must come before, not at {job.at}"
        )
    with tempfile.TemporaryDirectory(prefix="ccpa-run-") as scratch:
        place = Path(scratch).resolve()
        workspace = place / "workspace"
        materialise(fixture, workspace)
        began = monotonic()
        ran, data = agent.play(job, fixture, prompts, scratch=place, workspace=workspace)
        elapsed = monotonic() - began
        records, data = whole_records(data)
        outcome = Outcome(
            fixture=job.fixture,
            run=job.run,
            elapsed_s=elapsed,
            tokens=tokens(records),
            trace=data,
            confined=ran.confined,
            attempts=tuple(map(str, ran.attempts)),
            where=job.base_url or "",
        )
        if error := no_evidence(records, ran):
            return msgspec.structs.replace(outcome, error=error)
        teacher, student = read_views(fixture.teacher_trace), decode_views(data)
        read_file = text_reader(fixture.workspace) if fixture.workspace else None
        if job.at is not None:
            teacher, student = after(teacher, job.at), after(student, job.at)
            read_file = None  # what the files hold at the fork is not in the traces
        files = final_files(fixture, workspace, place / "teacher")
        found = compare(teacher, student, read_file=read_file, same_files=files.same)
        # Last, for what a check's command does to the files is nobody's outcome.
        checks = run_checks(fixture, workspace, last_words(records))
        return _with_results(outcome, found, files, checks)


def whole_records(data: bytes) -> tuple[list[Record], bytes]:
    """Read as much of a trace as is whole: a run that was killed may leave half a line."""
    records: list[Record] = []
    kept = 0
    for line in data.splitlines(keepends=True):
        try:
            if line.strip():
                records.append(trace.decode(line))
        except (msgspec.DecodeError, RecursionError):
            break
        kept += len(line)
    return records, data[:kept]


def no_evidence(records: Sequence[Record], ran: Ran) -> str | None:
    """Say why a run says nothing of the model, if it does not.

    An error of the session other than a reached limit is its server's or the agent's; so is a trace
    that just stops. A run that had to be stopped because its time was up is evidence.
    """
    end = records[-1] if records else None
    if ran.status is None and records:
        return None
    if not isinstance(end, SessionEnd):
        state = "no trace" if not records else "a trace without an end"
        return (
            f"the agent left {state} (exit status {ran.status}); it said: {ran.said or 'nothing'}"
        )
    if end.stop_reason == "error" and not (end.error or "").startswith(TURN_LIMIT):
        return end.error or "the session ended in an error that it does not name"
    return None


def tokens(records: Sequence[Record]) -> Tokens:
    """Add up what the model's answers cost."""
    usages = [r.usage for r in records if isinstance(r, AssistantTurn) and r.usage is not None]
    return Tokens(
        sent=sum(one.input_tokens for one in usages),
        cached=sum(one.cache_read_tokens for one in usages),
        generated=sum(one.output_tokens for one in usages),
    )


def answers(records: Sequence[Record]) -> int:
    """Count the model's answers in the main conversation."""
    return sum(isinstance(r, AssistantTurn) and r.parent_tool_use_id is None for r in records)


def after(views: Sequence[View], at: int) -> list[View]:
    """Return a trace without its main conversation's first `at` answers and all before the last."""
    passed = 0
    for index, view in enumerate(views):
        if isinstance(view, AssistantTurnView) and view.parent_tool_use_id is None:
            passed += 1
            if passed == at:
                start = [one for one in views[:index] if isinstance(one, SessionStartView)]
                return [*start, *views[index + 1 :]]
    return []


def last_words(records: Sequence[Record]) -> str:
    """Return the text of the last answer in the main conversation."""
    for record in reversed(records):
        if isinstance(record, AssistantTurn) and record.parent_tool_use_id is None:
            return "".join(block.text for block in record.blocks if isinstance(block, TextBlock))
    return ""


def _with_results(
    outcome: Outcome, found: Comparison, files: Files, checks: Sequence[CheckResult]
) -> Outcome:
    counts: dict[str, int] = {}
    for drift in found.drifts:
        counts[drift.category] = counts.get(drift.category, 0) + 1
    return msgspec.structs.replace(
        outcome,
        score=found.score.parity,
        recall=found.score.recall,
        precision=found.score.precision,
        drifts=counts,
        same_files=found.same_files,
        differing=files.differing,
        checks=tuple(Checked(_name(one.check), one.passed, one.detail) for one in checks),
    )


def _name(check: Check) -> str:
    if check.command is not None:
        return check.command
    if check.file is not None:
        return check.file if check.pattern is None else f"{check.file}: {check.pattern}"
    return f"final text: {check.final_text}"
