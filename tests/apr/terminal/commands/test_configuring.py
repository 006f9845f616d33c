"""Settings shown and changed while a session runs."""

import json
from pathlib import Path

from apr.terminal.commands.configuring import destination
from tests.apr.terminal.commands.conftest import Sit


async def test_every_value_is_shown_with_who_set_it(sit: Sit, home: Path, project: Path) -> None:
    (home / ".apr").mkdir()
    (home / ".apr/settings.json").write_text('{"model": "mine", "cleanupPeriodDays": 3}')
    (project / ".apr").mkdir()
    (project / ".apr/settings.json").write_text('{"model": "theirs", "cleanupPeriodDays": 0}')
    shown = (await sit(width=200).type("/config")).splitlines()
    mine, theirs = (next(one for one in shown if name in one) for name in ('"mine"', '"theirs"'))
    assert mine.endswith(f"{home}/.apr/settings.json  [shadowed]")
    assert theirs.endswith(f"{project.resolve()}/.apr/settings.json")
    assert any("[refused: a project cannot decide" in one for one in shown)


async def test_a_value_is_set_in_the_users_file_or_another(
    sit: Sit, home: Path, project: Path
) -> None:
    person = sit(width=200)
    assert "counts from the next session on" in await person.type("/config model tiny")
    assert json.loads((home / ".apr/settings.json").read_text()) == {"model": "tiny"}
    shown = await person.type("/config --local model other")
    assert f"model is written to {project.resolve()}/.apr/settings.local.json" in shown
    shown = await person.type("/config model third")
    assert "model has no effect: a stronger file sets it too" in shown
    assert '"third"' in await person.type("/config model")


async def test_what_counts_at_once_counts_at_once(sit: Sit) -> None:
    person = sit()
    shown = await person.type('/config permissions.deny ["Bash(rm:*)"]')
    assert "next session" not in shown
    assert [str(rule) for rule in person.desk.policy.deny] == ["Bash(rm:*)"]


async def test_what_is_no_key_or_does_not_fit_is_refused(sit: Sit, home: Path) -> None:
    person = sit()
    assert "there is no such key" in await person.type("/config nope 3")
    assert "there is no such key" in await person.type("/config nope")
    assert "keys look like" in await person.type("/config a..b")
    assert "cleanupPeriodDays" in await person.type("/config cleanupPeriodDays soon")
    assert "--session" in await person.type("/config model x --session")
    assert not (home / ".apr/settings.json").exists()


async def test_what_would_keep_apr_from_starting_is_not_written(sit: Sit, home: Path) -> None:
    person = sit()
    path = home / ".apr/settings.json"
    assert "not a permission rule" in await person.type('/config permissions.allow ["Bash("]')
    assert not path.exists()
    await person.type("/config model tiny")
    for value in ('permissions.deny ["Bash("]', 'permissions.additionalDirectories ["nowhere"]'):
        await person.type(f"/config {value}")
        assert json.loads(path.read_text()) == {"model": "tiny"}
    assert person.desk.policy.deny == ()


async def test_a_key_that_nobody_has_set_is_said_to_be_so(sit: Sit) -> None:
    assert await sit().type("/config model") == "model is not set.\n"


async def test_the_status_lines_command_is_set_shown_and_taken_away(sit: Sit, home: Path) -> None:
    person = sit(width=200)
    assert "apr's own" in await person.type("/statusline")
    await person.type("/statusline jq -r .model.id")
    wanted = {"type": "command", "command": "jq -r .model.id"}
    assert json.loads((home / ".apr/settings.json").read_text()) == {"statusLine": wanted}
    assert person.desk.settings.status_line is not None
    assert "jq -r .model.id" in await person.type("/statusline")
    await person.type("/statusline off")
    assert person.desk.settings.status_line is None


def test_the_file_that_is_meant_is_said_first_or_last() -> None:
    assert destination("a b --local", "user") == ("a b", "local")
    assert destination("--project a", "user") == ("a", "project")
    assert destination("a --local b", "user") == ("a --local b", "user")
    assert destination("", "user") == ("", "user")
