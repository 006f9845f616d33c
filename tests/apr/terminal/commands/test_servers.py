"""MCP servers of a session: those of the project wait until a person has approved them."""

import asyncio
import json
import sys
from pathlib import Path

from apr.terminal.commands.asking import unapproved
from tests.apr.assembled import results
from tests.apr.mcp.conftest import ODD
from tests.apr.terminal.commands.conftest import Person, Sit

LOCAL = ".apr/settings.local.json"


def bring(project: Path, *names: str, oddity: str = "none") -> None:
    """Have the project bring servers."""
    entry = {"command": sys.executable, "args": ["-S", str(ODD), oddity]}
    servers = {"mcpServers": dict.fromkeys(names, entry)}
    (project / ".mcp.json").write_text(json.dumps(servers))


def tools(person: Person) -> list[str]:
    names = [tool.name for tool in person.desk.assembled.agent.request.tools]
    return [name for name in names if name.startswith("mcp__")]


async def test_a_projects_server_does_not_start_before_it_is_approved(
    sit: Sit, project: Path
) -> None:
    bring(project, "odd")
    use = ("mcp__odd__echo", {"text": "hi"})
    person = sit({"go": [use, "No.", use, "Yes."]}, approves=True, allow=("mcp__odd",))
    asked = "\n".join(unapproved(person.desk))
    assert "odd" in asked
    assert str(ODD) in asked.replace("\n", "").replace(" ", "")
    await person.desk.assembled.open()
    (unknown,) = results(await person.prompt("go"))
    assert not unknown.ok
    assert "not approved" in await person.type("/mcp")
    shown = await person.type("/mcp approve odd")
    assert "odd: connected, 2 tools" in shown
    assert json.loads((project / LOCAL).read_text()) == {"enabledMcpjsonServers": ["odd"]}
    assert tools(person) == ["mcp__odd__echo", "mcp__odd__count"]
    (done,) = results(await person.prompt("go"))
    assert done.ok
    assert not list(unapproved(person.desk))
    await person.desk.assembled.close()


async def test_who_rejects_a_server_is_not_asked_again(sit: Sit, project: Path) -> None:
    bring(project, "one", "two")
    person = sit(approves=True)
    assert "rejected" in await person.type("/mcp reject one")
    assert json.loads((project / LOCAL).read_text()) == {"disabledMcpjsonServers": ["one"]}
    waiting = person.desk.assembled.servers
    assert waiting is not None
    assert [server.name for server in waiting.unapproved] == ["two"]
    again = sit(approves=True)
    assert "one" not in "\n".join(unapproved(again.desk)).split()
    assert "disabled" in await again.type("/mcp")
    await again.type("/mcp approve one")
    assert tools(again) == ["mcp__one__echo", "mcp__one__count"]
    await again.desk.assembled.close()


async def test_all_that_wait_are_approved_at_once(sit: Sit, project: Path) -> None:
    bring(project, "one", "two")
    person = sit(approves=True)
    await person.type("/mcp approve all")
    assert len(tools(person)) == 4
    assert "No server waits" in await person.type("/mcp approve all")
    await person.desk.assembled.close()


async def test_a_server_is_turned_off_on_and_reconnected(sit: Sit, project: Path) -> None:
    bring(project, "odd")
    person = sit(approves=True, width=300)
    await person.type("/mcp approve odd")
    assert "off for this session" in await person.type("/mcp off odd")
    assert tools(person) == []
    await person.type("/mcp on odd")
    assert "connected" in await person.type("/mcp reconnect odd")
    assert len(tools(person)) == 2
    shown = await person.type("/mcp odd")
    assert "mcp__odd__echo" in shown
    assert f"{project.resolve()}/.mcp.json (project)" in shown
    await person.desk.assembled.close()


async def test_a_command_that_is_interrupted_ends_and_nothing_else(sit: Sit, project: Path) -> None:
    mute = {"mcpServers": {"mute": {"command": "sleep", "args": ["600"]}}}
    (project / ".mcp.json").write_text(json.dumps(mute))
    person = sit(approves=True)
    going = asyncio.create_task(person.type("/mcp approve mute"))
    while not any("and starts" in shown for shown in person.shown):
        await asyncio.sleep(0.01)
    going.cancel()
    assert (await going).endswith("interrupted\n")
    assert "mute" in await person.type("/mcp")
    await person.desk.assembled.close()


async def test_what_is_wrong_with_a_server_is_said(sit: Sit, project: Path) -> None:
    bring(project, "odd", oddity="never")
    path = json.loads((project / ".mcp.json").read_text())
    path["mcpServers"]["odd"]["command"] = "no-such-program"
    (project / ".mcp.json").write_text(json.dumps(path))
    person = sit(approves=True)
    shown = await person.type("/mcp approve odd")
    assert "odd cannot be used:" in shown
    assert "failed" in await person.type("/mcp")
    await person.desk.assembled.close()


async def test_an_entry_that_is_no_use_is_listed_as_such(sit: Sit, project: Path) -> None:
    (project / ".mcp.json").write_text('{"mcpServers": {"odd": {"type": "carrier pigeon"}}}')
    assert "✗ MCP server odd" in await sit(approves=True).type("/mcp")


async def test_only_what_the_project_brings_needs_approval(sit: Sit, project: Path) -> None:
    person = sit(approves=True)
    assert "There are no MCP servers" in await person.type("/mcp")
    assert "brings no MCP server 'x'" in await person.type("/mcp approve x")
    assert "there is no MCP server 'x'" in await person.type("/mcp off x")
    assert not (project / LOCAL).exists()


async def test_nobody_is_asked_where_nobody_can_be(sit: Sit, project: Path) -> None:
    bring(project, "odd")
    person = sit()
    assert not list(unapproved(person.desk))
    assert person.desk.assembled.servers is not None
    assert [one.server.name for one in person.desk.assembled.servers.all] == ["odd"]
