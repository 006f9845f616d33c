"""The commands of the terminal: `/name`, and what each does. The user's own come after these."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from apr.agent.events import Rewritten
from apr.agent.permissions import MODES, Mode
from apr.assembly import Assembled
from apr.terminal.screen import Screen
from apr.ui.terminal import line


class Desk(Struct, frozen=True, kw_only=True):
    """What commands work on."""

    assembled: Assembled
    screen: Screen
    trace: Path | None


class Command(Struct, frozen=True):
    """One command. `do` takes what was typed behind its name, and returns lines to show.

    Without it the command is the agent's own: it goes to it as a prompt.
    """

    description: str
    do: Callable[[Desk, str], Iterator[str]] | None = None


class Leave(Exception):
    """The person wants to go."""


def _help(desk: Desk, _given: str) -> Iterator[str]:
    for name, command in COMMANDS.items():
        yield f"/{name:12} {command.description}"
    for skill in desk.assembled.skills.values():
        if skill.by_user:
            yield f"/{skill.name:12} {line(skill.description)[:80]}"
    yield "!COMMAND runs a shell line · #NOTE adds to memory · @FILE gives a file"
    yield "Esc interrupts · Shift+Tab changes the mode · Alt+Enter: a new line · Ctrl-D leaves"


def _clear(desk: Desk, _given: str) -> Iterator[str]:
    agent = desk.assembled.agent
    agent.messages.clear()
    agent.inbox.clear()
    if desk.assembled.store is not None:
        desk.assembled.store(Rewritten(()))
    yield "The conversation begins anew. The files stay as they are."


def _context(desk: Desk, _given: str) -> Iterator[str]:
    agent, usage = desk.assembled.agent, desk.screen.usage
    size = agent.provider.context
    used = usage.input_tokens + usage.output_tokens
    whole = f" of {size:,}" if size else ""
    yield f"{used:,}{whole} tokens after the last answer, {usage.cache_read_tokens:,} remembered"
    yield f"system prompt: about {len(agent.request.system) // 4:,} tokens"
    shown = [tool for tool in agent.request.tools if tool.shown]
    tools = len(msgspec.json.encode(shown)) // 4
    yield f"tools: {len(shown)}, about {tools:,} tokens"
    yield f"conversation: {len(agent.messages)} messages"


def _cost(desk: Desk, _given: str) -> Iterator[str]:
    session = desk.assembled.agent.session
    yield (
        f"{desk.screen.turns} answers, {session.tokens_in:,} tokens in, "
        f"{session.tokens_out:,} out, {session.elapsed_ms / 1000:.0f} s"
    )


def _status(desk: Desk, _given: str) -> Iterator[str]:
    agent = desk.assembled.agent
    yield f"project: {agent.context.root}"
    yield f"model: {agent.session.model}"
    yield f"mode: {agent.gate.policy.mode}"
    yield f"session: {agent.session.id}"
    if desk.assembled.store is not None:
        yield f"stored in: {desk.assembled.store.path}"
    if desk.trace is not None:
        yield f"trace: {desk.trace}"


def _mode(desk: Desk, given: str) -> Iterator[str]:
    gate = desk.assembled.agent.gate
    if given:
        if given not in MODES:
            yield f"there is no mode {given!r}. There are: {', '.join(MODES)}"
            return
        gate.policy = msgspec.structs.replace(gate.policy, mode=msgspec.convert(given, Mode))
    yield f"mode: {gate.policy.mode}"


def _permissions(desk: Desk, _given: str) -> Iterator[str]:
    policy = desk.assembled.agent.gate.policy
    yield f"mode: {policy.mode}"
    for kind, rules in (("allow", policy.allow), ("ask", policy.ask), ("deny", policy.deny)):
        for rule in rules:
            yield f"{kind}: {rule}"


def _skills(desk: Desk, _given: str) -> Iterator[str]:
    for skill in desk.assembled.skills.values():
        yield f"{line(skill.name)} ({line(skill.source)}): {line(skill.description)}"
    if not desk.assembled.skills:
        yield "no skills or commands: see docs/skills.md"


def _agents(desk: Desk, _given: str) -> Iterator[str]:
    for kind in desk.assembled.kinds.values():
        yield f"{line(kind.name)} ({line(kind.source)}): {line(kind.description)}"


def _rename(desk: Desk, given: str) -> Iterator[str]:
    if desk.assembled.store is None or not given:
        yield "usage: /rename NAME, for a session that is stored"
        return
    desk.assembled.store.call(given)
    yield f"this session is called {given}"


def _trace(desk: Desk, _given: str) -> Iterator[str]:
    yield str(desk.trace) if desk.trace else "no trace is written; start with --emit-trace FILE"


def _quit(_desk: Desk, _given: str) -> Iterator[str]:
    raise Leave


COMMANDS = {
    "help": Command("what can be typed here", _help),
    "clear": Command("forget the conversation", _clear),
    "compact": Command("sum the conversation up; say what to keep"),
    "context": Command("what fills the context", _context),
    "cost": Command("what this session has used", _cost),
    "status": Command("project, model, mode, session", _status),
    "mode": Command("the permission mode, or another: /mode acceptEdits", _mode),
    "permissions": Command("the rules that hold", _permissions),
    "skills": Command("the skills and commands there are", _skills),
    "agents": Command("the subagents there are", _agents),
    "rename": Command("give this session a name", _rename),
    "trace": Command("where the trace is", _trace),
    "quit": Command("leave", _quit),
}
ALIASES = {"exit": "quit", "q": "quit", "?": "help", "usage": "cost"}
