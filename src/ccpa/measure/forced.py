"""Decision by decision: what would the student have done, had everything been the teacher's so far?

`apr decide` is given the teacher's whole session and answers with the student's decision for each
of the teacher's. The history is the same for both sides, so a decision is compared on its own.
"""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from msgspec import Struct

from ccpa import trace
from ccpa.actions import AssistantTurnView, ToolUseView, View, decode_views, read_views
from ccpa.compare import Side, compare
from ccpa.edits import ReadFile
from ccpa.equivalence import Key
from ccpa.errors import CcpaError
from ccpa.fixtures import load_fixture, read_trace
from ccpa.measure import agent
from ccpa.measure.agreement import pair_calls
from ccpa.measure.outcome import Call, Decision, Outcome, Tokens
from ccpa.measure.plan import Job
from ccpa.pairs import text_reader
from ccpa.trace import AssistantTurn, TurnStop, Usage


class Decided(Struct, kw_only=True):
    """A line of `apr decide`."""

    decision: int
    blocks: list[Any] | None = None
    stop_reason: TurnStop | None = None
    usage: Usage | None = None
    overflow: str | None = None


def run_forced(job: Job) -> Outcome:
    """Put the teacher's decisions to the student, and compare.

    Raises:
        CcpaError: the fixture is unusable, or the agent cannot be started.
    """
    fixture = load_fixture(Path(job.directory))
    records = read_trace(fixture.teacher_trace)
    wanted = [i for i, record in enumerate(records) if isinstance(record, AssistantTurn)]
    began = monotonic()
    with tempfile.TemporaryDirectory(prefix="ccpa-run-") as name:
        scratch = Path(name).resolve()
        requests = scratch / "requests.jsonl"
        requests.write_bytes(msgspec.json.encode({"id": fixture.id, "records": records}) + b"\n")
        ran = agent.start("decide", [str(requests)], job, cwd=scratch, scratch=scratch)
    outcome = Outcome(
        fixture=job.fixture,
        run=job.run,
        elapsed_s=monotonic() - began,
        confined=ran.confined,
        attempts=tuple(map(str, ran.attempts)),
        where=job.base_url or "",
    )
    answers = decided(ran.stdout)
    if ran.status != 0 or len(answers) != len(wanted):
        how = "time ran out" if ran.status is None else f"exit status {ran.status}"
        made = f"{len(answers)} of {len(wanted)} decisions were made"
        return msgspec.structs.replace(outcome, error=f"{made} ({how}): {ran.said}")
    read_file = text_reader(fixture.workspace) if fixture.workspace else None
    decisions = compared(records, read_views(fixture.teacher_trace), answers, read_file)
    return msgspec.structs.replace(
        outcome,
        score=sum(one.same for one in decisions) / len(decisions) if decisions else None,
        decisions=tuple(decisions),
        tokens=_tokens(answers),
    )


def decided(output: bytes) -> list[Decided]:
    """Read what `apr decide` has answered.

    Raises:
        CcpaError: a line is no answer.
    """
    try:
        return [msgspec.json.decode(line, type=Decided) for line in output.splitlines()]
    except (msgspec.DecodeError, RecursionError) as error:
        raise CcpaError(f"the agent's decisions cannot be read: {error}") from None


def compared(
    records: Sequence[trace.Record],
    views: Sequence[View],
    answers: Iterable[Decided],
    read_file: ReadFile | None,
) -> list[Decision]:
    """Compare decisions. `records` and `views` are the teacher's trace, in two forms.

    The calls of a decision are the same if their keys are (`ccpa.equivalence`), where an edit's is
    the change that it makes to the file as the teacher had left it. What is said is not compared.
    """
    positions: dict[str | None, int] = {}
    decisions = []
    for answer in answers:
        turn = records[answer.decision]
        if not isinstance(turn, AssistantTurn):
            raise CcpaError(f"record {answer.decision} is no decision of the teacher")
        position = positions.get(turn.parent_tool_use_id, 0) + 1
        positions[turn.parent_tool_use_id] = position
        pairs: tuple[Call, ...] = ()
        if answer.blocks is not None:
            student = _as_view(turn, answer)
            upto = list(views[: answer.decision])
            found = compare([*upto, views[answer.decision]], [*upto, student], read_file=read_file)
            wanted = _calls(found.teacher, views[answer.decision])
            pairs = pair_calls(wanted, _calls(found.student, student))
        decisions.append(
            Decision(
                turn=turn.turn,
                position=position,
                context=answer.usage.input_tokens if answer.usage else 0,
                calls=pairs,
                same=answer.overflow is None and all(pair.same for pair in pairs),
                failed=answer.overflow,
            )
        )
    return decisions


def _as_view(turn: AssistantTurn, answer: Decided) -> AssistantTurnView:
    """Return an answer as if the student's trace had it in the place of the teacher's turn."""
    record = {
        "kind": "assistant_turn",
        "v": 1,
        "turn": turn.turn,
        "blocks": answer.blocks,
        "stop_reason": answer.stop_reason,
        "parent_tool_use_id": turn.parent_tool_use_id,
    }
    (view,) = decode_views(msgspec.json.encode(record))
    if not isinstance(view, AssistantTurnView):
        raise TypeError(view)
    return view


def _calls(side: Side, turn: View) -> list[tuple[str, Key]]:
    """Return the calls of one turn: tool and key."""
    blocks = turn.blocks if isinstance(turn, AssistantTurnView) else []
    return [
        (action.name, key)
        for action, key in zip(side.session.actions, side.keys, strict=True)
        if isinstance(action.view, ToolUseView) and any(action.view is one for one in blocks)
    ]


def _tokens(answers: Iterable[Decided]) -> Tokens:
    usages = [answer.usage for answer in answers if answer.usage is not None]
    return Tokens(
        sent=sum(one.input_tokens for one in usages),
        cached=sum(one.cache_read_tokens for one in usages),
        generated=sum(one.output_tokens for one in usages),
    )
