"""What replays amount to: scores, expected drifts, attempts to reach the outside."""

from pathlib import Path
from typing import Any

import pytest

from ccpa.drifts import Drift
from ccpa.errors import CcpaError
from ccpa.replay import Replayed
from ccpa.replay.gate import Expected, judge_all, read_expected
from ccpa.sandbox import Attempt

HOOK = Drift(category="missing_hook_event", name="Stop")
CALL = Drift(category="missing_llm_call")
ATTEMPT = Attempt(ts="2026-01-01T00:00:00.000Z", protocol="tcp", host="example.com", port=443)


def replayed(fixture: str = "a", score: float | None = 1.0, **fields: Any) -> Replayed:
    return Replayed(fixture=fixture, score=score, **fields)


def outcome(run: Replayed, *expected: Expected) -> tuple[str, str]:
    gate = judge_all([run], {entry.fixture: entry for entry in expected})
    assert gate.verdict == ("pass" if gate.fixtures[0].passes and run.score != 0.9 else "fail")
    return gate.fixtures[0].outcome, gate.fixtures[0].reason


def test_full_marks_pass() -> None:
    assert outcome(replayed()) == ("pass", "")


def test_each_and_the_mean_have_a_floor() -> None:
    assert outcome(replayed(score=0.79)) == ("fail", "below 0.8")
    gate = judge_all([replayed("a", 0.81), replayed("b", 1.0)], {})
    assert [one.outcome for one in gate.fixtures] == ["pass", "pass"]
    assert gate.score == pytest.approx(0.905)
    assert gate.verdict == "fail"


def test_an_attempt_to_reach_the_outside_fails_whatever_the_score() -> None:
    assert outcome(replayed(attempts=[ATTEMPT])) == ("fail", "tried to reach example.com")
    expected = Expected(fixture="a", lacks="hooks", drifts={"missing_hook_event": 1})
    run = replayed(score=0.5, drifts=[HOOK], attempts=[ATTEMPT])
    assert outcome(run, expected)[0] == "fail"


def test_an_agent_that_did_not_finish_fails_whatever_the_score() -> None:
    assert outcome(replayed(problem="not finished after 1 s")) == ("fail", "not finished after 1 s")


def test_expected_drifts_are_held_to_exactly_and_left_out_of_the_mean() -> None:
    expected = Expected(fixture="b", lacks="hooks", drifts={"missing_hook_event": 2})
    runs = [replayed("a"), replayed("b", 0.1, drifts=[HOOK, HOOK])]
    gate = judge_all(runs, {"b": expected})
    assert [one.outcome for one in gate.fixtures] == ["pass", "expected"]
    assert (gate.score, gate.verdict) == (1.0, "pass")


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (replayed(score=0.5, drifts=[HOOK]), "better"),
        (replayed(), "better"),
        (replayed(score=0.5, drifts=[HOOK, HOOK, HOOK]), "other"),
        (replayed(score=0.5, drifts=[HOOK, HOOK, CALL]), "other"),
        (replayed(score=0.5, drifts=[HOOK, CALL]), "other"),
        (replayed(score=None, not_replayable="two prompts"), "other"),
    ],
)
def test_better_is_as_wrong_as_worse(run: Replayed, found: str) -> None:
    expected = Expected(fixture="a", lacks="hooks", drifts={"missing_hook_event": 2})
    assert outcome(run, expected)[0] == found


def test_what_cannot_be_replayed_fails_unless_that_is_expected() -> None:
    run = replayed(score=None, not_replayable="two prompts")
    assert outcome(run) == ("not replayable", "two prompts")
    expected = Expected(fixture="a", lacks="resume", replayable=False)
    assert outcome(run, expected) == ("expected", "lacks resume: two prompts")
    assert outcome(replayed(), expected)[0] == "better"


def test_nothing_is_no_evidence() -> None:
    assert judge_all([], {}).verdict == "inconclusive"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "expected.toml"
    path.write_text(text)
    return path


def test_a_file_of_expected_drifts_is_read(tmp_path: Path) -> None:
    text = '[[expected]]\nfixture = "a"\nlacks = "hooks"\ndrifts = { missing_hook_event = 2 }\n'
    assert read_expected(written(tmp_path, text)) == {
        "a": Expected(fixture="a", lacks="hooks", drifts={"missing_hook_event": 2})
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[expected]]\nfixture = "a"', "lacks"),
        ('[[expected]]\nfixture = "a"\nlacks = "x"\ndrifts = { bad_luck = 1 }', "bad_luck"),
        ("[[expected]", "expected.toml"),
    ],
)
def test_a_file_that_is_none_says_why(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CcpaError, match=r"expected\.toml") as error:
        read_expected(written(tmp_path, text))
    assert message in str(error.value)
