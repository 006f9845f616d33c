"""A session put together: from options and settings to an agent that can be driven.

Each part is added here, by name, and imported only where it is wanted: what nobody has configured
costs nothing.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from apr.agent.brakes import Repetition
from apr.agent.compaction import Compactor
from apr.agent.gate import Gate
from apr.agent.limits import Limits
from apr.agent.loop import Agent
from apr.agent.permissions import BadRule, Mode, Policy, hidden, parse_rules
from apr.agent.prompt import first_prompt, look_around, system_prompt
from apr.agent.session import Session
from apr.directories import directory as directory
from apr.errors import AprError
from apr.extensions import add_hooks, add_library, add_memory, add_servers, bring_plugins
from apr.later import Later
from apr.legible import legible
from apr.providers.base import Provider, Request
from apr.providers.repeating import Unlooping
from apr.providers.retrying import Retrying
from apr.settings import SOURCES, Settings, permission_mode, rules
from apr.storing import add_cleanup, add_store, stored_session
from apr.tools.base import Context, Tool
from apr.tools.files import Disk, FileLedger, Storage
from apr.tools.registry import builtin, find, later, specs, specs_later
from apr.tools.shells import Shells
from apr.tools.tasks import Tasks
from ccpa.trace import Record

if TYPE_CHECKING:
    from apr.hooks.declared import Declared
    from apr.mcp.client import Transport
    from apr.mcp.servers import Servers
    from apr.sandbox.confinement import Confinement
    from apr.sessions.keeping import Keeping
    from apr.sessions.stored import Stored
    from apr.sessions.writer import SessionWriter
    from apr.skills.found import Skill
    from apr.subagents.kinds import Kind


class Options(Struct, frozen=True, kw_only=True):
    """What a session is to be, as far as the one who starts it says."""

    root: Path
    """The project: resolved, a directory."""
    directories: tuple[Path, ...] = ()
    """Further directories that count as the project's own."""
    settings: Settings = Settings()
    sources: tuple[str, ...] = SOURCES
    """Which of the user's, the project's and the local files are read."""
    mode: str | None = None
    """The permission mode; None for that of the settings."""
    allow: tuple[str, ...] = ()
    """Permission rules, as they are written."""
    deny: tuple[str, ...] = ()
    system: str | None = None
    """Instead of the built-in system prompt."""
    append_system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    vision: bool = False
    """Whether the model can be shown pictures."""
    limits: Limits = Limits()
    trace: Path | None = None
    """The file that the trace goes to."""
    resume: str | None = None
    """The session to go on with: its id, a beginning of that, its name; empty for the latest."""
    fork: bool = False
    """Whether to go on in a copy of it."""
    session_id: str | None = None
    """The id of a new session."""
    name: str | None = None
    """What the session is called."""
    persist: bool = True
    """Whether the session is stored."""
    open_model: Callable[[str], tuple[Provider, str]] | None = None
    """Opens a model by its name, for subagents that are meant for another one."""
    agents: str | None = None
    """Kinds of subagents, as JSON."""
    mcp: tuple[str, ...] = ()
    """MCP servers: files, or JSON as it stands."""
    only_mcp: bool = False
    """Whether those are all there are."""
    tools: tuple[str, ...] | None = None
    """The built-in tools there are to be; None for all."""
    skills: tuple[str, ...] | None = None
    """The skills that the model may use; None for all."""
    asks: bool = False
    """Whether there is somebody who can be asked."""
    storage: Callable[[str], Storage] = lambda _session: Disk()
    """By the session's id, where its files are read and written."""
    approves: bool = False
    """Whether they can approve the project's MCP servers, which do not start before."""
    callbacks: "Declared" = {}
    """Hooks of the program that drives the session."""
    transports: "Mapping[str, Callable[[], Transport]]" = {}
    """By name, how the MCP servers are reached that live in that program."""
    schema: dict[str, Any] | None = None
    """The JSON Schema that each answer must be of; None for free text."""
    request: Mapping[str, Any] = {}
    """Further fields of what a model is asked with, as its server knows them."""
    core_tools: bool = False
    """Whether the model is given the eight core tools only: a small model may know no others."""


class Assembled(Struct, kw_only=True):
    """A session that is ready to begin."""

    agent: Agent
    preface: str
    """What the model reads before the first prompt."""
    source: str = "startup"
    """What SessionStart hooks are told of where it comes from."""
    store: "SessionWriter | None" = None
    """The sink that keeps the session."""
    keeping: "Keeping | None" = None
    """The sink that keeps the files that the tools change."""
    ending: list[Record] = msgspec.field(default_factory=list)
    """Of a session that goes on, the last prompt and what came of it."""
    notices: list[str] = msgspec.field(default_factory=list)
    """What a person should know before it begins."""
    offered: list[Tool[Any]] = msgspec.field(default_factory=list)
    """The tools that the model is shown, in this order."""
    known: dict[str, Callable[[], Tool[Any]]] = msgspec.field(default_factory=dict)
    """By name, tools that run when they are called, and are not shown: most tasks do not need
    them. Each is made when there is a use for it."""
    beyond: set[str] = msgspec.field(default_factory=set)
    """Of the offered tools, the names of those that a model with the core tools is not shown."""
    core_only: bool = False
    """Whether the model is given the core tools only: a small model may know no others."""
    tasks: Tasks = msgspec.field(default_factory=Tasks)
    """The list of tasks."""
    kinds: Mapping[str, "Kind"] = msgspec.field(default_factory=dict)
    """The subagents there are."""
    skills: Mapping[str, "Skill"] = msgspec.field(default_factory=dict)
    """The user's skills and commands."""
    sandbox: "Confinement | None" = None
    """Where commands are confined."""
    servers: "Servers | None" = None
    """The MCP servers, where there are any."""
    opening: list[Callable[[], Awaitable[None]]] = msgspec.field(default_factory=list)
    closing: list[Callable[[], Awaitable[None]]] = msgspec.field(default_factory=list)

    def give_tools(self) -> None:
        """Give the agent its tools, but for those that a rule takes away altogether."""
        agent, policy = self.agent, self.agent.gate.policy
        theirs = self.servers.tools() if self.servers is not None else []
        shown, aside = [*self.offered, *theirs], []
        if self.core_only:
            shown = [tool for tool in self.offered if tool.name not in self.beyond]
            aside = [*(tool for tool in self.offered if tool not in shown), *theirs]
        there = {t.name: t for t in (*shown, *aside) if not taken_away(policy, t.name)}
        makers = {name: m for name, m in self.known.items() if not taken_away(policy, name)}
        agent.tools = Later(there, makers)
        shown = [tool for tool in shown if tool.name in there]
        told = {tool.name for tool in shown}
        agent.request = msgspec.structs.replace(
            agent.request,
            tools=specs(shown),
            known=specs_later(agent.tools, [name for name in agent.tools if name not in told]),
        )

    def show(self, name: str) -> None:
        """Have the model shown a tool that it only knew: there is a use for it from now on."""
        make = self.known.pop(name, None)
        if make is not None:
            self.offered.append(make())
            self.beyond.add(name)
            self.give_tools()

    def enforce(self, policy: Policy) -> None:
        """Have a policy count from now on: for calls, searches, confined commands, tools shown."""
        self.agent.gate.policy = policy
        self.agent.context.hidden = hidden(policy)
        if self.sandbox is not None:
            self.sandbox.follow(policy)
        if policy.mode == "plan":
            self.show("ExitPlanMode")
        self.give_tools()

    def use(self, provider: Provider, model: str) -> None:
        """Ask another model from the next request on, with the tools that it is given."""
        from apr.models.resolve import DEMO

        self.agent.provider = Retrying(Unlooping(provider))
        self.agent.session.model = model
        self.closing.append(provider.close)
        self.core_only = model == DEMO
        self.give_tools()

    async def open(self) -> None:
        """Wait for what must be there before the first prompt. It may add to `notices`."""
        for opened in self.opening:
            await opened()

    async def close(self) -> None:
        """End all that the session has started, the last first."""
        async with contextlib.AsyncExitStack() as stack:
            for close in self.closing:
                stack.push_async_callback(close)


def assemble(options: Options, provider: Provider, model: str) -> Assembled:
    """Put a session together. `model` is the name that the trace gives the model.

    Raises:
        AprError: the settings forbid it, or a stored session cannot be taken up.
    """
    notices = list(options.settings.notices)
    policy = _policy(options)
    sandbox = _sandbox(options, policy, notices)
    policy = policy if sandbox is None else sandbox.policy
    shells = Shells(options.settings.env, sandbox)
    gate = Gate(policy)
    stored = stored_session(options)
    files = FileLedger(stored.seen if stored else None)
    session = _session(options, policy, model, stored)
    agent = Agent(
        Retrying(Unlooping(provider)),
        (),
        gate,
        Context(
            root=options.root,
            cwd=options.root,
            files=files,
            shells=shells,
            storage=options.storage(session.id),
            hidden=hidden(policy),
        ),
        session,
        Request(
            system=legible(system_prompt(options.append_system, replace=options.system)),
            messages=(),
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            options=dict(options.request),
        ),
        limits=options.limits,
    )
    agent.brakes = Repetition()
    tasks = Tasks()
    agent.window = Compactor(lambda: agent.provider.context, tasks.open)
    preface = legible(first_prompt(look_around(options.root), ""))
    assembled = Assembled(
        agent=agent,
        preface=preface,
        offered=builtin(sees=options.vision),
        core_only=options.core_tools,
        tasks=tasks,
    )
    if sandbox is not None:
        assembled.sandbox = sandbox
        assembled.closing.append(sandbox.close)
    assembled.closing += [agent.provider.close, shells.close]
    assembled.notices += notices
    brought = bring_plugins(assembled, options)
    add_hooks(assembled, options, brought)
    add_memory(assembled, options)
    _add_tools(assembled, options, tasks)
    add_servers(assembled, options, brought)
    add_library(assembled, options, brought)
    if options.tools is not None:
        _keep_only(assembled, options.tools)
    if options.schema is not None:
        from apr.headless.structured import demand

        demand(assembled, options.schema)
    assembled.give_tools()
    if stored is not None:
        from apr.tools.task_replay import replay

        agent.messages = list(stored.messages)
        replay(tasks, stored.listing)
        assembled.source = "resume"
        assembled.ending = stored.ending
    if options.persist:
        add_cleanup(assembled, options)
        if options.settings.cleanup_period_days != 0:
            add_store(assembled, options, stored)
    return assembled


def _policy(options: Options) -> Policy:
    """Return what may be done: by the settings, and by who starts the session."""
    settings = options.settings
    chosen = rules(settings, allow=options.allow, deny=options.deny)
    added = (directory(options.root, n) for n in settings.permissions.additional_directories)
    try:
        return Policy(
            root=options.root,
            mode=msgspec.convert(permission_mode(settings, options.mode), Mode),
            allow=parse_rules(chosen.allow),
            ask=parse_rules(chosen.ask),
            deny=parse_rules(chosen.deny),
            directories=(*options.directories, *added),
        )
    except BadRule as error:
        raise AprError(str(error)) from None


def _sandbox(options: Options, policy: Policy, notices: list[str]) -> "Confinement | None":
    """Return what confines commands, where the settings want that."""
    settings = options.settings
    if not settings.sandbox.enabled:
        return None
    from apr.sandbox.confinement import confinement

    return confinement(settings.sandbox, policy, settings.env, notices)


def _add_tools(assembled: Assembled, options: Options, tasks: Tasks) -> None:
    """Add the tools beyond the core: some are shown where they are of use, all run when called."""
    gate = assembled.agent.gate
    search = options.settings.apr.web_search.url
    made_with: dict[str, tuple[Any, ...]] = {
        "NotebookEdit": (),
        "Monitor": (),
        "TodoWrite": (tasks,),
        "TaskCreate": (tasks,),
        "TaskGet": (tasks,),
        "TaskList": (tasks,),
        "TaskUpdate": (tasks,),
        "ExitPlanMode": (gate,),
        "AskUserQuestion": (),
        "WebFetch": (gate,),
        "WebSearch": (search,),
    }
    beyond = {name: later(name, *arguments) for name, arguments in made_with.items()}
    fetches = gate.policy.mode == "bypassPermissions" or _allowed(gate, "WebFetch")
    wanted = {
        "TodoWrite": True,
        "ExitPlanMode": gate.policy.mode == "plan",
        "AskUserQuestion": options.asks,
        "WebSearch": search is not None,
        "WebFetch": options.asks or fetches,
    }
    shown = [name for name, shows in wanted.items() if shows]
    assembled.offered += [beyond.pop(name)() for name in shown]
    assembled.beyond.update(shown)
    assembled.known.update(beyond)


def _allowed(gate: Gate, tool: str) -> bool:
    """Whether a rule allows some use of a tool."""
    return any(rule.speaks_of(tool) for rule in gate.policy.allow)


def _keep_only(assembled: Assembled, names: tuple[str, ...]) -> None:
    """Leave the built-in tools of these names. Those that would not be shown are asked for now."""
    there = Later({tool.name: tool for tool in assembled.offered}, assembled.known)
    wanted = {name: find(name, there) for name in names}
    assembled.notices += [
        f"there is no built-in tool named {name}" for name, tool in wanted.items() if tool is None
    ]
    kept = {tool.name for tool in wanted.values() if tool is not None}
    assembled.offered = [there[name] for name in there if name in kept]
    assembled.known = {}
    assembled.beyond.clear()


def _session(options: Options, policy: Policy, model: str, stored: "Stored | None") -> Session:
    own_id = options.session_id
    if stored is not None and not options.fork:
        own_id = stored.id
    return Session(
        options.root,
        model=model,
        permission_mode=policy.mode,
        trace=options.trace,
        session_id=own_id,
        parent=stored.id if stored else None,
        turn=stored.turn if stored else -1,
    )


def taken_away(policy: Policy, tool: str) -> bool:
    """Whether a rule forbids every use of the tool: then the model need not know of it."""
    return any(rule.speaks_of(tool) and rule.specifier is None for rule in policy.deny)
