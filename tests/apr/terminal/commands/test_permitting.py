"""Rules and directories that change while a session runs, and count at once."""

import json
import os
from pathlib import Path

from apr.providers.base import UserMessage
from tests.apr.assembled import results
from tests.apr.sandbox.conftest import needs_sandbox
from tests.apr.terminal.commands.conftest import Sit

LOCAL = ".apr/settings.local.json"
RUN = ("Bash", {"command": "touch made"})


def permissions(path: Path) -> object:
    return json.loads(path.read_text())["permissions"]


async def test_a_rule_is_written_and_counts_at_once(sit: Sit, project: Path) -> None:
    person = sit({"go": [RUN, "No.", RUN, "Yes."]}, width=400)
    (refused,) = results(await person.prompt("go"))
    assert not refused.ok
    shown = await person.type('/permissions allow "Bash(touch made)"')
    assert f"written to {project.resolve() / LOCAL}." in shown
    assert permissions(project / LOCAL) == {"allow": ["Bash(touch made)"]}
    (done,) = results(await person.prompt("again"))
    assert done.ok
    assert (project / "made").exists()


async def test_rules_are_listed_with_who_said_them(sit: Sit, home: Path, project: Path) -> None:
    (home / ".claude").mkdir()
    (home / ".claude/settings.json").write_text('{"permissions": {"deny": ["Read(.env)"]}}')
    person = sit(allow=("Bash(ls)",), width=200)
    await person.type("/permissions ask Write --session")
    shown = (await person.type("/permissions")).splitlines()
    assert next(line for line in shown if "Read(.env)" in line).endswith(".claude/settings.json")
    assert next(line for line in shown if "Bash(ls)" in line).endswith("the command line")
    assert next(line for line in shown if "Write" in line).endswith("this session")


async def test_a_rule_is_taken_out_of_the_file_that_has_it(sit: Sit, project: Path) -> None:
    person = sit()
    await person.type("/permissions deny Bash(rm:*) --project")
    await person.type("/permissions deny WebFetch --project")
    assert person.desk.policy.deny
    shown = await person.type("/permissions remove Bash(rm:*)")
    assert ".apr/settings.json" in shown.replace("\n", "")
    assert permissions(project / ".apr/settings.json") == {"deny": ["WebFetch"]}
    assert [str(rule) for rule in person.desk.policy.deny] == ["WebFetch"]


async def test_a_file_of_claude_codes_is_not_written(sit: Sit, home: Path) -> None:
    path = home / ".claude/settings.json"
    path.parent.mkdir()
    path.write_text('{"permissions": {"allow": ["WebFetch"]}}')
    person = sit()
    shown = await person.type("/permissions remove WebFetch")
    assert "apr does not write it" in shown.replace("\n", " ")
    assert "WebFetch" in path.read_text()
    assert person.desk.policy.allow


async def test_a_rule_of_the_command_line_holds_until_the_end(sit: Sit) -> None:
    person = sit(allow=("WebFetch",))
    assert "holds until the session ends" in await person.type("/permissions remove WebFetch")
    assert person.desk.policy.allow


async def test_a_rule_of_the_session_is_in_no_file(sit: Sit, project: Path) -> None:
    person = sit()
    await person.type("/permissions allow WebFetch --session")
    assert not (project / LOCAL).exists()
    await person.type("/permissions remove WebFetch")
    assert person.desk.policy.allow == ()
    assert "There is no rule WebFetch" in await person.type("/permissions remove WebFetch")


async def test_what_a_person_allowed_for_the_session_stays_when_settings_change(sit: Sit) -> None:
    person = sit()
    await person.type("/permissions allow WebFetch --session")
    await person.type("/permissions deny Write")
    assert [str(rule) for rule in person.desk.policy.allow] == ["WebFetch"]


async def test_a_tool_that_is_forbidden_is_shown_no_more(sit: Sit) -> None:
    person = sit()
    await person.type("/permissions deny Write")
    assert "Write" not in [tool.name for tool in person.desk.assembled.agent.request.tools]
    await person.type("/permissions remove Write")
    assert "Write" in [tool.name for tool in person.desk.assembled.agent.request.tools]


async def test_what_is_no_rule_is_refused_and_nothing_is_written(sit: Sit, project: Path) -> None:
    person = sit()
    for typed in ("allow Bash(", "allow", "allow A B", "permit Bash", "allow *"):
        assert await person.type(f"/permissions {typed}")
    assert not (project / LOCAL).exists()
    assert person.desk.policy.allow == ()


async def test_a_broken_rule_in_a_file_is_said_and_changes_nothing(sit: Sit, project: Path) -> None:
    person = sit()
    (project / ".apr").mkdir()
    (project / LOCAL).write_text('{"permissions": {"deny": ["Bash("]}}')
    assert "not a permission rule" in await person.type("/permissions allow WebFetch --project")
    assert person.desk.policy.allow == ()


async def test_a_directory_is_the_projects_own_at_once(sit: Sit, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("hello")
    (tmp_path / "link").symlink_to(other)
    read = ("Read", {"file_path": str(other / "a.txt")})
    person = sit({"look": [read, "No.", read, "Yes."]})
    (refused,) = results(await person.prompt("look"))
    assert not refused.ok
    await person.type("/add-dir ../link")
    assert person.desk.policy.directories == (other.resolve(),)
    (done,) = results(await person.prompt("again"))
    assert done.ok
    asked = [m.text for m in person.model.asked[-1].messages if isinstance(m, UserMessage)]
    assert any(f"added the directory {other.resolve()}" in text for text in asked)
    assert "already" in await person.type("/add-dir ../other")


async def test_a_directory_may_be_called_what_no_text_can_be(sit: Sit, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"n\xffme")
    odd.mkdir()
    (tmp_path / "link").symlink_to(odd)
    person = sit({"hello": ["Hello.", "Yes."]})
    await person.prompt("hello")
    await person.type("/add-dir ../link")
    await person.prompt("go on")
    asked = [m.text for m in person.model.asked[-1].messages if isinstance(m, UserMessage)]
    assert any("n\ufffdme" in text for text in asked)


@needs_sandbox
async def test_confined_commands_can_write_in_a_directory_that_is_added(
    sit: Sit, home: Path, tmp_path: Path
) -> None:
    (home / ".apr").mkdir()
    (home / ".apr/settings.json").write_text('{"sandbox": {"enabled": true}}')
    other = tmp_path / "other"
    other.mkdir()
    touch = ("Bash", {"command": f"touch {other}/made"})
    person = sit({"go": [touch, "No.", touch, "Yes."]})
    (refused,) = results(await person.prompt("go"))
    assert not refused.ok
    await person.type("/add-dir ../other")
    (done,) = results(await person.prompt("go on"))
    assert done.ok
    assert (other / "made").exists()
    await person.desk.assembled.close()


async def test_what_is_no_directory_is_said(sit: Sit) -> None:
    person = sit()
    assert "not a directory: nowhere" in await person.type("/add-dir nowhere")
    assert "not a directory: README.md" in await person.type("/add-dir README.md")
    assert person.desk.policy.directories == ()
