"""Sessions in a line each, which are read once."""

import os
import subprocess
from pathlib import Path

import pytest

from apr.agent.events import Remembered
from apr.providers.base import UserMessage
from apr.sessions.ending import tail
from apr.sessions.places import SessionError, folder
from apr.sessions.searching import passage
from apr.sessions.summary import Summary, summaries, summary
from apr.sessions.writer import SessionWriter
from ccpa.trace import AssistantTurn, TextBlock, ToolResult, UserPrompt


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APR_HOME", str(home))


def keep(root: Path, id_: str, *prompts: str, name: str | None = None, at: int = 0) -> Path:
    """Store a session in which each prompt was answered; it was last worked on at a time."""
    writer = SessionWriter(root, id_, model="m", warn=lambda _text: None)
    for turn, prompt in enumerate(prompts):
        writer(UserPrompt(v=1, turn=2 * turn, text=prompt))
        writer(Remembered(UserMessage(prompt)))
        answer = TextBlock(f"to {prompt}")
        writer(AssistantTurn(v=1, turn=2 * turn + 1, blocks=[answer], stop_reason="end_turn"))
    if name is not None:
        writer.call(name)
    writer.close()
    os.utime(writer.path, (at, at))
    return writer.path


def titles(root: Path) -> list[str]:
    return [one.title if isinstance(one, Summary) else str(one) for one in summaries(root)]


def test_a_session_is_called_by_its_name_else_by_its_first_prompt(project: Path) -> None:
    keep(project, "a", "first", "second", at=1)
    keep(project, "b", "first", name="called", at=2)
    keep(project, "c", at=3)
    assert titles(project) == ["(nothing was asked)", "called", "first"]


def test_a_summary_says_what_its_file_says(project: Path) -> None:
    git = ("git", "-c", "init.defaultBranch=topic", "init", "-q", str(project))
    subprocess.run(git, check=True)
    path = keep(project, "a", "first", "second", name="n", at=60)
    wanted = Summary(
        id="a", name="n", model="m", changed="1970-01-01T00:01:00+00:00", prompts=2, turns=2,
        first_prompt="first", path=str(path), branch="topic",
    )  # fmt: skip
    assert summary(path) == wanted
    assert list(summaries(project)) == [wanted]
    assert list(summaries(project)) == [wanted]


def test_a_file_that_has_not_changed_is_not_read_again(project: Path) -> None:
    path = keep(project, "a", "first", at=1)
    assert titles(project) == ["first"]
    path.write_bytes(b"x" * (path.stat().st_size - 1) + b"\n")
    os.utime(path, (1, 1))
    assert titles(project) == ["first"]
    os.utime(path, (2, 2))
    assert "not a session's line" in titles(project)[0]


def test_a_session_that_goes_on_comes_or_goes_is_noticed(project: Path) -> None:
    first = keep(project, "a", "first", at=1)
    assert titles(project) == ["first"]
    keep(project, "a", name="now called", at=1)
    assert titles(project) == ["now called"]
    keep(project, "b", "another", at=2)
    assert titles(project) == ["another", "now called"]
    first.unlink()
    assert titles(project) == ["another"]


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"a.jsonl": 3}', b"\xff"])
def test_what_was_kept_may_be_damaged_or_away(project: Path, damage: bytes) -> None:
    keep(project, "a", "first", at=1)
    assert titles(project) == ["first"]
    (folder(project) / "summaries.json").write_bytes(damage)
    assert titles(project) == ["first"]


def test_a_pipe_in_the_place_of_what_was_kept_is_not_waited_for(project: Path) -> None:
    keep(project, "a", "first", at=1)
    os.mkfifo(folder(project) / "summaries.json")
    assert titles(project) == ["first"]


def test_what_was_kept_is_for_its_owner_alone(project: Path) -> None:
    keep(project, "a", "first")
    assert titles(project) == ["first"]
    assert (folder(project) / "summaries.json").stat().st_mode & 0o077 == 0


def test_a_session_that_holds_nothing_is_said_to_be_empty(project: Path) -> None:
    path = keep(project, "a")
    path.write_bytes(b"")
    with pytest.raises(SessionError, match="is empty"):
        summary(path)


def test_the_end_of_a_session_is_its_last_prompt_and_what_followed(project: Path) -> None:
    path = keep(project, "a", *(f"prompt {n} " + "x" * 3000 for n in range(50)))
    asked, answered = tail(path)
    assert isinstance(asked, UserPrompt)
    assert asked.text.startswith("prompt 49")
    assert isinstance(answered, AssistantTurn)


def test_the_end_is_found_behind_a_long_answer(project: Path) -> None:
    writer = SessionWriter(project, "a", model="m", warn=lambda _text: None)
    writer(UserPrompt(v=1, turn=0, text="asked"))
    writer(ToolResult(v=1, turn=2, tool_use_id="t", ok=True, content="y" * 300_000))
    writer.close()
    assert [type(record) for record in tail(writer.path)] == [UserPrompt, ToolResult]
    assert tail(project / "nowhere") == []


def test_a_text_is_found_whatever_its_case_and_script(project: Path) -> None:
    path = keep(project, "a", 'Say "ÄRGER"\nnow', "x")
    assert passage(path, "ärger") == 'Say "ÄRGER"\nnow'
    assert passage(path, 'SAY "') == 'Say "ÄRGER"\nnow'
    assert passage(path, "walrus") is None
    assert passage(path, "assistant_turn") is None, "what the file is made of was not said"
