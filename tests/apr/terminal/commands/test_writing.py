"""The conversation in files: Markdown, traces, and never over another file by accident."""

import json
from pathlib import Path

import pytest

from apr.errors import AprError
from apr.sessions.exporting import fenced
from apr.terminal.commands.writing import put, tail
from ccpa.trace import AssistantTurn, SessionEnd, SessionStart, UserPrompt
from tests.apr.program import problems, records
from tests.apr.terminal.commands.conftest import Sit

READ = ("Read", {"file_path": "src/calc.py"})


async def test_a_conversation_is_written_as_markdown(sit: Sit, project: Path) -> None:
    edit = ("Edit", {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"})
    run = ("Bash", {"command": "ls *.py"})
    person = sit({"look": [READ, edit, run, "It subtracts."]}, persist=True)
    await person.prompt("look")
    await person.type("/rename The look")
    assert "is written to" in await person.type("/export talk.md")
    text = (project / "talk.md").read_text()
    assert text.startswith("# The look\n")
    assert "## You\n\nlook\n" in text
    assert "**●** `Read src/calc.py`" in text
    assert "return a - b\n```" in text
    assert "```diff\n-a - b\n+a + b\n```" in text
    assert "```\nls *.py\n```" in text
    assert text.endswith("## The agent\n\nIt subtracts.\n")
    await person.desk.assembled.close()


async def test_without_a_name_the_file_gets_one(sit: Sit, project: Path) -> None:
    person = sit({"hi": ["Hello."]})
    await person.prompt("hi")
    await person.type("/export")
    (path,) = project.glob("conversation-*.md")
    assert "Hello." in path.read_text()


async def test_no_file_is_written_over_unless_that_is_wanted(sit: Sit, project: Path) -> None:
    person = sit({"hi": ["Hello."]})
    await person.prompt("hi")
    shown = await person.type("/export README.md")
    assert "README.md is there already: --force writes over it" in shown.replace("\n", " ")
    assert (project / "README.md").read_text().startswith("# Calc")
    await person.type("/export README.md --force")
    assert "Hello." in (project / "README.md").read_text()
    assert [path.name for path in project.iterdir() if path.name.startswith(".README")] == []


async def test_where_nothing_can_be_written_it_is_said(sit: Sit) -> None:
    person = sit()
    assert "no directory for nowhere/x.md" in await person.type("/export nowhere/x.md")
    assert "is a directory" in await person.type("/export src")


async def test_a_trace_begins_with_what_was_and_goes_on(sit: Sit, project: Path) -> None:
    person = sit({"look": [READ, "It subtracts.", "Thanks."]}, persist=True)
    await person.prompt("look")
    shown = await person.type("/trace run.ccpa-trace.jsonl")
    assert "records so far, and gets each that comes" in shown.replace("\n", " ")
    path = project / "run.ccpa-trace.jsonl"
    assert problems(path, prefix=True) == []
    await person.prompt("thank you")
    written = records(path)
    assert isinstance(written[0], SessionStart)
    assert [r.text for r in written if isinstance(r, UserPrompt)] == ["look", "thank you"]
    assert len([r for r in written if isinstance(r, AssistantTurn)]) == 3
    shown = await person.type("/trace")
    assert "user_prompt  thank you" in shown
    assert "tool_result  ok: 1 def add(a, b):" in shown
    assert "is written already" in await person.type("/trace other.jsonl")
    await person.desk.assembled.close()


async def test_a_trace_is_not_written_over_another_file(sit: Sit, project: Path) -> None:
    person = sit(persist=True)
    assert "is there already" in await person.type("/trace README.md")
    assert (project / "README.md").read_text().startswith("# Calc")
    assert "No trace is written" in await person.type("/trace")
    await person.desk.assembled.close()


async def test_a_session_that_is_not_stored_cannot_begin_a_trace(sit: Sit) -> None:
    assert "--emit-trace" in await sit().type("/trace run.jsonl")


async def test_the_trace_of_a_session_that_goes_on_has_no_end(sit: Sit, project: Path) -> None:
    person = sit({"hi": ["Hello."]}, persist=True)
    await person.prompt("hi")
    await person.type("/export run.ccpa-trace.jsonl")
    written = records(project / "run.ccpa-trace.jsonl")
    assert not [record for record in written if isinstance(record, SessionEnd)]
    assert problems(project / "run.ccpa-trace.jsonl", prefix=True) == []
    await person.desk.assembled.close()


def test_the_end_of_a_long_trace_is_read_without_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    prompts = [{"v": 1, "kind": "user_prompt", "turn": n, "text": "x" * 999} for n in range(999)]
    path.write_text("".join(f"{json.dumps(one)}\n" for one in prompts) + '{"v": 1, "kin')
    last = tail(path)[-1]
    assert isinstance(last, UserPrompt)
    assert last.turn == 998


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    put(path, b"one", over=False)
    with pytest.raises(AprError):
        put(path, b"two", over=False)
    assert path.read_bytes() == b"one"
    put(path, b"two", over=True)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"two"


def test_a_fence_is_longer_than_those_in_the_text() -> None:
    assert fenced("a ```` b") == "`````\na ```` b\n`````"
    assert "\x1b" not in fenced("\x1b[2J")
