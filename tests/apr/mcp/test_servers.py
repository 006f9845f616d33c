"""Servers over a session, however they behave: real processes, each with one oddity."""

import asyncio
import json
import os
import time
from pathlib import Path

import msgspec
import pytest

from apr.mcp.cache import FRESH_S, Kept
from apr.mcp.failures import Failed, Gone
from apr.mcp.listing import Listing, Offered
from apr.mcp.served import Times, times
from apr.mcp.servers import Servers
from apr.tools.output import HEAD, TAIL
from tests.apr.mcp.conftest import House, odd, statuses


def quiet(_text: str) -> None:
    """Show nothing."""


async def call(servers: Servers, tool: str = "echo", number: int = 0) -> str:
    return (await servers.all[number].call(tool, {"text": "hi"}, quiet)).text


def names(servers: Servers) -> list[str]:
    return [tool.name for tool in servers.tools()]


async def test_tools_are_listed_and_called(house: House) -> None:
    servers = house(odd())
    assert servers.tools() == []
    await servers.ready()
    assert names(servers) == ["mcp__odd__echo", "mcp__odd__count"]
    assert [tool.read_only for tool in servers.tools()] == [True, False]
    assert await call(servers) == "echo: hi"
    assert house.told == []
    assert house.changes == 1


async def test_what_is_known_is_offered_before_the_server_is_started(house: House) -> None:
    await house(odd()).ready()
    servers = house(odd())
    assert names(servers) == ["mcp__odd__echo", "mcp__odd__count"]
    await servers.ready()
    assert statuses(servers) == ["cached"]
    assert await call(servers) == "echo: hi"
    assert statuses(servers) == ["connected"]


async def test_a_server_that_is_reached_otherwise_is_another(house: House) -> None:
    await house(odd()).ready()
    other = msgspec.structs.replace(odd(), env={"A": "b"})
    assert house(other).tools() == []


async def test_a_broken_cache_is_none(house: House) -> None:
    await house(odd()).ready()
    (path,) = (house.folder.parent / "cache").iterdir()
    path.write_bytes(path.read_bytes()[:50])
    servers = house(odd())
    assert servers.tools() == []
    await servers.ready()
    assert len(servers.tools()) == 2


async def test_what_is_known_from_long_ago_is_asked_again_while_nobody_waits(house: House) -> None:
    await house(odd()).ready()
    (path,) = (house.folder.parent / "cache").iterdir()
    old = Kept(time.time() - FRESH_S - 1, Listing(tools=(Offered("gone", "", {}),)))
    path.write_bytes(msgspec.json.encode(old))
    servers = house(odd())
    await servers.ready()
    assert names(servers) == ["mcp__odd__gone"]
    while names(servers) == ["mcp__odd__gone"]:
        await asyncio.sleep(0.05)
    assert names(servers) == ["mcp__odd__echo", "mcp__odd__count"]


async def test_servers_start_at_once_and_one_that_fails_hides_no_other(house: House) -> None:
    servers = house(odd(name="a"), odd("dies-at-once", "b"), odd(name="c"))
    await servers.ready()
    assert statuses(servers) == ["connected", "failed", "connected"]
    (told,) = house.told
    assert told.startswith("MCP server b: cannot be used: ")
    assert "exit code 3" in told
    assert "config \\x1b[31mmissing" in told


async def test_a_program_that_is_not_there_is_told(house: House) -> None:
    servers = house(msgspec.structs.replace(odd(), command="/no/such/program"))
    await servers.ready()
    assert house.told == ["MCP server odd: cannot be used: there is no program '/no/such/program'"]


async def test_the_first_request_waits_for_no_server_that_hangs(house: House) -> None:
    servers = house(odd("hangs", "slow"), odd(), times=Times(wait=2, start=60, call=60))
    await servers.ready()
    assert names(servers) == ["mcp__odd__echo", "mcp__odd__count"]
    (told,) = house.told
    assert "not up after 2 s: slow" in told


async def test_a_server_that_hangs_is_given_up(house: House) -> None:
    servers = house(odd("hangs"), times=Times(wait=0.5, start=0.5, call=60))
    await servers.ready()
    (told,) = house.told
    assert "it did not answer within 0.5 s" in told
    assert "signal" not in told  # which was our doing


async def test_a_call_that_hangs_is_given_up_and_the_server_stays(house: House) -> None:
    servers = house(odd("hangs-when-called"), times=Times(wait=20, start=20, call=0.3))
    await servers.ready()
    with pytest.raises(Failed, match=r"within 0\.3 s"):
        await call(servers)
    assert statuses(servers) == ["connected"]


async def test_a_servers_own_limit_counts(house: House) -> None:
    server = msgspec.structs.replace(odd("hangs-when-called"), timeout_s=0.2)
    servers = house(server)
    await servers.ready()
    with pytest.raises(Failed, match=r"within 0\.2 s"):
        await call(servers)


async def test_a_server_that_dies_in_a_call_is_started_again_for_the_next(house: House) -> None:
    servers = house(odd("dies-once"))
    await servers.ready()
    with pytest.raises(Gone, match="out of luck"):
        await call(servers)
    assert await call(servers) == "echo: hi"


async def test_a_server_that_dies_again_without_an_answer_is_left(house: House) -> None:
    servers = house(odd("dies-when-called"))
    await servers.ready()
    for _ in range(2):
        with pytest.raises(Gone, match="the connection"):
            await call(servers)
    with pytest.raises(Gone, match="not started again"):
        await call(servers)
    assert statuses(servers) == ["failed"]


async def test_a_server_that_died_unnoticed_is_started_again_without_a_word(house: House) -> None:
    servers = house(odd("leaves-children"))
    await servers.ready()
    server, _ = (int(pid) for pid in (house.folder / "pids").read_text().split())
    os.kill(server, 9)
    connection = servers.all[0]._connection
    while connection is not None and connection.alive:
        await asyncio.sleep(0.01)
    assert await call(servers) == "echo: hi"


@pytest.mark.parametrize("oddity", ["endless-notifications", "endless-requests"])
async def test_a_server_that_floods_is_left(house: House, oddity: str) -> None:
    servers = house(odd(oddity))
    await servers.ready()
    with pytest.raises(Gone, match="without end"):
        await call(servers)


async def test_a_line_without_end_fills_no_memory(house: House) -> None:
    servers = house(odd("no-line-ends"))
    await servers.ready()
    (told,) = house.told
    assert "a message of more than 16 MiB" in told


async def test_output_that_is_no_message_is_passed_over(house: House) -> None:
    servers = house(odd("noise"))
    await servers.ready()
    assert await call(servers) == "echo: hi"


async def test_a_talkative_standard_error_is_no_harm(house: House) -> None:
    servers = house(odd("talks-to-stderr"))
    await servers.ready()
    assert await call(servers) == "echo: hi"


async def test_a_result_beyond_all_bounds_ends_the_server(house: House) -> None:
    servers = house(odd("too-large-result"))
    await servers.ready()
    with pytest.raises(Gone, match="more than 16 MiB"):
        await call(servers)


async def test_a_list_of_the_wrong_form_is_told_with_its_place(house: House) -> None:
    servers = house(odd("wrong-schema"))
    await servers.ready()
    (told,) = house.told
    assert "not what the protocol says: tools.0.inputSchema.type" in told


async def test_a_large_result_is_cut(house: House) -> None:
    servers = house(odd("large-result"))
    await servers.ready()
    answer = await servers.all[0].call("echo", {}, quiet)
    assert answer.kept.truncated
    assert HEAD + TAIL < len(answer.text) < HEAD + TAIL + 100


async def test_a_result_of_the_wrong_form_is_an_error(house: House) -> None:
    servers = house(odd("wrong-result"))
    await servers.ready()
    with pytest.raises(Failed, match="not what the protocol says: content"):
        await call(servers)


async def test_hostile_names_reach_no_one_raw(house: House) -> None:
    servers = house(odd("hostile-names"))
    await servers.ready()
    assert names(servers) == ["mcp__odd__a__2Jb", "mcp__odd__long", "mcp__odd__same"]
    shown = json.dumps([tool.description for tool in servers.tools()] + house.told)
    assert not any(escape in shown for escape in ("\\u001b", "\\u0007", "\\u202e"))
    assert await call(servers, "a\x1b[2Jb") == "a\x1b[2Jb: hi"  # the server's own name for it


async def test_lists_without_end_have_one(house: House) -> None:
    servers = house(odd("many-tools", "a"), odd("endless-pages", "b"))
    await servers.ready()
    assert len(servers.all[0].listing.tools if servers.all[0].listing else ()) == 512
    assert len(servers.all[1].listing.tools if servers.all[1].listing else ()) == 100
    assert any("more than 512 tools" in told for told in house.told)


async def test_what_many_tools_cost_is_said(house: House) -> None:
    await house(odd("many-tools")).ready()
    assert any("tokens of every request" in told for told in house.told)


async def test_a_server_that_offers_something_new_is_asked_what(house: House) -> None:
    servers = house(odd("changes"))
    await servers.ready()
    assert await call(servers) == "echo: hi"
    while len(servers.tools()) == 2 and names(servers)[1] == "mcp__odd__count":
        await asyncio.sleep(0.01)
    assert names(servers) == ["mcp__odd__echo", "mcp__odd__another"]
    assert house.changes == 2


async def test_a_server_of_the_next_protocol_is_understood(house: House) -> None:
    servers = house(odd("modern-only"))
    await servers.ready()
    assert await call(servers) == "echo: hi"


async def test_nothing_of_a_server_is_left_when_the_session_ends(house: House) -> None:
    servers = house(odd("leaves-children"))
    await servers.ready()
    pids = [int(pid) for pid in (house.folder / "pids").read_text().split()]
    await servers.close()
    while any(running(pid) for pid in pids):  # a killed process takes a moment to be gone
        await asyncio.sleep(0.01)


async def test_closing_waits_for_no_server_that_is_being_started(house: House) -> None:
    servers = house(odd("hangs"))
    waiting = asyncio.create_task(servers.ready())
    while servers.all[0]._connection is None:
        await asyncio.sleep(0.01)
    waiting.cancel()
    await servers.close()
    assert servers.all[0]._connection is not None
    assert not servers.all[0]._connection.alive


async def test_a_server_has_its_environment_and_ours(house: House) -> None:
    server = msgspec.structs.replace(odd("environment"), env={"SECRET": "sesame"})
    servers = house(server)
    await servers.ready()
    environment = json.loads(await call(servers))
    assert environment["SECRET"] == "sesame"
    assert environment["PATH"] == "/usr/bin:/bin"


def test_the_variables_of_claude_code_set_the_limits() -> None:
    assert times({}) == Times()
    assert times({"MCP_TIMEOUT": "2500"}) == Times(wait=2.5, start=2.5)
    assert times({"MCP_TOOL_TIMEOUT": "90000"}).call == 90
    assert times({"MCP_TIMEOUT": "soon", "MCP_TOOL_TIMEOUT": "-1"}) == Times()


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
