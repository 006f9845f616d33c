"""The public Agent SDK, pointed at `apr`: nothing of it is changed or replaced."""

from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, Message, query

from tests.apr.program import APR, environment


def options(url: str, project: Path, home: Path, **more: Any) -> ClaudeAgentOptions:
    """Return what the SDK needs to know: which CLI, where, and which server it asks."""
    extra = {"base-url": url, **more.pop("extra_args", {})}
    env = environment(home) | more.pop("env", {})
    return ClaudeAgentOptions(cli_path=APR, cwd=project, env=env, extra_args=extra, **more)


async def all_of(prompt: Any, given: ClaudeAgentOptions) -> list[Message]:
    """Return every message of a query."""
    return [message async for message in query(prompt=prompt, options=given)]
