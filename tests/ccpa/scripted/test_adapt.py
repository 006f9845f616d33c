"""A recording fitted to the client's tools and to the run's directory."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccpa.errors import CcpaError
from ccpa.scripted.adapt import Adaptation, Offered
from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import TextBlock, ThinkingBlock, ToolUseBlock
from tests.ccpa.scripted.talk import calls, messages, prompt, says, text, turn, user

HERE = Adaptation(paths={"/workspace": "/tmp/run-1"})


@pytest.mark.parametrize(
    ("recorded", "actual"),
    [
        ("/workspace", "/tmp/run-1"),
        ("/workspace/", "/tmp/run-1/"),
        ("/workspace/src/a.py", "/tmp/run-1/src/a.py"),
        ("cd /workspace && ls /workspace/src", "cd /tmp/run-1 && ls /tmp/run-1/src"),
        ("cat '/workspace/a b' \"/workspace\"", "cat '/tmp/run-1/a b' \"/tmp/run-1\""),
        ("x --out=/workspace/x -I/usr", "x --out=/tmp/run-1/x -I/usr"),
        ("PATH=/bin:/workspace/bin:$PATH", "PATH=/bin:/tmp/run-1/bin:$PATH"),
        ("(cd /workspace; ls)>/workspace/l", "(cd /tmp/run-1; ls)>/tmp/run-1/l"),
        ("file:///workspace/a", "file:///tmp/run-1/a"),
        ("It is in `/workspace/a`, see /workspace.", "It is in `/tmp/run-1/a`, see /tmp/run-1."),
        ("/workspace\n/workspace", "/tmp/run-1\n/tmp/run-1"),
        ("/workspace/../workspace/a", "/tmp/run-1/../workspace/a"),
        ("/workspace/workspace", "/tmp/run-1/workspace"),
    ],
)
def test_the_recorded_directory_becomes_the_runs(recorded: str, actual: str) -> None:
    assert HERE.text(recorded) == actual


@pytest.mark.parametrize(
    "text",
    [
        "/workspace2/a",
        "/workspaces",
        "/workspaceé",
        "/workspace-old/a",
        "/workspace.bak",
        "/workspace..",
        "/workspace_1",
        "/workspace~",
        "/workspace\\ old",
        "/srv/workspace",
        "//workspace",
        "./workspace",
        "../workspace",
        "~/workspace",
        "$HOME/workspace",
        "${HOME}/workspace",
        '"$HOME"/workspace',
        "$(pwd)/workspace",
        "*/workspace",
        "a/workspace/b",
        "https://example.com/workspace",
        "workspace",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert HERE.text(text) == text


@given(st.text(), st.text())
def test_text_without_the_directory_is_never_touched(before: str, after: str) -> None:
    said = f"{before}{after}"
    if "/workspace" not in said:
        assert HERE.text(said) == said


def test_of_two_directories_the_more_exact_one_is_replaced_and_nothing_twice() -> None:
    both = Adaptation(paths={"/a": "/a/b", "/a/b/": "/c/"})
    assert both.text("/a /a/b /a/b/x /a/x") == "/a/b /c /c/x /a/b/x"


def test_inputs_of_any_depth_are_rewritten_but_contents_of_files_are_not() -> None:
    given_: dict[str, Any] = {
        "file_path": "/workspace/a",
        "content": "root = '/workspace'",
        "old_string": "/workspace",
        "new_string": "/workspace/x",
        "new_source": "/workspace",
        "edits": [{"file_path": "/workspace/b", "old_string": "/workspace"}],
        "/workspace": ["/workspace", 1, None, {"deep": "/workspace/d"}],
    }
    said = turn(ToolUseBlock("t", "Write", given_))
    rewritten = HERE.turn(said, ()).blocks[0]
    assert isinstance(rewritten, ToolUseBlock)
    assert rewritten.input == {
        **given_,
        "file_path": "/tmp/run-1/a",
        "edits": [{"file_path": "/tmp/run-1/b", "old_string": "/workspace"}],
        "/workspace": ["/tmp/run-1", 1, None, {"deep": "/tmp/run-1/d"}],
    }
    asked_for = Adaptation(paths=HERE.paths, contents=True).turn(said, ()).blocks[0]
    assert isinstance(asked_for, ToolUseBlock)
    assert asked_for.input["content"] == "root = '/tmp/run-1'"


def test_answers_are_rewritten_and_thinking_is_not() -> None:
    said = HERE.turn(turn(ThinkingBlock("/workspace"), TextBlock("/workspace")), ())
    assert said.blocks == [ThinkingBlock("/workspace"), TextBlock("/tmp/run-1")]


@pytest.mark.parametrize("actual", ["relative", "/tmp/a b", "/tmp/$x", "/tmp/it's", "/", ""])
def test_a_directory_that_a_shell_would_take_apart_is_refused(actual: str) -> None:
    with pytest.raises(CcpaError, match="a shell would take it apart"):
        Adaptation(paths={"/workspace": actual})


@pytest.mark.parametrize("recorded", ["workspace", "/", ""])
def test_what_is_no_directory_cannot_be_replaced(recorded: str) -> None:
    with pytest.raises(CcpaError, match="not an absolute directory"):
        Adaptation(paths={recorded: "/tmp/x"})


@pytest.mark.parametrize(
    ("recorded", "offered", "served"),
    [
        ("Agent", ("Task", "Read"), "Task"),
        ("Task", ("Agent",), "Agent"),
        ("Agent", ("Agent", "Task"), "Agent"),
        ("KillShell", ("TaskStop",), "TaskStop"),
        ("Read", ("read_file",), "read_file"),
        ("Read", ("read_file", "Read"), "read_file"),
        ("Read", ("Read",), "Read"),
        ("Edit", ("read_file",), "Edit"),
        ("Read", (), "Read"),
    ],
)
def test_a_tool_has_the_name_that_the_client_offers(
    recorded: str, offered: tuple[str, ...], served: str
) -> None:
    table = {"Read": Offered("read_file", {"file_path": "absolute_path"})}
    said = Adaptation(tools=table).turn(
        turn(ToolUseBlock("t", recorded, {"file_path": "/a", "limit": 1})), offered
    )
    key = "absolute_path" if served == "read_file" else "file_path"
    assert said.blocks == [ToolUseBlock("t", served, {key: "/a", "limit": 1})]


def test_a_subagents_prompt_is_known_as_the_run_spells_it() -> None:
    task = {"prompt": "Read /workspace/a.", "subagent_type": "Explore"}
    records = [
        prompt("Look into /workspace."),
        calls(("t1", "Agent", task)),
        says("It is in /workspace/a.", 1, "t1"),
        says("Looked.", 3),
    ]
    model = ScriptedModel(Script.from_trace(records), adaptation=HERE)
    with serving(model) as url:
        first = messages(url, user("Look into /tmp/run-1."), tools=("Task",))
        call = first["content"][0]
        assert call["name"] == "Task"
        assert text(messages(url, user(call["input"]["prompt"]))) == "It is in /tmp/run-1/a."
