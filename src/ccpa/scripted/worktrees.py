"""Names of worktrees: an isolated subagent works in one that its program has named by chance.

The recording names it in the subagent's own tool uses; the run, in the subagent's first request,
which tells its surroundings. Both are directories below `.claude/worktrees`, and the branch is
called after them; so it is the name that is replaced, wherever it stands as a word.
"""

import re

import msgspec

from ccpa.scripted.script import Conversation, Script
from ccpa.scripted.wire import Asked, Prompt
from ccpa.trace import Block, ToolUseBlock

_NAME = re.compile(r"/\.claude/worktrees/([\w-]+)")


def recorded_names(script: Script) -> dict[str, str]:
    """Return the recorded name of each worktree, by the subagent's conversation."""
    isolated = {
        block.id
        for conversation in script.conversations
        for block in _uses(conversation)
        if block.input.get("isolation") == "worktree"
    }
    found: dict[str, str] = {}
    for conversation in script.conversations:
        inputs = msgspec.json.encode([block.input for block in _uses(conversation)]).decode()
        if conversation.name in isolated and (name := _NAME.search(inputs)):
            found[conversation.name] = name[1]
    return found


def actual_name(asked: Asked) -> str | None:
    """Return the name of the worktree that a subagent is told it works in, if it is told one."""
    prompts = (entry for entry in asked.history if isinstance(entry, Prompt))
    texts = [asked.system, *(part for prompt in prompts for part in prompt.parts)]
    return next((name[1] for text in texts if (name := _NAME.search(text))), None)


def _uses(conversation: Conversation) -> list[ToolUseBlock]:
    blocks: list[Block] = [block for turn in conversation.turns for block in turn.blocks]
    return [block for block in blocks if isinstance(block, ToolUseBlock)]
