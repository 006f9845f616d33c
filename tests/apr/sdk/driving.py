"""The public Agent SDK, pointed at `apr`: nothing of it is changed or replaced."""

from pathlib import Path
from typing import Any

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    Message,
    ResultMessage,
    ToolResultBlock,
    UserMessage,
    query,
)

from tests.apr.program import APR, environment


def options(url: str, project: Path, home: Path, **more: Any) -> ClaudeAgentOptions:
    """Return what the SDK needs to know: which CLI, where, and which server it asks."""
    extra = {"base-url": url, **more.pop("extra_args", {})}
    env = environment(home) | more.pop("env", {})
    return ClaudeAgentOptions(cli_path=APR, cwd=project, env=env, extra_args=extra, **more)


async def hear(prompt: Any, given: ClaudeAgentOptions, told: list[Message]) -> None:
    """Add every message of a query to `told`, up to where it fails."""
    async for message in query(prompt=prompt, options=given):
        told.append(message)  # noqa: PERF401 - what was told before a failure counts


async def all_of(prompt: Any, given: ClaudeAgentOptions) -> list[Message]:
    """Return every message of a query."""
    told: list[Message] = []
    await hear(prompt, given, told)
    return told


async def ask(client: ClaudeSDKClient, prompt: str) -> list[Message]:
    """Return every message up to the result of a prompt."""
    await client.query(prompt)
    return [message async for message in client.receive_response()]


def prompt_line(content: Any, **more: Any) -> dict[str, Any]:
    """Return a prompt as a line of input."""
    return {"type": "user", "message": {"role": "user", "content": content}, **more}


def result_of(told: list[Message]) -> ResultMessage:
    """Return the result, which is the last message."""
    last = told[-1]
    assert isinstance(last, ResultMessage)
    return last


def results(told: list[Message]) -> list[ToolResultBlock]:
    """Return what tool uses came to, in order."""
    users = [message for message in told if isinstance(message, UserMessage)]
    blocks = [block for user in users for block in user.content]
    return [block for block in blocks if isinstance(block, ToolResultBlock)]
