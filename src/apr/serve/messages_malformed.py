"""Calls that cannot run, on their way to an agent and back.

What a model wrote may be no call: cut off, without a required argument, of a tool that is not
there. To run it would be wrong; told as text it would end the agent's work. So it is told as a
`tool_use` of a tool that no agent has, and every agent answers that with an error and goes on. On
the way back the model is shown its own call again, and is told what was wrong with it.
"""

from apr.providers.base import ToolAnswer
from ccpa.trace import Block, ToolUseBlock

NAME = "invalid_tool_call"
"""The tool that no agent has."""


def told_to_client(call: ToolUseBlock, reason: str) -> ToolUseBlock:
    """Return a call that must not run as the client is told it."""
    return ToolUseBlock(
        call.id, NAME, {"error": reason, "tool": call.name, "arguments": call.input}
    )


def given_back(block: Block) -> Block:
    """Return a block of the history as the model said it."""
    match block:
        case ToolUseBlock(id_, name, {"tool": str(tool), "arguments": dict(arguments)}) if (
            name == NAME
        ):
            return ToolUseBlock(id_, tool, arguments)
    return block


def told_to_model(call: ToolUseBlock, content: str, *, ok: bool) -> ToolAnswer:
    """Return what the model is told a call came to. `call` is as the client has it."""
    match call:
        case ToolUseBlock(id_, name, {"error": str(reason), "tool": str(tool)}) if name == NAME:
            told = f"<tool_use_error>{reason}</tool_use_error>"
            return ToolAnswer(id_, tool, told, ok=False)
    return ToolAnswer(call.id, call.name, content, ok=ok)
