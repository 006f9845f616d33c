"""Whatever a model calls, the editor is told of it in messages that it can read."""

import json
from pathlib import Path
from typing import Any

import pytest
from acp import schema
from acp.utils import serialize_params
from hypothesis import given
from hypothesis import strategies as st

from apr.acp.folders import Folders
from apr.acp.prompts import title_of
from apr.acp.updates import Telling
from apr.acp.wire import encoded
from apr.agent.events import Retracted, TextDelta, ToolProgress
from ccpa.trace import AssistantTurn, ToolResult, ToolUseBlock

values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
inputs = st.dictionaries(
    st.sampled_from(
        ["file_path", "path", "offset", "old_string", "new_string", "content", "todos", "command"]
    ),
    values | st.lists(st.dictionaries(st.sampled_from(["content", "status"]), values)),
)
tools = st.sampled_from(["Read", "Edit", "Write", "TodoWrite", "Bash", "mcp__a__b", "\x1b[2J"])


def sent(telling: Telling, event: Any) -> list[dict[str, Any]]:
    """Return the updates as the editor reads them."""
    told = [
        serialize_params(schema.SessionNotification(session_id="s", update=update))
        for update in telling.updates(event)
    ]
    return [json.loads(encoded(one))["update"] for one in told]


def turn(name: str, given: dict[str, Any]) -> AssistantTurn:
    block = ToolUseBlock("t", name, given)
    return AssistantTurn(v=1, turn=1, blocks=[block], stop_reason="tool_use")


@given(tools, inputs)
def test_every_call_is_told(name: str, given: dict[str, Any]) -> None:
    first, *_ = sent(Telling(Folders(["/"])), turn(name, given))
    assert first["sessionUpdate"] == "tool_call"
    assert first["status"] == "pending"
    assert "\x1b" not in first["title"]


def test_a_difference_stays_when_the_edit_is_done_and_goes_when_it_failed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x\ny\n")
    edit = turn("Edit", {"file_path": "a.py", "old_string": "y", "new_string": "z"})
    for ok, kept in ((True, True), (False, False)):
        telling = Telling(Folders([str(tmp_path)]))
        (called,) = sent(telling, edit)
        assert called["locations"] == [{"path": str(tmp_path / "a.py"), "line": 2}]
        result = ToolResult(v=1, turn=2, tool_use_id="t", ok=ok, content="done")
        (answered,) = sent(telling, result)
        assert ("content" not in answered) is kept
        assert answered["status"] == ("completed" if ok else "failed")


def test_a_file_that_is_written_anew_is_compared_with_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("old\n")
    for name, before in (("a.py", "old\n"), ("b.py", None)):
        (called,) = sent(
            Telling(Folders([str(tmp_path)])), turn("Write", {"file_path": name, "content": "new"})
        )
        (diff,) = called["content"]
        assert (diff.get("oldText"), diff["newText"]) == (before, "new")


@pytest.mark.parametrize("name", ["~/notes.md", "../notes.md", "link/notes.md", "x/../../notes.md"])
def test_a_person_sees_the_file_that_would_be_written_and_no_other_name_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (tmp_path / "notes.md").write_text("old\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    write = ToolUseBlock("t", "Write", {"file_path": name, "content": "new\n"})
    asked = Telling(Folders([str(root)])).asked(write, "")
    (diff,), (place,) = asked.content or [], asked.locations or []
    assert isinstance(diff, schema.FileEditToolCallContent)
    assert (diff.path, diff.old_text) == (str(tmp_path / "notes.md"), "old\n")
    assert place.path == diff.path


def test_output_of_a_running_tool_adds_up() -> None:
    telling = Telling(Folders(["/"]))
    for text, shown in (("a", "a"), ("b", "ab"), ("c" * 20_000, "c" * 16_000)):
        (update,) = sent(telling, ToolProgress("t", text))
        assert update["content"][0]["content"]["text"] == shown


def test_an_answer_that_breaks_off_is_said_to_come_again() -> None:
    telling = Telling(Folders(["/"]))
    texts = [sent(telling, event)[0]["content"]["text"] for event in (TextDelta("a"), Retracted())]
    assert "comes again" in texts[1]


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("fix add\n\nplease", "fix add"),
        ("x" * 100, "x" * 79 + "…"),
        ('<file path="/a/b c.py">\nprint()\n</file>', "b c.py"),
        ("", ""),
    ],
)
def test_a_session_is_called_by_its_first_line(prompt: str, title: str) -> None:
    assert title_of(prompt) == title
