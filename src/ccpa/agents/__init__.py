"""How to start each agent under test: one module per agent."""

import importlib
from pathlib import Path

from ccpa.agents.base import Agent
from ccpa.errors import CcpaError

AGENTS = {
    "apr": "apr",
    "claude": "claude",
    "codex": "codex",
    "mini-swe-agent": "mini_swe_agent",
    "opencode": "opencode",
    "pi": "pi",
    "qwen-code": "qwen_code",
}
"""Name of an agent -> its module here, which has an `AGENT`."""


def find_agent(name: str) -> Agent:
    """Return the agent of this name, or the one that a TOML file describes (`ccpa.agents.generic`).

    Raises:
        CcpaError: there is no such agent, or the file does not describe one.
    """
    if module := AGENTS.get(name):
        agent: Agent = importlib.import_module(f"ccpa.agents.{module}").AGENT
        return agent
    if name.endswith(".toml"):
        from ccpa.agents.generic import load

        return load(Path(name))
    raise CcpaError(
        f"no agent {name!r}; known are {', '.join(AGENTS)}; "
        "a file NAME.toml describes any other (docs/replay.md)"
    )
