"""What a session says of itself before it works on a prompt: the `init` line."""

from typing import Any

from apr import __version__
from apr.assembly import Assembled
from apr.legible import legible

SPEAKS = "2.1.330"
"""The version of Claude Code whose formats these are. SDKs read from it what they can ask for."""


def introduce(assembled: Assembled) -> dict[str, Any]:
    """Describe a session as it is now."""
    agent = assembled.agent
    prompts = assembled.servers.prompts() if assembled.servers is not None else []
    return {
        "cwd": legible(str(agent.context.cwd)),
        "session_id": agent.session.id,
        "tools": [tool.name for tool in agent.request.tools],
        "mcp_servers": [
            {"name": one["name"], "status": one["status"]} for one in mcp_servers(assembled)
        ],
        "model": agent.session.model,
        "permissionMode": agent.gate.policy.mode,
        "slash_commands": [
            *(name for name, skill in assembled.skills.items() if skill.by_user),
            *(prompt.name for prompt in prompts),
        ],
        "agents": list(assembled.kinds),
        "skills": [name for name, skill in assembled.skills.items() if skill.by_model],
        "plugins": [],
        "apiKeySource": "none",
        "output_style": "default",
        "claude_code_version": SPEAKS,
        "apr_version": __version__,
    }


def mcp_servers(assembled: Assembled) -> list[dict[str, Any]]:
    """Return how it is with each MCP server, and which tools it gives."""
    if assembled.servers is None:
        return []
    return [
        {
            "name": served.server.name,
            "status": "pending" if served.status == "cached" else served.status,
            "scope": served.server.scope,
            **({"error": served.failure} if served.failure else {}),
            "tools": [
                {"name": tool.name} for tool in (served.listing.tools if served.listing else ())
            ],
        }
        for served in assembled.servers.all
    ]
