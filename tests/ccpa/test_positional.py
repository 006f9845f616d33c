"""The older score, rule by rule: what it takes for equal, and what it tells apart."""

from typing import Any

import pytest

from ccpa.actions import View
from ccpa.positional import PositionalDrift, positional
from tests.ccpa.sessions import Step, bash, hook, skill, trace, use


def score(ours: list[Step], theirs: list[Step]) -> float:
    return positional(trace(*ours), trace(*theirs)).score


def drifts(ours: list[Step], theirs: list[Step]) -> list[tuple[str, int, str]]:
    found = positional(trace(*ours), trace(*theirs)).drifts
    return [(one.category, one.position, one.tool_name) for one in found]


def views(*steps: Step) -> list[View]:
    return trace(*steps)


def test_an_extra_action_shifts_all_that_follow() -> None:
    ours = [bash(f"step {n}") for n in range(4)]
    assert score(ours, [bash("first"), *ours]) == 0.0


def test_extra_actions_at_the_end_cost_nothing() -> None:
    ours = [bash("a")]
    assert score(ours, [bash("a"), *(bash(f"{n}") for n in range(1000))]) == 1.0


def test_the_score_is_matched_of_the_teachers_actions() -> None:
    report = positional(views(bash("a"), bash("b"), bash("c")), views(bash("a"), bash("x")))
    assert report.score == 1 / 3
    assert (report.matched_count, report.teacher_count, report.student_count) == (1, 3, 2)
    assert report.drifts == [
        PositionalDrift("MismatchedToolInput", 1, "Bash"),
        PositionalDrift("MissingToolCall", 2, "Bash"),
    ]


def test_without_actions_of_the_teacher_all_or_nothing() -> None:
    assert score([], []) == 1.0
    assert score([], [bash("a")]) == 0.0


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([bash("a")], [], ("MissingToolCall", 0, "Bash")),
        ([hook()], [], ("MissingHookEvent", 0, "PreToolUse")),
        ([skill("s")], [], ("MissingSkillInvocation", 0, "s")),
        ([], [bash("a")], ("ExtraToolCall", 0, "Bash")),
        ([], [hook("Stop")], ("ExtraHookEvent", 0, "Stop")),
        ([], [skill("s")], ("ExtraSkillInvocation", 0, "s")),
        ([bash("a")], [use("Read", path="a")], ("MismatchedToolName", 0, "Bash")),
        ([use("Task", prompt="p")], [use("Agent", prompt="p")], ("MismatchedToolName", 0, "Task")),
        ([hook()], [bash("a")], ("MismatchedActionKind", 0, "PreToolUse")),
        ([skill("s")], [skill("t")], ("MismatchedSkillInvocation", 0, "s")),
        ([hook("Stop")], [hook("Start")], ("MismatchedHookEvent", 0, "Stop")),
    ],
)
def test_each_category_and_its_label(
    ours: list[Step], theirs: list[Step], expected: tuple[str, int, str]
) -> None:
    assert drifts(ours, theirs) == [expected]


Case = tuple[str, dict[str, Any], dict[str, Any]]
SAME: list[Case] = [
    ("Bash", {"command": " echo  'a \n b' ;;"}, {"command": "echo 'a b' ;"}),
    ("Bash", {"command": "a\u00a0b\u2003c"}, {"command": "a b c"}),
    ("Bash", {"command": "ls", "run_in_background": True}, {"command": "ls"}),
    ("Bash", {"command": 7}, {}),
    ("Read", {"path": "a", "offset": -1}, {"path": "a"}),
    ("Read", {"path": "a", "limit": 2.0}, {"path": "a", "limit": True}),
    ("Read", {"file_path": "a"}, {"file_path": "b"}),
    ("Write", {"path": "a"}, {"path": "a", "content": ""}),
    ("Edit", {"path": "a", "replace_all": True}, {"path": "a"}),
    (
        "Edit",
        {"path": "a", "post_state_sha256": "x", "new_string": "1"},
        {"path": "a", "post_state_sha256": "x", "new_string": "2"},
    ),
    ("Glob", {"pattern": "a", "path": "x"}, {"pattern": "a", "path": "y"}),
    ("Grep", {"pattern": " a\n", "-i": True}, {"pattern": "a", "regex": 1}),
    ("Agent", {"subagent_type": "x", "isolation": "w"}, {"subagent_type": "x", "prompt": ""}),
    ("Other", {"a": 1, "b": [1.5]}, {"b": [1.5], "a": 1}),
    ("Other", {"a": 1 << 70}, {"a": float(1 << 70)}),
]
DIFFERENT: list[Case] = [
    ("Bash", {"command": "ls ; -a"}, {"command": "ls -a"}),
    ("Bash", {"command": "a\x1cb"}, {"command": "a b"}),  # no white space in Unicode
    ("Bash", {"command": "ls "}, {"command": "Ls"}),
    ("Read", {"path": "a"}, {"path": "./a"}),
    ("Read", {"path": "a", "offset": 0}, {"path": "a"}),
    ("Read", {"path": "a", "limit": 1}, {"path": "a"}),
    ("Write", {"path": "a", "content": "x"}, {"path": "a", "content": "x\n"}),
    ("Write", {"path": "a", "content": "x"}, {"path": "b", "content": "x"}),
    ("Edit", {"path": "a", "old_string": "x"}, {"path": "a"}),
    ("Edit", {"path": "a", "new_string": "x"}, {"path": "a"}),
    ("Edit", {"path": "a"}, {"path": "b"}),
    (
        "Edit",
        {"path": "a", "post_state_sha256": "x"},
        {"path": "b", "post_state_sha256": "x"},
    ),
    ("Edit", {"path": "a", "post_state_sha256": "x"}, {"path": "a", "post_state_sha256": "y"}),
    (
        "Edit",
        {"path": "a", "post_state_sha256": "x", "new_string": "1"},
        {"path": "a", "new_string": "2"},
    ),
    ("Glob", {"pattern": "a "}, {"pattern": "a"}),
    ("Grep", {"pattern": "a"}, {"pattern": "b"}),
    ("Grep", {"pattern": "a", "path": "x"}, {"pattern": "a"}),
    ("Grep", {"pattern": "a", "regex": True}, {"pattern": "a"}),
    ("Agent", {"subagent_type": "x"}, {"subagent_type": "X"}),
    ("Agent", {"prompt": "x"}, {"prompt": "x "}),
    ("Other", {"a": 1}, {"a": 1.0}),
    ("Other", {"a": 1}, {"a": True}),
    ("Other", {"a": "1"}, {"a": 1}),
    ("Other", {"a": None}, {}),
    ("Other", {"a": [1, 2]}, {"a": [2, 1]}),
    ("Other", {"a": {"b": 1}}, {"a": {"b": 2}}),
]


@pytest.mark.parametrize(("tool", "left", "right"), SAME)
def test_inputs_that_the_older_rules_take_for_equal(
    tool: str, left: dict[str, Any], right: dict[str, Any]
) -> None:
    assert score([use(tool, raw=left)], [use(tool, raw=right)]) == 1.0


@pytest.mark.parametrize(("tool", "left", "right"), DIFFERENT)
def test_inputs_that_the_older_rules_tell_apart(
    tool: str, left: dict[str, Any], right: dict[str, Any]
) -> None:
    assert score([use(tool, raw=left)], [use(tool, raw=right)]) == 0.0
    assert score([use(tool, raw=right)], [use(tool, raw=left)]) == 0.0


@pytest.mark.parametrize(
    ("field", "value"), [("matcher", "*"), ("decision", "warn"), ("exit_code", 5), ("output", "x")]
)
def test_each_field_of_a_hook_counts_and_white_space_in_its_output_does_not(
    field: str, value: Any
) -> None:
    assert score([hook(output=" a  b;")], [hook(output="a b")]) == 1.0
    assert score([hook()], [hook(**{field: value})]) == 0.0


def test_each_field_of_a_skill_counts() -> None:
    assert score([skill("s")], [skill("s", "auto_matched")]) == 0.0
    assert score([skill("s")], [skill("s", instructions_injected=True)]) == 0.0
