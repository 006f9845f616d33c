import pytest

from ccpa.compare import Comparison, compare
from ccpa.score import verdict
from tests.ccpa.sessions import Step, bash, hook, skill, trace, use


def compared(ours: list[Step], theirs: list[Step], **weights: float) -> Comparison:
    return compare(trace(*ours), trace(*theirs), weights=weights)


def test_the_score_is_f1_of_the_actions() -> None:
    found = compared([bash("a"), bash("b"), bash("c")], [bash("a")]).score
    assert found.recall == pytest.approx(1 / 3)
    assert found.precision == 1.0
    assert found.parity == pytest.approx(0.5)


def test_extra_actions_cost() -> None:
    found = compared([bash("a")], [bash("a"), *(bash(f"x {n}") for n in range(1000))]).score
    assert found.recall == 1.0
    assert found.parity == pytest.approx(2 / 1002)


def test_an_action_out_of_place_is_not_matched() -> None:
    assert compared([bash("a"), bash("b")], [bash("b"), bash("a")]).score.parity == 0.5


def test_nothing_against_something_scores_zero() -> None:
    assert compared([], [bash("a")]).score.parity == 0.0
    assert compared([bash("a")], []).score.parity == 0.0
    assert compared([bash("a")], []).score.precision is None


def test_nothing_against_nothing_has_no_score() -> None:
    found = compared([], []).score
    assert (found.parity, found.recall, found.precision) == (None, None, None)
    assert verdict(found.parity, 0.0) == "inconclusive"


def test_two_calls_without_their_input_score_zero() -> None:
    lacking = [use("Read", offset=1)]
    assert compared(lacking, lacking).score.parity == 0.0


def test_the_files_are_one_item_more() -> None:
    steps = [bash("a"), bash("b"), bash("c")]
    same = compare(
        trace(*steps, cwd_sha256_after="x"), trace(*steps[:2], cwd_sha256_after="x")
    ).score
    other = compare(
        trace(*steps, cwd_sha256_after="x"), trace(*steps[:2], cwd_sha256_after="y")
    ).score
    assert same.parity == pytest.approx(2 * 3 / 7)
    assert other.parity == pytest.approx(2 * 2 / 7)
    assert same.recall == pytest.approx(3 / 4)
    assert same.precision == 1.0


def test_files_count_only_where_both_sides_have_them() -> None:
    found = compare(trace(bash("a"), cwd_sha256_after="x"), trace(bash("a")))
    assert found.same_files is None
    assert found.score.parity == 1.0


def test_a_weight_makes_a_tool_count_more() -> None:
    ours, theirs = [use("Read", file_path="a"), bash("b")], [use("Read", file_path="a"), bash("c")]
    assert compared(ours, theirs).score.parity == 0.5
    assert compared(ours, theirs, Bash=3).score.parity == 0.25
    assert compared(ours, theirs, Read=3).score.parity == 0.75
    assert compared(ours, theirs, Bash=0).score.parity == 1.0
    assert compared(ours, theirs, Bash=0, Read=0).score.parity is None


def test_hooks_skills_and_files_have_weights_of_their_own() -> None:
    ours = [hook(), skill("Bash"), bash("b")]
    found = compared(ours, [bash("b")], hook_event=0, skill_invocation=0)
    assert found.score.parity == 1.0
    weighed = compare(
        trace(bash("a"), cwd_sha256_after="x"),
        trace(bash("a"), cwd_sha256_after="y"),
        weights={"file_state": 3},
    )
    assert weighed.score.parity == 0.25


def test_the_score_is_the_same_from_either_side() -> None:
    ours, theirs = [bash("a"), bash("b"), bash("c")], [bash("c"), bash("a")]
    there, back = compared(ours, theirs).score, compared(theirs, ours).score
    assert there.parity == back.parity
    assert there.recall == back.precision


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.8, "pass"), (0.9, "pass"), (0.7999, "fail"), (None, "inconclusive")],
)
def test_a_score_passes_if_it_reaches_what_is_asked(value: float | None, expected: str) -> None:
    assert verdict(value, 0.8) == expected
