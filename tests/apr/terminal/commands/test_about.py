"""What a session says of itself."""

from pathlib import Path

from apr.terminal.commands import COMMANDS
from tests.apr.terminal.commands.conftest import Sit


async def test_help_lists_every_command_within_the_terminals_width(sit: Sit) -> None:
    shown = await sit(width=60).type("/help")
    for name in COMMANDS:
        assert f"/{name} " in shown
    assert max(len(line) for line in shown.splitlines()) <= 60


async def test_help_says_more_of_one_command(sit: Sit) -> None:
    person = sit()
    shown = await person.type("/help permissions")
    assert shown.startswith("/permissions [allow|ask|deny|remove RULE]")
    assert await person.type("/help /q") == await person.type("/help quit")


async def test_status_says_what_the_session_is(sit: Sit, home: Path, project: Path) -> None:
    (home / ".apr").mkdir()
    (home / ".apr/settings.json").write_text('{"cleanupPeriodDays": 3}')
    person = sit(width=200, persist=True)
    await person.type("/add-dir /")
    shown = await person.type("/status")
    for line in (
        f"project    {project.resolve()}",
        "model      m",
        "mode       default",
        f"session    {person.desk.assembled.agent.session.id}",
        f"settings   {home}/.apr/settings.json",
        "directory  /",
        "sandbox    off",
    ):
        assert line in shown.splitlines()
    await person.desk.assembled.close()


async def test_cost_counts_tokens_time_lines_and_money(sit: Sit) -> None:
    read = ("Read", {"file_path": "src/calc.py"})
    edit = ("Edit", {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"})
    person = sit({"fix": [read, edit, "Done."]}, mode="acceptEdits")
    await person.prompt("fix")
    shown = (await person.type("/cost")).splitlines()
    assert "answers     3" in shown
    assert "tokens in   300, of which 180 were remembered" in shown
    assert "tokens out  30" in shown
    assert "lines       1 added, 1 removed" in shown
    assert "price       nothing: the model runs on this machine" in shown


async def test_debug_shows_the_last_request_and_then_each(sit: Sit, project: Path) -> None:
    hook = '{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "exit 3"}]}]}}'
    (project / ".apr").mkdir()
    (project / ".apr/settings.json").write_text(hook)
    person = sit({"hi": ["Hello.", "Again.", "Last."]})
    await person.prompt("hi")
    shown = await person.type("/debug")
    assert "last answer    100 tokens in (60 remembered), 10 out" in shown
    assert "hook           Stop: warn, exit 3" in shown
    assert "provider       Voices" in shown
    shown_since = len(person.shown)
    await person.prompt("again")
    assert "answer 2: 100 tokens in" in "".join(person.shown[shown_since:])
    assert "not shown any more" in await person.type("/debug")
    shown_since = len(person.shown)
    await person.prompt("last")
    assert "answer 3" not in "".join(person.shown[shown_since:])
    assert "shown as they happen" in await person.type("/debug on")
    assert "usage" in await person.type("/debug perhaps")


async def test_the_doctors_checks_are_shown_with_what_to_do(sit: Sit) -> None:
    shown = await sit(width=200).type("/doctor")
    assert "✓ engine: xllamacpp" in shown
    assert "· model: No model is named" in shown
    assert "  → fetch one with apr pull" in shown
    assert "✓ mcp: no servers" in shown
