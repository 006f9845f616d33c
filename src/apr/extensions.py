"""What the user has added to a session: plugins, hooks, memory, skills, agents, MCP servers.

Each is read from where it is and imported only where there is one: what nobody has configured costs
nothing.
"""

import os
from typing import TYPE_CHECKING

from apr.agent.calls import Checked
from apr.agent.prompt import first_prompt, look_around
from apr.legible import legible
from apr.tools.base import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from apr.agent.loop import Agent
    from apr.agent.parts import Footnotes
    from apr.assembly import Assembled, Options
    from apr.plugins.enabled import Brought
    from apr.skills.found import Skill
    from apr.subagents.company import Outfit
    from apr.subagents.kinds import Kind


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

    confine = assembled.sandbox.confine if assembled.sandbox else None
    agent.gate.hooks = HookRunner(
        hooks, options.root, facts, environment=options.settings.env, confine=confine
    )


def add_memory(assembled: "Assembled", options: "Options") -> None:
    """Have the model read the instruction files: now, and those of a directory when it is there."""
    from apr.memory import BUDGET, load, render
    from apr.memory.notes import Notes

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
    assembled.agent.footnotes = Notes(memory, budget)


def add_library(assembled: "Assembled", options: "Options", brought: "Brought | None") -> None:
    """Let the agent have others work for it, and load what the user has written for some tasks."""
    from apr.skills.found import discover, places
    from apr.skills.library import SkillLibrary, listing
    from apr.subagents import definitions
    from apr.subagents.company import Company
    from apr.subagents.kinds import listing as listing_of_kinds
    from apr.subagents.kinds import roster
    from apr.subagents.tasks import TaskOutput, TaskStop
    from apr.tools.agent import Agent as AgentTool
    from apr.tools.skill import Skill as SkillTool

    agent = assembled.agent
    where = places(options.root, os.environ, options.sources)
    where += brought.places if brought else ()
    own, said = definitions.read(definitions.ranked(where))
    given, also = definitions.given(options.agents) if options.agents else ({}, [])
    kinds = roster({**own, **given})
    skills, more = discover(where)
    if options.skills is not None:
        skills = {
            name: s for name, s in skills.items() if s.kind != "skill" or name in options.skills
        }
    listed, cut = listing(skills)
    assembled.kinds, assembled.skills = kinds, skills
    assembled.notices += [*said, *also, *more, *cut]
    grants = not options.settings.allow_managed_permission_rules_only
    outfit = _outfit(assembled, skills, listed, kinds, grants=grants)
    company = Company(lambda: agent, outfit, options.open_model)
    assembled.closing.append(company.close)
    agent.background = company
    of_tasks = {tool.name: tool for tool in (TaskOutput(company), TaskStop(company))}
    assembled.offered = [of_tasks.get(tool.name, tool) for tool in assembled.offered]
    assembled.offered.append(AgentTool(company, kinds))
    assembled.beyond.add(AgentTool.name)
    if not options.core_tools and (options.tools is None or AgentTool.name in options.tools):
        assembled.preface += f"Agents for the Agent tool:\n{listing_of_kinds(kinds)}\n\n"
    prompts = assembled.servers.expand if assembled.servers is not None else None
    agent.library = library = SkillLibrary(skills, lambda: agent, prompts, grants=grants)
    agent.footnotes = _with_skills(agent.footnotes, options.root, skills)
    skill_tool = SkillTool(library, agent.gate, company, kinds)
    if listed:
        assembled.offered.append(skill_tool)
    else:
        assembled.known[SkillTool.name] = lambda: skill_tool
    if listed and (options.tools is None or SkillTool.name in options.tools):
        assembled.preface += f"Skills:\n{listed}\n\n"


def _outfit(
    assembled: "Assembled",
    skills: "dict[str, Skill]",
    listed: str,
    kinds: "dict[str, Kind]",
    *,
    grants: bool,
) -> "Outfit":
    """Return what gives each subagent its own notes and skills, and what it reads first."""
    from apr.memory.notes import Notes
    from apr.skills.found import named
    from apr.skills.library import SkillLibrary
    from apr.tools.skill import Skill as SkillTool

    memory = assembled.preface.partition("</environment>\n\n")[2]
    notes = assembled.agent.footnotes

    async def fit_out(agent: "Agent", kind: "Kind") -> str:
        root = agent.context.root
        apart = notes.apart(root) if isinstance(notes, Notes) and kind.memory else None
        agent.footnotes = _with_skills(apart, root, skills)
        library = SkillLibrary(skills, lambda: agent, grants=grants)
        if SkillTool.name in agent.tools:
            theirs = SkillTool(library, agent.gate, None, kinds)
            agent.tools = {**agent.tools, SkillTool.name: theirs}
        parts = [legible(first_prompt(look_around(root), "")), memory if kind.memory else ""]
        if SkillTool.name in agent.tools and listed:
            parts.append(f"Skills:\n{listed}\n\n")
        wanted = (named(skills, name) for name in kind.skills)
        parts += [f"{await library.text(skill, '')}\n\n" for skill in wanted if skill is not None]
        return "".join(parts)

    return fit_out


def _with_skills(
    notes: "Footnotes | None", root: "Path", skills: "dict[str, Skill]"
) -> "Footnotes":
    """Have the model hear of skills beside what it reads anyway of the files it touches."""
    from apr.skills.nearby import Nearby

    nearby = Nearby(root, skills)

    def footnotes(checked: Checked, outcome: Outcome) -> str:
        said = [notes(checked, outcome)] if notes is not None else []
        said.append(nearby.told((*outcome.files_read, *outcome.files_written)))
        return "\n\n".join(filter(None, said))

    return footnotes


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
        approves=options.approves,
    )
    if servers is not None:
        assembled.opening.append(servers.ready)
        assembled.closing.append(servers.close)
