import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccpa.actions import session
from ccpa.compare import compare
from ccpa.equivalence import MAX_DEPTH, RULES, Key, Malformed, key, tool_key
from ccpa.paths import Root
from tests.ccpa.sessions import PROJECT, bash, hook, skill, trace, use

ROOT = Root(PROJECT)


def keyed(tool: str, **tool_input: Any) -> Key:
    view = trace(use(tool, **tool_input))
    return key(session(view).actions[0], ROOT)


def same(tool: str, left: dict[str, Any], right: dict[str, Any]) -> bool:
    return keyed(tool, raw=left) == keyed(tool, raw=right)


SAME: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Read", {"file_path": "a.py"}, {"path": f"{PROJECT}/./a.py"}),
    ("Read", {"file_path": "a.py"}, {"notebook_path": "a.py"}),
    ("Read", {"file_path": "a.py", "offset": 0}, {"file_path": "a.py", "offset": 1}),
    ("Read", {"file_path": "a.py", "offset": None}, {"file_path": "a.py"}),
    ("Read", {"file_path": "a.py", "offset": 0}, {"file_path": "a.py"}),
    ("Read", {"file_path": "a.py", "limit": 5.0}, {"file_path": "a.py", "limit": 5}),
    ("Write", {"file_path": "a", "content": "x"}, {"path": "a", "content": "x"}),
    (
        "Edit",
        {"file_path": "a", "old_string": "x", "new_string": "y", "replace_all": False},
        {"path": "a", "old_string": "x", "new_string": "y"},
    ),
    ("Bash", {"command": "ls", "timeout": 5, "description": "d"}, {"command": "ls  ;"}),
    ("Bash", {"command": "ls", "run_in_background": False}, {"command": "ls"}),
    ("Bash", {"command": "ls", "run_in_background": None}, {"command": "ls"}),
    ("Bash", {"command": f"cat {PROJECT}/a"}, {"command": f"cat '{PROJECT}/a'"}),
    ("Glob", {"pattern": "*.py"}, {"pattern": "*.py", "path": PROJECT}),
    ("Grep", {"pattern": "x"}, {"pattern": "x", "path": ".", "-n": True, "-i": False}),
    ("Grep", {"pattern": "x"}, {"pattern": "x", "output_mode": "files_with_matches"}),
    ("Grep", {"pattern": "x", "-C": 2}, {"pattern": "x", "-A": 2, "-B": 2}),
    ("Grep", {"pattern": "x", "context": 2}, {"pattern": "x", "-C": 2}),
    ("Grep", {"pattern": "x", "offset": 0, "-C": 0}, {"pattern": "x", "-A": 0}),
    ("Agent", {"prompt": "p"}, {"prompt": "p", "subagent_type": "General-Purpose", "model": "m"}),
    ("Agent", {"prompt": "p", "description": "a"}, {"prompt": "p", "description": "b"}),
    ("Skill", {"skill": "s"}, {"skill": "s", "args": ""}),
    ("NotebookEdit", {"path": "n", "new_source": "x"}, {"notebook_path": "./n", "new_source": "x"}),
    (
        "NotebookEdit",
        {"notebook_path": "n", "new_source": "x", "edit_mode": "replace"},
        {"notebook_path": "n", "new_source": "x"},
    ),
    (
        "NotebookEdit",
        {"notebook_path": "n", "cell_id": "c", "edit_mode": "delete"},
        {"path": "n", "cell_id": "c", "edit_mode": "delete"},
    ),
    (
        "WebSearch",
        {"query": "q", "allowed_domains": ["a", "b"]},
        {"query": "q", "allowed_domains": ["b", "a", "a"], "blocked_domains": []},
    ),
    ("TaskOutput", {"task_id": "1", "block": True}, {"bash_id": "1", "block": True}),
    ("TaskStop", {"task_id": "1"}, {"shell_id": "1"}),
    ("WebFetch", {"url": "u", "prompt": "p"}, {"prompt": "p", "url": "u"}),
    ("mcp__x__y", {"a": 1, "b": [1.0]}, {"b": [1], "a": 1.0}),
    ("mcp__x__y", {"path": f"{PROJECT}/a"}, {"path": "a"}),
    ("mcp__x__y", {}, {}),
]
DIFFERENT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Read", {"file_path": "a"}, {"file_path": "b"}),
    ("Read", {"file_path": "a"}, {"file_path": "a", "offset": 2}),
    ("Read", {"file_path": "a"}, {"file_path": "a", "limit": 2}),
    ("Read", {"file_path": "a", "limit": 1}, {"file_path": "a", "limit": True}),
    ("Read", {"file_path": "a", "limit": 1}, {"file_path": "a", "limit": "1"}),
    ("Read", {"file_path": "a", "limit": "1"}, {"file_path": "a", "limit": "2"}),
    ("Read", {"file_path": "a"}, {"file_path": "a", "pages": "1-2"}),
    ("Read", {"file_path": "a", "pages": [1]}, {"file_path": "a", "pages": [2]}),
    ("Write", {"path": "a", "content": "x"}, {"path": "a", "content": "x\n"}),
    ("Write", {"path": "a", "content": "x"}, {"path": "b", "content": "x"}),
    (
        "Edit",
        {"path": "a", "old_string": "x", "new_string": "y"},
        {"path": "a", "old_string": "x", "new_string": "y", "replace_all": True},
    ),
    (
        "Edit",
        {"path": "a", "old_string": "x", "new_string": "y"},
        {"path": "a", "old_string": "z", "new_string": "y"},
    ),
    (
        "Edit",
        {"path": "a", "old_string": "x", "new_string": "y"},
        {"path": "a", "old_string": "x", "new_string": "z"},
    ),
    ("Bash", {"command": "ls"}, {"command": "ls", "run_in_background": True}),
    ("Bash", {"command": "ls"}, {"command": "ls", "run_in_background": "true"}),
    ("Bash", {"command": "ls", "run_in_background": 1}, {"command": "ls", "run_in_background": 2}),
    (
        "Bash",
        {"command": "ls", "run_in_background": 1},
        {"command": "ls", "run_in_background": True},
    ),
    ("Bash", {"command": "ls", "run_in_background": True}, {"command": "ls"}),
    ("Glob", {"pattern": "*.py"}, {"pattern": "*.pyi"}),
    ("Glob", {"pattern": "*.py"}, {"pattern": "*.py", "path": "src"}),
    *[
        ("Grep", {"pattern": "x"}, {"pattern": "x", name: value})
        for name, value in {
            "path": "src",
            "glob": "*.py",
            "type": "py",
            "output_mode": "content",
            "-i": True,
            "-o": True,
            "-A": 1,
            "-B": 1,
            "-C": 1,
            "multiline": True,
            "head_limit": 5,
            "offset": 3,
        }.items()
    ],
    ("Grep", {"pattern": "x", "-A": 1}, {"pattern": "x", "-B": 1}),
    ("Agent", {"prompt": "p"}, {"prompt": "p "}),
    ("Agent", {"prompt": "p"}, {"prompt": "p", "subagent_type": "Explore"}),
    ("Agent", {"prompt": "p"}, {"prompt": "p", "isolation": "worktree"}),
    ("Agent", {"prompt": "p"}, {"prompt": "p", "run_in_background": True}),
    ("Skill", {"skill": "s"}, {"skill": "s", "args": "x"}),
    ("Skill", {"skill": "s", "args": 1}, {"skill": "s", "args": True}),
    ("Skill", {"skill": "s"}, {"skill": "t"}),
    ("TaskOutput", {"task_id": "1"}, {"task_id": "1", "block": False}),
    ("TaskOutput", {"task_id": "1"}, {"task_id": "1", "filter": "x"}),
    *[
        (
            "NotebookEdit",
            {"path": "n", "new_source": "x"},
            {"path": "n", "new_source": "x", name: value},
        )
        for name, value in {
            "cell_id": "c",
            "cell_type": "markdown",
            "edit_mode": "insert",
            "new_source": "y",
            "path": "m",
        }.items()
    ],
    ("WebFetch", {"url": "u", "prompt": "p"}, {"url": "u", "prompt": "q"}),
    ("WebFetch", {"url": "u"}, {"url": "v"}),
    ("WebSearch", {"query": "q"}, {"query": "r"}),
    ("WebSearch", {"query": "q", "allowed_domains": ["a"]}, {"query": "q"}),
    (
        "WebSearch",
        {"query": "q", "allowed_domains": ["a"]},
        {"query": "q", "blocked_domains": ["a"]},
    ),
    ("WebSearch", {"query": "q"}, {"query": "q", "blocked_domains": ["a"]}),
    ("WebSearch", {"query": "q", "allowed_domains": "ab"}, {"query": "q", "allowed_domains": "ba"}),
    ("TodoWrite", {"todos": [1, 2]}, {"todos": [2, 1]}),
    ("mcp__x__y", {"a": 1}, {"a": "1"}),
    ("mcp__x__y", {"a": True}, {"a": 1}),
    ("mcp__x__y", {"a": None}, {}),
    ("mcp__x__y", {"path": "/x/"}, {"path": "/x"}),
]
LACKING: list[tuple[str, dict[str, Any]]] = [
    ("Read", {"offset": 1}),
    ("Read", {"file_path": 3}),
    ("Read", {"file_path": ""}),
    ("Write", {"file_path": "a"}),
    ("Write", {"content": "x"}),
    ("Write", {"file_path": "a", "content": None}),
    ("Edit", {"file_path": "a", "old_string": "x"}),
    ("Edit", {"file_path": "a", "new_string": "x"}),
    ("Edit", {"old_string": "x", "new_string": "y"}),
    ("Bash", {"description": "d"}),
    ("Bash", {"command": ["ls"]}),
    ("Glob", {"path": "src"}),
    ("Grep", {"path": "src"}),
    ("Agent", {"subagent_type": "Explore"}),
    ("Agent", {"prompt": "p", "subagent_type": 7}),
    ("Skill", {"args": "x"}),
    ("NotebookEdit", {"new_source": "x"}),
    ("NotebookEdit", {"notebook_path": "n"}),
    ("WebFetch", {"prompt": "p"}),
    ("WebSearch", {}),
    ("TaskOutput", {"block": True}),
    ("TaskStop", {}),
    ("TaskStop", {"task_id": ""}),
    ("TaskStop", {"task_id": 7}),
]


@pytest.mark.parametrize(("tool", "left", "right"), SAME)
def test_what_does_not_matter_is_forgiven(
    tool: str, left: dict[str, Any], right: dict[str, Any]
) -> None:
    assert same(tool, left, right)


@pytest.mark.parametrize(("tool", "left", "right"), DIFFERENT)
def test_what_differs_is_told_apart(tool: str, left: dict[str, Any], right: dict[str, Any]) -> None:
    assert not same(tool, left, right)


@pytest.mark.parametrize(
    ("tool", "one"), [(tool, one) for tool, *both in DIFFERENT for one in both]
)
def test_what_makes_sense_is_the_same_as_itself(tool: str, one: dict[str, Any]) -> None:
    assert same(tool, one, one)
    assert hash(keyed(tool, raw=one)) == hash(keyed(tool, raw=one))


@pytest.mark.parametrize(("tool", "lacking"), LACKING)
def test_a_call_without_its_input_equals_nothing_not_even_its_like(
    tool: str, lacking: dict[str, Any]
) -> None:
    assert isinstance(keyed(tool, raw=lacking), Malformed)
    assert not same(tool, lacking, lacking)


@pytest.mark.parametrize("raw", [b"[]", b'"ls"', b"null", b"{", b"{" * 5000, b'{"a":' * 5000])
def test_an_input_that_is_no_object_equals_nothing(raw: bytes) -> None:
    assert isinstance(tool_key("Bash", raw, ROOT), Malformed)


@pytest.mark.parametrize("opening", ["[", '{"b":'])
def test_an_input_nested_too_deep_equals_nothing(opening: str) -> None:
    closing = {"[": "]", '{"b":': "}"}[opening]
    for depth, sound in ((MAX_DEPTH - 1, True), (MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
        below = depth - 1  # the input itself is the first
        raw = '{"a":' + opening * below + "1" + closing * below + ', "b": 1}'
        assert isinstance(tool_key("mcp__x__y", raw.encode(), ROOT), Malformed) is not sound


def test_many_values_are_not_taken_for_deep_ones() -> None:
    deepest = "[" * (MAX_DEPTH - 1) + "1" + "]" * (MAX_DEPTH - 1)
    for one in (deepest, "[[1],[[]]]", '[{"b":1},{"b":{}}]'):
        raw = '{"a":' + one + ',"b":[' + ",".join(["[1]"] * MAX_DEPTH) + "]}"
        assert not isinstance(tool_key("mcp__x__y", raw.encode(), ROOT), Malformed)


def test_every_rule_is_tried_above() -> None:
    tried = {tool for tool, _, _ in SAME + DIFFERENT} | {tool for tool, _ in LACKING}
    assert set(RULES) <= tried


@pytest.mark.parametrize(
    ("old", "new"), [("Task", "Agent"), ("BashOutput", "TaskOutput"), ("KillShell", "TaskStop")]
)
def test_a_tool_under_its_older_name_is_the_same_tool(old: str, new: str) -> None:
    tool_input = {"prompt": "p", "task_id": "1"}
    assert keyed(old, raw=tool_input) == keyed(new, raw=tool_input)


def test_two_tools_with_the_same_input_are_two_actions() -> None:
    assert keyed("Glob", pattern="x") != keyed("Grep", pattern="x")
    assert keyed("A", x=1) != keyed("B", x=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event", "Stop"),
        ("decision", "warn"),
        ("matcher", "Bash"),
        ("output", "x"),
        ("exit_code", 3),
    ],
)
def test_each_field_of_a_hook_counts(field: str, value: Any) -> None:
    left = session(trace(hook())).actions[0]
    right = session(trace(hook(**{field: value}))).actions[0]
    assert key(left, ROOT) == key(left, ROOT)
    assert key(left, ROOT) != key(right, ROOT)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"output": "a  b\n"}, {"output": "a b"}),
        ({}, {"output": ""}),
        ({}, {"matcher": "*"}),
        ({"matcher": ""}, {"matcher": "*"}),
    ],
)
def test_white_space_and_the_spelling_of_every_tool_do_not_count_in_a_hook(
    left: dict[str, Any], right: dict[str, Any]
) -> None:
    ours, theirs = (session(trace(hook(**one))).actions[0] for one in (left, right))
    assert key(ours, ROOT) == key(theirs, ROOT)


def test_what_a_hook_said_is_kept_word_by_word() -> None:
    said, silent = session(trace(hook(output=" a\n b "), hook())).actions
    assert key(said, ROOT) == ("hook_event", ("PreToolUse", "*", "allow", 0, "a b"))
    assert key(silent, ROOT) == ("hook_event", ("PreToolUse", "*", "allow", 0, ""))


def test_a_path_is_inside_whether_or_not_the_root_ends_in_a_slash() -> None:
    roots = [("/srv/app", "/srv/app/a"), ("/srv/app/", "/srv/app/a"), ("/", "/a")]
    for root, inside in ((Root(cwd), inside) for cwd, inside in roots):
        raw = [json.dumps({"path": path}).encode() for path in (inside, "a", "/srv/application/a")]
        ours, theirs, beside = (tool_key("mcp__x__y", one, root) for one in raw)
        assert ours == theirs
        assert ours != beside


def test_each_field_of_a_skill_counts() -> None:
    keys = [
        key(session(trace(one)).actions[0], ROOT)
        for one in (
            skill("a"),
            skill("b"),
            skill("a", "auto_matched"),
            skill("a", instructions_injected=True),
        )
    ]
    assert len(set(keys)) == 4


def test_a_background_task_is_known_by_its_number_not_by_its_id() -> None:
    ours = [use("TaskOutput", task_id="b7f"), use("TaskOutput", task_id="c1")]
    theirs = [use("BashOutput", bash_id="bash_1"), use("BashOutput", bash_id="bash_2")]
    assert compare(trace(*ours), trace(*theirs)).drifts == []
    crossed = [use("TaskOutput", task_id="x"), use("TaskOutput", task_id="x")]
    assert len(compare(trace(*ours), trace(*crossed)).drifts) == 1


NAMES = st.sampled_from(
    [
        "file_path",
        "path",
        "content",
        "old_string",
        "new_string",
        "replace_all",
        "command",
        "pattern",
        "prompt",
        "subagent_type",
        "offset",
        "limit",
        "-i",
        "-C",
        "skill",
        "url",
        "query",
        "run_in_background",
        "description",
        "task_id",
        "new_source",
        "edit_mode",
        "x",
    ]
)
VALUES = st.one_of(
    st.sampled_from(["", "a", "./a", f"{PROJECT}/a", "ls", "ls ;", "ls 'a'", "x\ny", "Explore"]),
    st.integers(0, 2),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.lists(st.integers(0, 1), max_size=2),
)
INPUTS = st.dictionaries(NAMES, VALUES, max_size=5)
TOOLS = st.sampled_from([*RULES, "mcp__x__y", "TodoWrite"])


@given(TOOLS, INPUTS)
def test_every_rule_is_reflexive_unless_input_is_lacking(
    tool: str, tool_input: dict[str, Any]
) -> None:
    one, other = keyed(tool, raw=tool_input), keyed(tool, raw=dict(reversed(tool_input.items())))
    if isinstance(one, Malformed):
        assert one != other
    else:
        assert one == other
        assert hash(one) == hash(other)


@given(TOOLS, INPUTS, INPUTS, INPUTS)
def test_every_rule_is_symmetric_and_transitive(
    tool: str, a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]
) -> None:
    # Inputs that share most of their fields, so that some of them are equal.
    x, y, z = (keyed(tool, raw=a | one) for one in (b, c, {}))
    assert (x == y) is (y == x)
    if x == y and y == z:
        assert x == z


@given(
    st.lists(st.tuples(TOOLS, INPUTS), max_size=5), st.lists(st.tuples(TOOLS, INPUTS), max_size=5)
)
def test_whole_streams_are_keyed_as_single_actions_are(
    ours: list[tuple[str, dict[str, Any]]], theirs: list[tuple[str, dict[str, Any]]]
) -> None:
    traces = [trace(*(use(tool, raw=one) for tool, one in side)) for side in (ours, theirs)]
    found = compare(*traces)
    background = {"TaskOutput", "TaskStop"}  # these are known by their number in the stream
    for left, one in zip(found.teacher.keys, found.teacher.session.actions, strict=True):
        for right, other in zip(found.student.keys, found.student.session.actions, strict=True):
            if one.name not in background:
                assert (left == right) is (key(one, ROOT) == key(other, ROOT))


def test_all_that_is_forgiven_is_forgiven_in_one_stream() -> None:
    ours = trace(*(use(tool, raw=left) for tool, left, _ in SAME))
    theirs = trace(*(use(tool, raw=right) for tool, _, right in SAME))
    assert compare(ours, theirs).drifts == []


def test_the_same_bytes_in_another_directory_are_looked_at_anew() -> None:
    step = bash(f"cat {PROJECT}/a")
    assert compare(trace(step), trace(step)).drifts == []
    assert len(compare(trace(step), trace(step, cwd="/elsewhere")).drifts) == 1
    moved = json.loads(json.dumps(step).replace(PROJECT, "/elsewhere"))
    assert compare(trace(step), trace(moved, cwd="/elsewhere")).drifts == []
