"""What fills the model's context: /context."""

import re
from collections.abc import AsyncIterator, Sequence

import msgspec

from apr.agent.compaction import CHARACTERS_A_TOKEN, Compactor
from apr.providers.base import (
    AssistantMessage,
    Message,
    Provider,
    ProviderError,
    Request,
    ToolMessage,
    UserMessage,
)
from apr.terminal.commands.about import innermost
from apr.terminal.commands.desk import Desk
from apr.terminal.commands.layout import bar, table, wrapped

_WIDEST = 72
_PARTS = {
    # what is counted -> its sign in the bar
    "system prompt": "█",
    "tools": "▓",
    "MCP tools": "▒",
    "environment": "░",
    "memory": "▚",
    "skills and agents": "▞",
    "files read": "■",
    "other tool results": "▪",
    "prompts and answers": "▬",
}
_REST = "format of the messages"
_PIECES = re.compile(
    r"(?P<memory><instructions>\n.*?</instructions>)"
    r"|(?P<environment><environment>\n.*?</environment>)"
    r"|(?P<skills>^(?:Skills|Agents for the Agent tool):\n(?:- [^\n]*\n?)+)"
    r"|(?P<files><(?P<kind>file|directory) path=\".*?</(?P=kind)>)",
    re.DOTALL | re.MULTILINE,
)
_NAMES = {
    "memory": "memory",
    "environment": "environment",
    "skills": "skills and agents",
    "files": "files read",
}


async def context(desk: Desk, _given: str) -> AsyncIterator[str]:
    """Draw what fills the context, with numbers."""
    agent, preface = desk.assembled.agent, desk.assembled.preface
    parts = divided(agent.request, agent.messages, "" if agent.messages else preface)
    texts = list(parts.values())
    counts = await tokens(agent.provider, texts)
    by = "by the model's own tokenizer"
    if counts is None:
        counts = [int(len(text) / CHARACTERS_A_TOKEN) for text in texts]
        by = f"estimated, a token for {CHARACTERS_A_TOKEN:.0f} characters"
    shares = dict(zip(parts, counts, strict=True))
    counted = agent.window.tokens(agent) if isinstance(agent.window, Compactor) else 0
    if agent.messages and counted > sum(counts):
        shares[_REST] = counted - sum(counts)
    for shown in drawn(shares, agent.provider.context, by, desk.width()):
        yield shown


def drawn(shares: dict[str, int], whole: int | None, by: str, width: int) -> list[str]:
    """Return the bar and its numbers.

    Args:
        shares: tokens by what they are.
        whole: the tokens that the context holds, None where that is not known.
        by: how they were counted.
        width: columns of the terminal.
    """
    used = sum(shares.values())
    size = max(whole or used, 1)
    signs = [(_PARTS.get(name, "─"), count) for name, count in shares.items()]
    columns = min(width - 2, _WIDEST)
    percent = f" of {whole:,} tokens ({used * 100 / size:.0f} %)" if whole else " tokens"
    rows = [
        (_PARTS.get(name, "─"), name, f"{count:>9,}  {count * 100 / size:5.1f} %")
        for name, count in shares.items()
        if count
    ]
    if whole:
        free = max(whole - used, 0)
        rows.append(("·", "free", f"{free:>9,}  {free * 100 / size:5.1f} %"))
    lines = [bar(signs, size, columns), *table(rows, width)]
    return [*lines, wrapped(f"{used:,}{percent} are taken, {by}.", width)]


def divided(request: Request, messages: Sequence[Message], preface: str) -> dict[str, str]:
    """Return the texts of a request by what they are. Pure.

    `preface` is what will stand before the first prompt, where there is none yet.
    """
    parts: dict[str, list[str]] = {name: [] for name in _PARTS}
    parts["system prompt"].append(request.system)
    for tool in request.tools:
        kind = "MCP tools" if tool.name.startswith("mcp__") else "tools"
        parts[kind].append(msgspec.json.encode(tool).decode())
    _take(parts, preface, "prompts and answers")
    for message in messages:
        match message:
            case UserMessage(text):
                _take(parts, text, "prompts and answers")
            case AssistantMessage(blocks, raw):
                said = raw or msgspec.json.encode(blocks).decode()
                parts["prompts and answers"].append(said)
            case ToolMessage(answers):
                for answer in answers:
                    read = answer.ok and answer.name == "Read"
                    _take(parts, answer.content, "files read" if read else "other tool results")
    return {name: "\n".join(texts) for name, texts in parts.items()}


def _take(parts: dict[str, list[str]], text: str, kind: str) -> None:
    """Divide a text into the pieces that are known by their form, and the rest, which is `kind`."""
    at = 0
    for match in _PIECES.finditer(text):
        parts[kind].append(text[at : match.start()].strip())
        parts[_NAMES[match.lastgroup or "memory"]].append(match[0])
        at = match.end()
    parts[kind].append(text[at:].strip())


async def tokens(provider: Provider, texts: Sequence[str]) -> list[int] | None:
    """Return how many tokens the model's own tokenizer makes of each text.

    None: no engine of this machine's is there to be asked.
    """
    from apr.providers.local import LocalModel

    wire = innermost(provider)
    if not isinstance(wire, LocalModel) or wire.endpoint is None:
        return None
    from urllib.parse import urlsplit

    from apr.serve.engine import Engine

    at = wire.endpoint
    engine = Engine(urlsplit(at.base_url).port or 0, at.api_key, at.model_name)
    try:
        return [
            len((await engine.call("/tokenize", {"content": text, "add_special": False}))["tokens"])
            for text in texts
        ]
    except (ProviderError, KeyError, TypeError):  # it has retired since, or is another program
        return None
    finally:
        await engine.close()
