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
    servers = assembled.servers.statuses() if assembled.servers is not None else []
    return {
        "cwd": legible(str(agent.context.cwd)),
        "session_id": agent.session.id,
        "tools": [tool.name for tool in agent.request.tools if tool.shown],
        "mcp_servers": [{"name": name, "status": status} for name, status in servers],
        "model": agent.session.model,
        "permissionMode": agent.gate.policy.mode,
        "slash_commands": [name for name, skill in assembled.skills.items() if skill.by_user],
        "agents": list(assembled.kinds),
        "skills": [name for name, skill in assembled.skills.items() if skill.by_model],
        "plugins": [],
        "apiKeySource": "none",
        "output_style": "default",
        "claude_code_version": SPEAKS,
        "apr_version": __version__,
    }
