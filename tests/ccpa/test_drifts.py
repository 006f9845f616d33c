"""Drifts beside those of the alignment, and their order."""

import pytest

from ccpa.compare import Comparison, compare
from ccpa.reasons import guesses, reason
from tests.ccpa.sessions import Step, bash, came_out, hook, say, skill, trace, use, uses

READ_A, READ_B = use("Read", file_path="a"), use("Read", file_path="b")


def compared(ours: list[Step], theirs: list[Step]) -> Comparison:
    return compare(trace(*ours), trace(*theirs))


def categories(ours: list[Step], theirs: list[Step]) -> list[str]:
    return [drift.category for drift in compared(ours, theirs).drifts]


def test_a_turn_of_several_calls_may_not_be_spread_over_turns() -> None:
    one, several = [uses(READ_A, READ_B), say()], [READ_A, READ_B, say()]
    assert categories(one, several) == ["extraneous_llm_call"]
    assert categories(several, one) == ["missing_llm_call"]


def test_the_model_call_of_an_extra_action_is_not_counted_again() -> None:
    assert categories([READ_A, say()], [READ_A, READ_B, say()]) == ["extra_tool_call"]
    assert categories([READ_A, READ_B, say()], [READ_A, say()]) == ["missing_tool_call"]


def test_the_model_calls_of_actions_that_changed_places_are_not_counted() -> None:
    found = categories([READ_A, READ_B, say()], [READ_B, READ_A, say()])
    assert found == ["turn_order_skew"]


def test_the_model_call_of_an_action_of_another_kind_is_not_counted() -> None:
    assert categories([skill("s"), say()], [READ_A, say()]) == ["mismatched_action_kind"]


def test_each_call_without_an_action_is_one_drift() -> None:
    assert categories([READ_A, say()], [say("max_tokens"), say("max_tokens"), READ_A, say()]) == [
        "extraneous_llm_call",
        "extraneous_llm_call",
    ]
    assert categories([say(), say()], [say()]) == ["missing_llm_call"]


def test_model_calls_are_compared_stretch_by_stretch() -> None:
    ours = [say("max_tokens"), READ_A, READ_B, say()]
    theirs = [READ_A, say("max_tokens"), READ_B, say()]
    assert categories(ours, theirs) == ["missing_llm_call", "extraneous_llm_call"]


def test_hooks_are_no_model_calls() -> None:
    steps = [hook(), READ_A, hook("Stop"), say()]
    assert categories(steps, steps) == []


def test_calls_that_agree_may_end_differently() -> None:
    found = compared([READ_A, say()], [READ_A, say("max_tokens")])
    assert [drift.category for drift in found.drifts] == ["mismatched_stop_reason"]
    assert reason(found.drifts[0], found) == "end_turn for the teacher, max_tokens for the student"
    cut = {**READ_A, "stop": "max_tokens"}
    assert categories([READ_A, say()], [cut, say()]) == ["mismatched_stop_reason"]


def test_sessions_that_end_differently_drift_once() -> None:
    found = compare(trace(say()), trace(say("max_tokens"), end="max_tokens"))
    assert [drift.category for drift in found.drifts] == ["mismatched_stop_reason"]
    found = compare(trace(say()), trace(say(), end="error"))
    assert [drift.category for drift in found.drifts] == ["mismatched_stop_reason"]


def test_a_trace_that_was_cut_short_says_so() -> None:
    found = compare(trace(say()), trace(say(), end=None))
    assert reason(found.drifts[0], found) == "end_turn for the teacher, cut short for the student"


def test_outcomes_are_compared_where_the_calls_are_equal() -> None:
    failed = came_out(READ_A, ok=False)
    assert categories([READ_A], [failed]) == ["mismatched_tool_outcome"]
    assert categories([READ_A], [came_out(READ_B, ok=False)]) == ["mismatched_tool_input"]
    swapped = categories([READ_A, READ_B], [came_out(READ_B, ok=False), failed])
    assert swapped.count("mismatched_tool_outcome") == 2
    assert swapped.count("turn_order_skew") == 1


def test_a_denial_is_no_failure_where_both_traces_can_tell() -> None:
    failed, denied = came_out(READ_A, ok=False), came_out(READ_A, ok=False, denied_by="rule")
    assert categories([failed], [denied]) == ["mismatched_tool_outcome"]
    assert categories([came_out(READ_A, ok=False, denied_by="hook")], [denied]) == [
        "mismatched_tool_outcome"
    ]
    assert compare(trace(failed, schema_version=2), trace(denied)).drifts == []


def test_side_effects_are_compared_where_both_traces_have_them() -> None:
    def effects(**fields: object) -> Step:
        return came_out(READ_A, side_effects=fields)

    assert categories([effects(files_read=["a"])], [effects(files_read=["./a", "a"])]) == []
    assert categories([effects(files_read=["a"])], [READ_A]) == []
    assert categories([effects(exit_code=0)], [effects()]) == []
    for other in ({"files_read": ["b"]}, {"files_read": ["a"], "files_written": ["a"]}):
        assert categories([effects(files_read=["a"])], [effects(**other)]) == [
            "mismatched_side_effects"
        ]
    assert categories([effects(exit_code=0)], [effects(exit_code=1)]) == ["mismatched_side_effects"]


def test_effects_are_relative_to_each_sides_own_directory() -> None:
    ours = came_out(READ_A, side_effects={"files_read": ["/t/a"]})
    theirs = came_out(READ_A, side_effects={"files_read": ["/s/a"]})
    assert compare(trace(ours, cwd="/t"), trace(theirs, cwd="/s")).drifts == []
    assert len(compare(trace(ours, cwd="/t"), trace(ours, cwd="/s")).drifts) == 1


def test_a_result_belongs_to_the_latest_use_of_its_id() -> None:
    found = compared([READ_A, READ_A], [READ_A, came_out(READ_A, ok=False)])
    assert [(d.category, d.student_position) for d in found.drifts] == [
        ("mismatched_tool_outcome", 1)
    ]


def test_a_missing_result_is_an_outcome_too() -> None:
    views = trace(READ_A)
    cut = [view for view in views if type(view).__name__ != "ToolResultView"]
    found = compare(views, cut)
    assert reason(found.drifts[0], found) == "ok for the teacher, no result for the student"


def test_what_subagents_do_is_compared_by_subagent_not_by_time() -> None:
    start = uses(use("Agent", prompt="x"), use("Agent", prompt="y"))  # ids call-1-0 and call-1-1
    one = [{**bash(f"x {n}"), "parent": "call-1-0"} for n in range(2)]
    two = [{**bash(f"y {n}"), "parent": "call-1-1"} for n in range(2)]
    ours = [start, one[0], two[0], one[1], two[1], say()]
    theirs = [start, two[0], two[1], one[0], one[1], say()]
    assert categories(ours, theirs) == []
    assert categories(ours, [start, two[1], two[0], *one, say()]) == ["turn_order_skew"]


def test_what_an_unknown_subagent_did_is_kept() -> None:
    lost = {**bash("x"), "parent": "nobody"}
    assert categories([READ_A, lost], [READ_A]) == ["missing_tool_call"]


def test_trees_that_differ_in_the_end_are_a_drift_without_a_place() -> None:
    found = compare(trace(cwd_sha256_after="x"), trace(cwd_sha256_after="y"))
    assert [drift.category for drift in found.drifts] == ["mismatched_file_state"]
    assert found.drifts[0].teacher_turn is None


def test_drifts_come_in_the_order_of_the_conversation() -> None:
    ours = [READ_A, bash("ruff check ."), bash("b"), bash("pytest"), say()]
    theirs = [READ_A, READ_B, bash("ruff ."), say("max_tokens"), bash("b"), say()]
    assert categories(ours, theirs) == [
        "extra_tool_call",
        "mismatched_tool_input",
        "extraneous_llm_call",
        "missing_tool_call",
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "why"),
    [
        (bash("make"), bash("make all"), "command: 'make', not 'make all'"),
        (bash("a", timeout=1), bash("b", timeout=2), "command: 'a', not 'b'"),
        (READ_A, use("Read", path="/b"), "path: 'a', not '/b'"),
        (READ_A, use("Read", path="a", limit=3), "limit: nothing, not 3"),
        (use("X", a="1", b=2), use("X", a=1, b=2), 'a: "1", not 1'),
        (READ_A, bash("cat a"), "Read for the teacher, Bash for the student"),
        (hook(), READ_A, "a hook on PreToolUse for the teacher, a call of Read for the student"),
        (use("Read"), READ_A, "required input is missing, so the call equals none"),
        (hook(output="a"), hook(output="b"), "output: 'a', not 'b'"),
    ],
)
def test_a_reason_names_what_differs_and_nothing_else(ours: Step, theirs: Step, why: str) -> None:
    found = compared([ours], [theirs])
    assert reason(found.drifts[0], found) == why


def test_a_reason_shows_long_values_where_they_differ() -> None:
    found = compared([bash("x" * 500 + "left")], [bash("x" * 500 + "right")])
    why = reason(found.drifts[0], found)
    assert "left" in why
    assert "right" in why
    assert len(why) < 200


def test_an_exchange_names_the_other_action() -> None:
    ours = [READ_A, bash("x"), READ_B]
    found = compared(ours, ours[::-1])
    assert reason(found.drifts[0], found) == "changed places with Read b"


@pytest.mark.parametrize(
    ("ours", "theirs", "guess"),
    [
        (bash('echo "x'), bash('echo  "x'), "a command the grammar cannot read"),
        (use("X", a=1), use("X", a=2), "there is no rule for X"),
        (use("TaskStop", task_id="1"), use("Read", path="a"), "in which they are first named"),
    ],
)
def test_a_drift_says_where_a_rule_had_to_guess(ours: Step, theirs: Step, guess: str) -> None:
    found = compared([ours], [theirs])
    assert any(guess in note for note in guesses(found.drifts[0], found))


def test_absolute_paths_without_a_working_directory_are_a_guess() -> None:
    found = compare(trace(use("Read", path="/x/a"), cwd=None), trace(READ_A))
    assert "without its working directory" in guesses(found.drifts[0], found)[0]


def test_a_plain_drift_needs_no_guess() -> None:
    found = compared([bash("a")], [bash("b")])
    assert guesses(found.drifts[0], found) == []
