"""What has been added to a session, from where, and what is wrong with it."""

import json
from pathlib import Path

from tests.apr.terminal.commands.conftest import Sit


def settings(path: Path, data: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


async def test_hooks_are_listed_with_their_file_and_what_is_wrong(
    sit: Sit, home: Path, project: Path
) -> None:
    hook = {"type": "command", "command": "make check", "timeout": 5}
    settings(home / ".claude/settings.json", {"hooks": {"Stop": [{"hooks": [hook]}]}})
    wrong = [{"matcher": "Edit", "hooks": [hook]}, {"matcher": "No(", "hooks": [hook]}]
    settings(project / ".claude/settings.json", {"hooks": {"PreToolUse": wrong}})
    shown = await sit(width=200).type("/hooks")
    assert f"Stop        *: make check, 5 s  ({home}/.claude/settings.json)" in shown
    assert f"Edit: make check, 5 s  ({project.resolve()}/.claude/settings.json)" in shown
    assert "✗ hooks.PreToolUse: the matcher 'No('" in shown


async def test_hooks_that_are_turned_off_are_listed_as_such(sit: Sit, project: Path) -> None:
    hook = {"type": "command", "command": "make check"}
    off = {"disableAllHooks": True, "hooks": {"Stop": [{"hooks": [hook]}]}}
    settings(project / ".claude/settings.json", off)
    assert "[not run: disableAllHooks is set]" in await sit(width=200).type("/hooks")


async def test_where_nothing_was_added_it_is_said_how_to(sit: Sit) -> None:
    person = sit()
    assert "docs/hooks.md" in await person.type("/hooks")
    assert "docs/skills.md" in await person.type("/skills")
    assert "marketplace add" in await person.type("/plugins")


async def test_agents_and_skills_are_listed_with_bad_files(sit: Sit, project: Path) -> None:
    agents = project / ".claude/agents"
    agents.mkdir(parents=True)
    (agents / "tester.md").write_text("---\ndescription: tests things\n---\nTest.")
    (agents / "mute.md").write_text("Nothing is said of it.")
    skill = project / ".claude/skills/ship"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\ndescription: ships it\n---\nShip.")
    (project / ".claude/commands").mkdir()
    (project / ".claude/commands/bad.md").write_bytes(b"\xff\xfe\x00")
    person = sit(width=200)
    shown = await person.type("/agents")
    assert f"tester           tests things  ({project.resolve()}/.claude/agents/tester.md)" in shown
    assert "Explore" in shown
    assert "mute.md is not used: it has no description" in shown
    shown = await person.type("/skills")
    assert "/ship  ships it  (skill, project:" in shown
    assert "tokens." in shown
    assert "bad.md is not used" in shown


async def test_plugins_are_turned_on_and_off(sit: Sit, home: Path, project: Path) -> None:
    market = project / "market"
    plugin = market / "wording"
    (market / ".claude-plugin").mkdir(parents=True)
    (plugin / ".claude-plugin").mkdir(parents=True)
    (plugin / ".claude-plugin/plugin.json").write_text('{"name": "wording"}')
    offers = [{"name": "wording", "source": "./wording", "description": "words"}]
    listed = {"name": "house", "owner": {"name": "h"}, "plugins": offers}
    (market / ".claude-plugin/marketplace.json").write_text(json.dumps(listed))
    source = {"house": {"source": {"source": "directory", "path": "./market"}}}
    settings(home / ".apr/settings.json", {"extraKnownMarketplaces": source})
    person = sit(width=200)
    assert "off  wording@house  words" in await person.type("/plugins")
    assert "next session" in await person.type("/plugins enable wording@house")
    assert "on  wording@house" in await person.type("/plugins")
    kept = json.loads((home / ".apr/settings.json").read_text())
    assert kept["enabledPlugins"] == {"wording@house": True}
    await person.type("/plugins disable wording@house")
    assert "off  wording@house" in await person.type("/plugins")
    assert "does not offer 'nope'" in await person.type("/plugins enable nope@house")
    assert "turn on a plugin" in await person.type("/plugins disable nope@house")
