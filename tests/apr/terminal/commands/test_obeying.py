"""What begins with `/`: a command, the user's own, a path, or a mistake that is told."""

from pathlib import Path

import pytest

from apr.terminal.commands import ALIASES, COMMANDS, Leave, near
from apr.terminal.commands.desk import deed
from tests.apr.terminal.commands.conftest import Sit


def test_every_command_is_where_the_table_says() -> None:
    own = {name for name, command in COMMANDS.items() if not command.do}
    assert own == {"compact"}  # the agent's
    for name in COMMANDS.keys() - own:
        assert callable(deed(COMMANDS[name]))
    assert set(ALIASES.values()) <= set(COMMANDS)


def test_the_documentation_has_every_command_and_no_other() -> None:
    page = Path(__file__).parents[4] / "docs/terminal-commands.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `/")]
    assert {row.removeprefix("| `/").partition("`")[0].split()[0] for row in rows} == set(COMMANDS)


async def test_a_name_that_nobody_knows_is_told_with_those_that_are_near(sit: Sit) -> None:
    person = sit()
    shown = await person.type("/contxt now")
    assert person.is_command
    assert "There is no command /contxt. Did you mean /context" in shown


@pytest.mark.parametrize(
    "typed",
    [
        "/usr/bin/env fails",
        "/etc is full",
        "/ is a slash",
        "/",
        "/src/calc.py:3",
        "/compact keep it",
    ],
)
async def test_what_is_no_command_is_a_prompt(sit: Sit, typed: str) -> None:
    person = sit()
    assert not await person.type(typed)
    assert not person.is_command


async def test_the_users_own_commands_are_prompts(sit: Sit, project: Path) -> None:
    commands = project / ".claude/commands/ship"
    commands.mkdir(parents=True)
    (commands / "it.md").write_text("Ship $ARGUMENTS")
    person = sit()
    await person.type("/ship:it today")
    assert not person.is_command
    shown = await person.type("/shp:it")
    assert "/ship:it" in shown
    assert "/ship:it" in await person.type("/help")


async def test_what_is_for_the_model_alone_cannot_be_called(sit: Sit, project: Path) -> None:
    skill = project / ".claude/skills/inner"
    skill.mkdir(parents=True)
    head = "---\ndescription: d\nuser-invocable: false\n---\n"
    (skill / "SKILL.md").write_text(f"{head}Text.")
    person = sit()
    assert "There is no command /inner" in await person.type("/inner")


async def test_a_hostile_name_cannot_drive_the_terminal(sit: Sit) -> None:
    shown = await sit().type("/x\x1b]0;owned\x07")
    assert "\x1b" not in shown
    assert "\\x1b]0;owned" in shown


async def test_to_leave_is_for_who_called(sit: Sit) -> None:
    with pytest.raises(Leave):
        await sit().type("/quit")
    with pytest.raises(Leave):
        await sit().type("/exit")


def test_near_are_names_that_begin_so_then_those_that_are_alike() -> None:
    known = ["permissions", "plugins", "mode", "model"]
    assert near("perm", known) == ["permissions"]
    assert set(near("modle", known)) == {"model", "mode"}
    assert near("zzz", known) == []
