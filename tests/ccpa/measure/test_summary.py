import msgspec
import pytest

from ccpa.corpus import Thresholds
from ccpa.measure.agent import Ran
from ccpa.measure.free import after, no_evidence, whole_records
from ccpa.measure.summary import summarise
from ccpa.trace import read
from tests.ccpa.measure.jobs import outcome
from tests.ccpa.sessions import bash, say, trace, trace_bytes


def test_success_is_the_mean_over_fixtures_that_have_checks() -> None:
    found = summarise(
        [
            outcome("a", 1, passed=True),
            outcome("a", 2, passed=False),
            outcome("b", 1, passed=True),
            outcome("b", 2, passed=True),
            outcome("c", 1),
        ],
        Thresholds(),
    )
    assert found.success is not None
    assert (found.success.rate, found.success.passed, found.success.runs) == (0.75, 3, 4)
    # Two runs of `a` never both pass; two of `b` always do.
    assert (found.success.k, found.success.pass_k) == (2, 0.5)
    assert found.success.interval is not None
    assert sorted(found.by_fixture) == ["a", "b"]


def test_pass_k_over_fixtures_with_unequal_runs_takes_the_fewest() -> None:
    outcomes = [outcome("a", n, passed=n > 1) for n in (1, 2, 3)] + [outcome("b", passed=True)]
    found = summarise(outcomes, Thresholds())
    assert found.success is not None
    assert found.success.k == 1
    assert found.success.pass_k == pytest.approx((2 / 3 + 1) / 2)


def test_a_run_that_broke_leaves_the_gate_nothing_to_pass_on() -> None:
    broken = msgspec.structs.replace(outcome("a", 2, None), error="the server failed")
    found = summarise([outcome("a", 1), broken], Thresholds())
    assert found.result.judged == "inconclusive"
    assert not found.result.passes
    assert found.errors == [broken]


def test_half_a_line_at_a_traces_end_is_left_out() -> None:
    data = trace_bytes(bash("ls"), say())
    records, kept = whole_records(data + b'{"kind":"sess')
    assert (records, kept) == (list(read(data.splitlines())), data)


ENDED = Ran(status=0)


def test_a_session_that_failed_for_its_servers_sake_is_no_evidence() -> None:
    failed, _ = whole_records(trace_bytes(bash("ls"), end="error", error="no such host"))
    assert no_evidence(failed, ENDED) == "no such host"


def test_a_session_that_reached_its_limit_or_time_is_evidence() -> None:
    limited, _ = whole_records(trace_bytes(bash("ls"), end="error", error="max_turns: 3"))
    assert no_evidence(limited, ENDED) is None
    stopped, _ = whole_records(trace_bytes(bash("ls"), end=None))
    assert no_evidence(stopped, Ran(status=None)) is None


def test_an_agent_that_dies_is_no_evidence_and_its_words_are_kept() -> None:
    died, _ = whole_records(trace_bytes(bash("ls"), end=None))
    assert "a trace without an end (exit status 139); it said: oh" in str(
        no_evidence(died, Ran(status=139, said="oh"))
    )
    assert "no trace (exit status 2); it said: nothing" in str(no_evidence([], Ran(status=2)))


def test_after_a_fork_only_what_followed_is_left() -> None:
    views = trace(bash("a"), bash("b"), bash("c"), say())
    rest = after(views, 2)
    assert rest[0] == views[0]
    assert rest[1:] == trace(bash("a"), bash("b"), bash("c"), say())[-len(rest) + 1 :]
    assert len(after(views, 3)) < len(rest)
    assert after(views, 9) == []
