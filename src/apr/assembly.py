"""A session put together: from options and settings to an agent that can be driven.

Each part is added here, by name, and imported only where it is wanted: what nobody has configured
costs nothing.
"""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from apr.agent.brakes import Repetition
from apr.agent.gate import Gate
from apr.agent.limits import Limits
from apr.agent.loop import Agent
from apr.agent.permissions import Mode, Policy, Rule, hidden
from apr.agent.prompt import first_prompt, look_around, system_prompt
from apr.agent.session import Session
from apr.legible import legible
from apr.providers.base import Provider, Request
from apr.providers.repeating import Unlooping
from apr.providers.retrying import Retrying
from apr.tools.base import Context, Tool
from apr.tools.files import FileLedger
from apr.tools.registry import BUILTIN, specs
from apr.tools.shells import Shells


class Options(Struct, frozen=True, kw_only=True):
    """What a session is to be, as far as the one who starts it says."""

    root: Path
    """The project: resolved, a directory."""
    directories: tuple[Path, ...] = ()
    """Further directories that count as the project's own."""
    mode: Mode | None = None
    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()
    system: str | None = None
    """Instead of the built-in system prompt."""
    append_system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    limits: Limits = Limits()
    trace: Path | None = None
    """The file that the trace goes to."""


class Assembled(Struct, kw_only=True):
    """A session that is ready to begin."""

    agent: Agent
    preface: str
    """What the model reads before the first prompt."""
    source: str = "startup"
    """What SessionStart hooks are told of where it comes from."""
    notices: list[str] = msgspec.field(default_factory=list)
    """What a person should know before it begins."""
    closing: list[Callable[[], Awaitable[None]]] = msgspec.field(default_factory=list)

    async def close(self) -> None:
        """End all that the session has started, the last first."""
        async with contextlib.AsyncExitStack() as stack:
            for close in self.closing:
                stack.push_async_callback(close)


def assemble(options: Options, provider: Provider, model: str) -> Assembled:
    """Put a session together. `model` is the name that the trace gives the model."""
    policy = Policy(
        root=options.root,
        mode=options.mode or "default",
        allow=options.allow,
        deny=options.deny,
        directories=options.directories,
    )
    shells = Shells()
    gate = Gate(policy)
    tools: list[Tool[Any]] = [t for t in BUILTIN if not taken_away(policy, t.name)]
    agent = Agent(
        Retrying(Unlooping(provider)),
        tools,
        gate,
        Context(
            root=options.root,
            cwd=options.root,
            files=FileLedger(),
            shells=shells,
            hidden=hidden(policy),
        ),
        Session(options.root, model=model, permission_mode=policy.mode, trace=options.trace),
        Request(
            system=legible(system_prompt(options.append_system, replace=options.system)),
            messages=(),
            tools=specs(tools),
            max_tokens=options.max_tokens,
            temperature=options.temperature,
        ),
        limits=options.limits,
    )
    agent.brakes = Repetition()
    preface = legible(first_prompt(look_around(options.root), ""))
    assembled = Assembled(agent=agent, preface=preface)
    assembled.closing += [agent.provider.close, shells.close]
    return assembled


def taken_away(policy: Policy, tool: str) -> bool:
    """Whether a rule forbids every use of the tool: then the model need not know of it."""
    return any(rule.speaks_of(tool) and rule.specifier is None for rule in policy.deny)
