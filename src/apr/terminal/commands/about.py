"""What there is to know: /help, /status, /cost, /doctor, /debug."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping

from apr import __version__
from apr.providers.base import Provider
from apr.terminal.commands.desk import Command, Desk
from apr.terminal.commands.layout import table, wrapped
from apr.terminal.ledger import answer_in_a_line, hook_in_a_line
from apr.ui.amounts import duration, size
from apr.ui.terminal import line

_LAST = 5
"""Hooks and notices that /debug shows."""
TYPED = (
    ("!COMMAND", "runs a shell line"),
    ("#NOTE", "adds to memory"),
    ("@FILE", "gives a file; Tab completes it"),
)


async def help_(desk: Desk, given: str) -> AsyncIterator[str]:
    """Show what can be typed, or what is known of one command."""
    from apr.terminal.commands.table import ALIASES, COMMANDS

    name = given.removeprefix("/")
    name = ALIASES.get(name, name)
    if name in COMMANDS:
        command = COMMANDS[name]
        yield wrapped(f"/{name} {command.usage}".rstrip(), desk.width())
        yield wrapped(command.description, desk.width())
        return
    for shown in _everything(desk, COMMANDS):
        yield shown


def _everything(desk: Desk, commands: Mapping[str, Command]) -> Iterator[str]:
    width = desk.width()
    yield from table(((f"/{name}", one.description) for name, one in commands.items()), width)
    own = [
        (f"/{line(skill.name)}", line(skill.description))
        for skill in desk.assembled.skills.values()
        if skill.by_user
    ]
    servers = desk.assembled.servers
    prompts = servers.prompts() if servers is not None else ()
    own += [(f"/{line(prompt.name)}", line(prompt.description)) for prompt in prompts]
    if own:
        yield "your own:"
        yield from table(own, width)
    yield from table(TYPED, width)
    yield from table(desk.keymap.described(), width)
    yield wrapped("/help NAME says more of a command.", width)


async def status(desk: Desk, _given: str) -> AsyncIterator[str]:
    """Show what the session is, and where it is kept."""
    assembled, agent, policy = desk.assembled, desk.assembled.agent, desk.policy
    servers = assembled.servers.all if assembled.servers is not None else []
    up = sum(served.status == "connected" for served in servers)
    rows = [
        ("apr", __version__),
        ("project", str(desk.root)),
        ("model", agent.session.model),
        ("mode", policy.mode),
        ("session", agent.session.id),
        ("stored in", str(assembled.store.path) if assembled.store else "nowhere"),
        ("trace", str(desk.trace) if desk.trace else "none; /trace FILE begins one"),
        ("sandbox", "commands are confined" if assembled.sandbox else "off"),
        *(("directory", str(path)) for path in policy.directories),
    ]
    if servers:
        rows.append(("MCP servers", f"{len(servers)}, {up} connected"))
    files = dict.fromkeys(entry.source.name for entry in desk.plan.settings().entries)
    rows += [("settings", name) for name in files]
    for shown in table([(name, line(value)) for name, value in rows], desk.width()):
        yield shown


async def cost(desk: Desk, _given: str) -> AsyncIterator[str]:
    """Show what the session has used, as tokens, time and money."""
    ledger, session = desk.ledger, desk.assembled.agent.session
    asked = ledger.requests_ms / 1000
    rows = [
        ("answers", f"{ledger.answers:,}"),
        ("tokens in", f"{session.tokens_in:,}, of which {ledger.tokens_cached:,} were remembered"),
        ("tokens out", f"{session.tokens_out:,}"),
        ("time", f"{duration(session.elapsed_ms / 1000)}, of which {asked:.1f} s in the model"),
    ]
    if (speed := desk.screen.tokens_per_second) is not None:
        rows.append(("speed", f"{speed:.1f} tokens/s in the last answer"))
    if ledger.lines_added or ledger.lines_removed:
        rows.append(("lines", f"{ledger.lines_added:,} added, {ledger.lines_removed:,} removed"))
    price = "nothing: the model runs on this machine"
    rows.append(("price", price if desk.plan.cost == 0 else "not known of this server"))
    for shown in table(rows, desk.width()):
        yield shown


async def doctor(desk: Desk, _given: str) -> AsyncIterator[str]:
    """Run the checks of `apr doctor`, and show each when it is done."""
    from apr.doctor.checks import findings

    checks = findings(desk.root, os.environ)
    width = desk.width()
    while (finding := await asyncio.to_thread(next, checks, None)) is not None:
        mark = {"ok": "✓", "note": "·", "broken": "✗"}[finding.state]
        yield wrapped(f"{mark} {line(finding.about)}: {line(finding.says)}", width, rest="  ")
        if finding.do and finding.state != "ok":
            yield wrapped(line(finding.do), width, first="  → ", rest="    ")


async def debug(desk: Desk, given: str) -> AsyncIterator[str]:
    """Show the last request, and say of each that comes what it took; or no more."""
    ledger = desk.ledger
    if given not in {"", "on", "off"}:
        yield "usage: /debug [on|off]"
        return
    for shown in table(_last_request(desk), desk.width()):
        yield shown
    on = ledger.tell is None if not given else given == "on"
    ledger.tell = desk.screen.say if on else None
    yield f"Requests and hooks are {'shown as they happen' if on else 'not shown any more'}."


def _last_request(desk: Desk) -> Iterator[tuple[str, str]]:
    import msgspec

    agent, ledger = desk.assembled.agent, desk.ledger
    shown = agent.request.tools
    messages = msgspec.json.encode(agent.messages)
    yield "system prompt", f"{len(agent.request.system):,} characters"
    yield "tools", f"{len(shown)} shown, {size(len(msgspec.json.encode(shown)))} as JSON"
    yield "history", f"{len(agent.messages)} messages, {size(len(messages))} as JSON"
    yield "last answer", answer_in_a_line(ledger.last) if ledger.last else "none yet"
    yield "context", f"{agent.provider.context:,} tokens" if agent.provider.context else "not known"
    yield from ((name, line(value)) for name, value in _engine(desk))
    hooks = [line(hook_in_a_line(event)) for event in list(ledger.hooks)[-_LAST:]]
    notices = [line(text) for text in list(ledger.notices)[-_LAST:]]
    yield from (("hook", text.removeprefix("hook ")) for text in hooks)
    yield from (("notice", text) for text in notices)


def _engine(desk: Desk) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of the engine, where the model is one of this machine's."""
    from apr.engine.state import EngineError
    from apr.providers.local import LocalModel

    provider = innermost(desk.assembled.agent.provider)
    yield "provider", type(provider).__name__
    if not isinstance(provider, LocalModel):
        return
    yield "model file", str(provider.path)
    if provider.endpoint is not None:
        yield "engine", f"{provider.endpoint.base_url}, process {provider.endpoint.pid}"
    with contextlib.suppress(EngineError):
        yield "engine log", str(provider.log)


def innermost(provider: Provider) -> Provider:
    """Return the wire itself, without what asks it again."""
    from apr.providers.repeating import Unlooping
    from apr.providers.retrying import Retrying

    while isinstance(provider, Retrying | Unlooping):
        provider = provider.inner
    return provider
