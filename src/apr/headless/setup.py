"""What the program that drives us wants the session to be: its first request, `initialize`."""

import os
from typing import Any

import msgspec
from msgspec import Struct, field

from apr.assembly import Assembled, Options
from apr.errors import AprError
from apr.headless.arrivals import Arrival, ControlRequest
from apr.headless.callbacks import Matcher, declared
from apr.headless.host import Host

_IDLE = ("memory", "initialPrompt", "effort")
"""What an agent of the program may say that has no effect here."""


class Initialize(Struct, rename="camel"):
    """The session as the program wants it. What the command line says already is not in it."""

    hooks: dict[str, list[Matcher]] | None = None
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    skills: tuple[str, ...] | None = None
    """The skills that the model may use; None for all."""
    system_prompt: str | None = None
    append_system_prompt: str | None = None
    exclude_dynamic_sections: bool = True
    """They never are in the system prompt."""
    system_prompt_snapshot: bool = False
    forward_subagent_text: bool = False
    json_schema: dict[str, Any] | None = None
    """What every answer must be of."""


def initialize(arrival: Arrival | None) -> Initialize | None:
    """Return what an arrival wants the session to be; None where it is another thing.

    Raises:
        AprError: it cannot be.
    """
    if not isinstance(arrival, ControlRequest) or arrival.subtype != "initialize":
        return None
    try:
        wanted = msgspec.convert(arrival.request, Initialize)
    except msgspec.ValidationError as error:
        raise AprError(f"initialize: {error}") from None
    if wanted.system_prompt_snapshot:
        raise AprError(
            "initialize: systemPromptSnapshot: a session does not keep its system prompt; the one "
            "that is given counts"
        )
    for name, agent in wanted.agents.items():
        if agent.get("mcpServers"):
            raise AprError(f"initialize: agents.{name}.mcpServers: an agent has the session's own")
    return wanted


def applied(wanted: Initialize, options: Options, host: Host) -> tuple[Options, list[str]]:
    """Return the options with what the program wants, and what is said of what has no effect."""
    hooks, notices = declared(wanted.hooks or {}, host)
    for name, agent in wanted.agents.items():
        if idle := [key for key in _IDLE if agent.get(key)]:
            notices.append(f"agents.{name}: {', '.join(idle)}: of no effect here")
    agents = options.agents
    if wanted.agents:
        given = msgspec.json.decode(options.agents) if options.agents else {}
        agents = msgspec.json.encode({**given, **wanted.agents}).decode()
    options = msgspec.structs.replace(
        options,
        callbacks=hooks,
        agents=agents,
        skills=wanted.skills,
        system=wanted.system_prompt or options.system,
        append_system=wanted.append_system_prompt or options.append_system,
        schema=_schema(wanted) or options.schema,
    )
    return options, notices


def _schema(wanted: Initialize) -> dict[str, Any] | None:
    if wanted.json_schema is None:
        return None
    from apr.structured import read_schema

    return read_schema(msgspec.json.encode(wanted.json_schema).decode())


def welcome(assembled: Assembled) -> dict[str, Any]:
    """Return the answer to `initialize`: what there is in this session."""
    model = assembled.agent.session.model
    return {
        "commands": [
            {
                "name": skill.name,
                "description": skill.description,
                "argumentHint": skill.argument_hint,
            }
            for skill in assembled.skills.values()
            if skill.by_user
        ],
        "agents": [
            {"name": kind.name, "description": kind.description}
            for kind in assembled.kinds.values()
        ],
        "models": [{"value": "default", "displayName": model, "description": ""}],
        "output_style": "default",
        "available_output_styles": ["default"],
        "account": {},
        "pid": os.getpid(),
        "hook_on_failure_supported": True,
        "hooks_applied": True,
    }
