"""What the user has added to a session: plugins, hooks, memory, skills, agents, MCP servers.

Each is read from where it is and imported only where there is one: what nobody has configured costs
nothing.
"""

import os
from typing import TYPE_CHECKING

from apr.agent.calls import Checked
from apr.agent.prompt import first_prompt, look_around
from apr.tools.base import Outcome

if TYPE_CHECKING:
    from apr.assembly import Assembled, Options
    from apr.plugins.enabled import Brought


def bring_plugins(assembled: "Assembled", options: "Options") -> "Brought | None":
    """Return what the plugins bring that are turned on; None where none is."""
    if not options.settings.enabled_plugins:
        return None
    from apr.plugins.enabled import bring

    brought = bring(options.root, os.environ, options.settings)
    assembled.notices += brought.notices
    return brought


def add_hooks(assembled: "Assembled", options: "Options", brought: "Brought | None") -> None:
    """Let the user's hooks hear of what happens, and those of the program that drives us."""
    if not (options.settings.hooks or options.callbacks or (brought and brought.hooks)):
        return
    from apr.hooks.configured import declared
    from apr.hooks.declared import problems
    from apr.hooks.runner import HookRunner

    agent = assembled.agent
    hooks, notices = declared(options.settings, brought.hooks if brought else (), options.callbacks)
    assembled.notices += [*notices, *problems(hooks)]

    def facts() -> dict[str, str]:
        return {
            "session_id": agent.session.id,
            "transcript_path": str(assembled.store.path) if assembled.store else "",
            "permission_mode": agent.gate.policy.mode,
            "cwd": str(agent.context.cwd),
        }

    agent.gate.hooks = HookRunner(hooks, options.root, facts, environment=options.settings.env)


def add_memory(assembled: "Assembled", options: "Options") -> None:
    """Have the model read the instruction files: now, and those of a directory when it is there."""
    from apr.memory import BUDGET, load, nested, render

    budget = options.settings.apr.memory_budget or BUDGET
    memory = load(
        options.root,
        os.environ,
        directories=options.directories,
        sources=options.sources,
        excluded=options.settings.claude_md_excludes,
        budget=budget,
    )
    assembled.notices += memory.notices
    if text := render(memory.pieces):
        assembled.preface += f"{text}\n\n"
    agent = assembled.agent

    def footnotes(checked: Checked, outcome: Outcome) -> str:
        touched = (*outcome.files_read, *outcome.files_written)
        return render(piece for path in touched for piece in nested(memory, path, budget=budget))

    agent.footnotes = footnotes


def add_library(assembled: "Assembled", options: "Options", brought: "Brought | None") -> None:
    """Let the agent have others work for it, and load what the user has written for some tasks."""
    from apr.skills.found import discover, places
    from apr.skills.library import SkillLibrary, listing
    from apr.subagents import definitions
    from apr.subagents.company import Company
    from apr.subagents.kinds import listing as listing_of_kinds
    from apr.subagents.kinds import roster
    from apr.tools.agent import Agent as AgentTool

    agent = assembled.agent
    where = places(options.root, os.environ, options.sources)
    where += brought.places if brought else ()
    own, notices = definitions.read(where)
    given = definitions.given(options.agents) if options.agents else {}
    kinds = roster({**own, **given})
    memory = assembled.preface.partition("</environment>\n\n")[2]
    company = Company(
        lambda: agent, lambda there: first_prompt(look_around(there.root), "") + memory
    )
    assembled.closing.append(company.close)
    agent.background = company
    (assembled.known if options.core_tools else assembled.offered).append(AgentTool(company, kinds))
    if not options.core_tools:
        assembled.preface += f"Agents for the Agent tool:\n{listing_of_kinds(kinds)}\n\n"
    skills, more = discover(where)
    if options.skills is not None:
        skills = {
            name: s for name, s in skills.items() if s.kind != "skill" or name in options.skills
        }
    assembled.kinds, assembled.skills = kinds, skills
    prompts = assembled.servers.expand if assembled.servers is not None else None
    agent.library = library = SkillLibrary(skills, lambda: agent, prompts)
    listed, cut = listing(skills)
    assembled.notices += [*notices, *more, *cut]
    if listed:
        from apr.tools.skill import Skill as SkillTool

        assembled.offered.append(SkillTool(library, agent.gate, company, kinds))
        assembled.preface += f"Skills:\n{listed}\n\n"


def add_servers(assembled: "Assembled", options: "Options", brought: "Brought | None") -> None:
    """Let the agent use what MCP servers offer, now and when they offer something else."""
    if options.core_tools:
        return
    from apr.mcp.config import Source
    from apr.mcp.gather import gather

    plugins = [Source("plugin", "plugins", brought.servers)] if brought and brought.servers else []
    assembled.servers = servers = gather(
        options.root,
        options.settings,
        changed=assembled.give_tools,
        tell=assembled.notices.append,
        flags=options.mcp,
        strict=options.only_mcp,
        plugins=plugins,
        sources=options.sources,
        transports=options.transports,
    )
    if servers is not None:
        assembled.opening.append(servers.ready)
        assembled.closing.append(servers.close)
