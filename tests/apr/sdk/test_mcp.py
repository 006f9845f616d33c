"""MCP tools that live in the program: the SDK's own servers, reached over the control protocol."""

from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    ClaudeSDKClient,
    McpSdkServerConfig,
    SystemMessage,
    create_sdk_mcp_server,
    tool,
)

from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import calls, says
from tests.apr.sdk.driving import all_of, ask, options, results

NAME = "mcp__calc__add"


@tool("add", "Adds two numbers", {"a": float, "b": float})
async def add(given: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": str(given["a"] + given["b"])}]}


@tool("fail", "Fails", {})
async def fail(given: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("out of order")


def calc() -> dict[str, McpSdkServerConfig]:
    return {"calc": create_sdk_mcp_server("calc", tools=[add, fail])}


async def test_a_tool_of_the_program_is_offered_and_used(home: Path, project: Path) -> None:
    script = [calls((NAME, {"a": 2, "b": 3}), ("mcp__calc__fail", {})), says("Five.")]
    model = ScriptedModel(script)
    with serving(model) as url:
        told = await all_of(
            "add", options(url, project, home, mcp_servers=calc(), allowed_tools=[NAME])
        )
    offered = {tool["function"]["name"]: tool["function"] for tool in model.requests[0]["tools"]}
    assert offered[NAME]["description"] == "Adds two numbers"
    assert set(offered[NAME]["parameters"]["properties"]) == {"a", "b"}
    allowed, denied = results(told)
    assert allowed.content == "5"
    assert "Permission denied" in str(denied.content)
    init = told[0]
    assert isinstance(init, SystemMessage)
    assert init.data["mcp_servers"] == [{"name": "calc", "status": "connected"}]
    assert NAME in init.data["tools"]


async def test_calls_in_one_turn_go_beside_each_other_over_prompts(
    home: Path, project: Path
) -> None:
    (project / ".mcp.json").write_text('{"mcpServers": {"other": {"command": "false"}}}')
    twice = calls((NAME, {"a": 1, "b": 1}), (NAME, {"a": 2, "b": 2}))
    again = calls((NAME, {"a": 3, "b": 3}), ("mcp__calc__fail", {}), first=3)
    script = [twice, says("Two, four."), again, says("Six, and an error."), says("None.")]
    model = ScriptedModel(script)
    with serving(model) as url:
        given = options(
            url,
            project,
            home,
            mcp_servers=calc(),
            strict_mcp_config=True,
            allowed_tools=["mcp__calc__*"],
        )
        async with ClaudeSDKClient(given) as client:
            first = await ask(client, "add")
            second = await ask(client, "add")
            status = await client.get_mcp_status()
            await client.toggle_mcp_server("calc", False)
            await ask(client, "what now?")
            await client.toggle_mcp_server("calc", True)
            await client.reconnect_mcp_server("calc")
            with pytest.raises(Exception, match="no MCP server 'nobody'"):
                await client.reconnect_mcp_server("nobody")
            after = await client.get_mcp_status()
    assert [result.content for result in results(first)] == ["2", "4"]
    six, failed = results(second)
    assert six.content == "6"
    assert failed.is_error
    assert "out of order" in str(failed.content)
    (server,) = status["mcpServers"]
    assert (server["name"], server["status"]) == ("calc", "connected")
    assert {one["name"] for one in server["tools"]} == {"add", "fail"}
    assert NAME not in {tool["function"]["name"] for tool in model.requests[-1]["tools"]}
    assert after["mcpServers"][0]["status"] == "connected"
