"""Instruction files at the terminal: what they take, and how they are changed."""

from pathlib import Path

import pytest

from apr.providers.base import UserMessage
from tests.apr.terminal.commands.conftest import Person, Sit


def last_prompt(person: Person) -> str:
    message = person.model.asked[-1].messages[-1]
    assert isinstance(message, UserMessage)
    return message.text


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a program that somebody writes a line with, and set it as the editor."""
    path = tmp_path / "editor"
    path.write_text('#!/bin/sh\necho "$1 tabs" >> "$2"\n')
    path.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{path} use")
    return path


async def test_files_are_listed_with_their_tokens(sit: Sit, home: Path, project: Path) -> None:
    (home / ".claude").mkdir()
    (home / ".claude/CLAUDE.md").write_text("Be brief.\n")
    (project / "CLAUDE.md").write_text("See @docs/style.md and @gone.md\n")
    (project / "docs").mkdir()
    (project / "docs/style.md").write_text("x" * 400)
    shown = await sit(width=200).type("/memory")
    assert f"1  user     ~3    {home}/.claude/CLAUDE.md" in shown
    imported = f"3  project  ~100  {project.resolve()}/docs/style.md  (imported by"
    assert imported in shown
    assert "✗ " in shown
    assert "gone.md, which is not there" in shown


@pytest.mark.usefixtures("editor")
async def test_a_file_is_edited_and_the_model_reads_it(sit: Sit, project: Path) -> None:
    (project / "CLAUDE.md").write_text("Be brief.\n")
    person = sit({"hi": ["Hello.", "Tabs."]})
    await person.prompt("hi")
    shown = await person.type("/memory 1")
    assert "with your next prompt" in shown.replace("\n", " ")
    assert (project / "CLAUDE.md").read_text() == "Be brief.\nuse tabs\n"
    await person.prompt("go on")
    assert "The user has changed an instruction file." in last_prompt(person)
    assert "use tabs" in last_prompt(person)


@pytest.mark.usefixtures("editor")
async def test_a_file_that_is_not_there_yet_is_made(sit: Sit, home: Path, project: Path) -> None:
    person = sit()
    (home / ".apr").mkdir()
    await person.type("/memory user")
    assert (home / ".apr/APR.md").read_text() == "use tabs\n"
    await person.type("/memory project")
    assert (project / "APR.md").read_text() == "use tabs\n"


async def test_an_editor_that_fails_is_said(
    sit: Sit, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "CLAUDE.md").write_text("Be brief.\n")
    monkeypatch.setenv("VISUAL", "no-such-editor -w")
    person = sit()
    assert "no-such-editor cannot be run" in await person.type("/memory 1")
    monkeypatch.setenv("VISUAL", "false")
    assert "ended with exit code 1" in await person.type("/memory 1")
    monkeypatch.setenv("VISUAL", "true")
    assert "is as it was" in await person.type("/memory 1")


async def test_what_is_no_instruction_file_is_refused(sit: Sit) -> None:
    person = sit()
    assert "there is no file 7" in await person.type("/memory 7")
    assert "no Markdown file" in await person.type("/memory src/calc.py")
    assert "there is no directory" in await person.type("/memory nowhere/APR.md")
    assert "There are no instruction files" in await person.type("/memory")


async def test_a_first_file_is_written_and_read(sit: Sit, project: Path) -> None:
    person = sit({"hi": ["Hello.", "I see."]})
    await person.prompt("hi")
    shown = await person.type("/init")
    written = (project / "APR.md").read_text()
    assert written.strip() in shown
    await person.prompt("go on")
    assert written.strip() in last_prompt(person)
    assert "is there already" in await person.type("/init")
    assert "written to" in await person.type("/init --force")
