from hypothesis import given
from hypothesis import strategies as st

from ccpa.measure.agreement import NO_TOOL, agreement, pair_calls
from ccpa.measure.outcome import Call, Decision, Outcome

CALLS = st.lists(st.tuples(st.sampled_from(["Read", "Edit", "Bash"]), st.integers(0, 2)))


def decision(
    *calls: Call, position: int = 1, context: int = 900, failed: str | None = None
) -> Decision:
    same = failed is None and all(call.same for call in calls)
    return Decision(
        turn=1, position=position, context=context, calls=calls, same=same, failed=failed
    )


def outcome(*decisions: Decision) -> Outcome:
    return Outcome(fixture="a", run=1, decisions=decisions)


def test_the_order_of_calls_in_one_answer_does_not_count() -> None:
    one, other = ("Read", "a"), ("Read", "b")
    assert pair_calls([one, other], [other, one]) == (
        Call("Read", "Read", True),
        Call("Read", "Read", True),
    )


def test_equal_calls_find_each_other_before_calls_of_the_same_tool() -> None:
    assert pair_calls([("Read", "a"), ("Edit", "x")], [("Grep", "g"), ("Read", "a")]) == (
        Call("Read", "Read", True),
        Call("Edit", "Grep", False),
    )
    assert pair_calls([("Bash", "1"), ("Edit", "x")], [("Edit", "y"), ("Bash", "2")]) == (
        Call("Bash", "Bash", False),
        Call("Edit", "Edit", False),
    )


def test_a_call_too_many_or_too_few_is_paired_with_none() -> None:
    assert pair_calls([("Read", "a")], []) == (Call("Read", "", False),)
    assert pair_calls([], [("Read", "a")]) == (Call("", "Read", False),)


@given(CALLS, CALLS)
def test_every_call_is_in_exactly_one_pair(
    teacher: list[tuple[str, int]], student: list[tuple[str, int]]
) -> None:
    pairs = pair_calls(teacher, student)
    assert sorted(p.teacher for p in pairs if p.teacher) == sorted(name for name, _ in teacher)
    assert sorted(p.student for p in pairs if p.student) == sorted(name for name, _ in student)
    assert all(p.same for p in pairs) == (sorted(teacher) == sorted(student))


def test_decisions_are_counted_by_tool_position_and_context() -> None:
    found = agreement(
        [
            outcome(
                decision(Call("Read", "Read", True), position=1, context=1024),
                decision(Call("Edit", "Bash", False), position=2, context=1025),
                decision(position=3, context=5000),
            ),
            outcome(decision(Call("Read", "", False), position=1, context=1)),
        ]
    )
    assert (found.decisions.same, found.decisions.total) == (2, 4)
    assert {name: (r.same, r.total) for name, r in found.by_tool.items()} == {
        "Read": (1, 2),
        "Edit": (0, 1),
        NO_TOOL: (1, 1),
    }
    assert list(found.by_position) == ["1", "2", "3"]
    assert {name: r.total for name, r in found.by_context.items()} == {
        "<= 1k": 2,
        "<= 2k": 1,
        "<= 8k": 1,
    }
    assert found.confusion == {
        "Read": {"Read": 1, NO_TOOL: 1},
        "Edit": {"Bash": 1},
        NO_TOOL: {NO_TOOL: 1},
    }


def test_positions_far_in_are_counted_together() -> None:
    decisions = [decision(position=position) for position in (4, 5, 6, 10, 20, 50, 51, 900)]
    found = agreement([outcome(*decisions)])
    assert {name: rate.total for name, rate in found.by_position.items()} == {
        "4-5": 2,
        "6-10": 2,
        "11-20": 1,
        "21-50": 1,
        "> 50": 2,
    }


def test_a_history_that_is_too_long_for_the_model_is_no_agreement() -> None:
    found = agreement([outcome(decision(failed="too long"))])
    assert (found.decisions.same, found.decisions.total, found.failed) == (0, 1, 1)
    assert found.by_context == {}
