"""`apr code`: work on a task in a project."""

import argparse
import asyncio
import contextlib
import itertools
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from apr.agent.limits import Limits
from apr.agent.permissions import MODES
from apr.assembly import Assembled, Options, assemble, directory
from apr.cli import compatible
from apr.cli.model import add_model_options, provider_of
from apr.cli.options import duration, positive, session_id, setting_sources
from apr.cli.stdin import piped_in
from apr.errors import AprError
from apr.headless.drive import Sink, drive
from apr.legible import legible
from apr.providers.base import Provider
from apr.settings import SOURCES, Settings, load
from apr.ui.terminal import plain

if TYPE_CHECKING:
    from apr.terminal.app import Terminal
    from apr.ui.lines import Lines
    from apr.ui.result import Tally
    from apr.ui.stream_json import StreamJson

EPILOG = """\
examples:
  apr code --model demo "fix the failing test"
  git diff | apr code -p "review this change"
  apr code --permission-mode acceptEdits --allowedTools "Bash(npm test:*)" "make the tests pass"
  apr code --base-url http://127.0.0.1:8080/v1 --model qwen3-coder "explain src/main.c"
  apr code --emit-trace run.ccpa-trace.jsonl --output-format json "rename Foo to Bar"

Nobody can be asked while a run is headless: what would need consent is denied, and the run goes on.
exit codes: 0 done, 1 the run ended in an error, 2 wrong usage or input, 3 no such model,
130 interrupted."""

_ASKED = "?"
"""What `--resume` without a session is: no session has this name."""

NO_SUCH_MODEL = 3
"""The exit code of that error."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    parser.description = "Work on a task in a project, with a model on this machine."
    parser.epilog = EPILOG
    add("prompt", nargs="?", help="the task; standard input is added to it when piped in")
    add("-p", "--print", action="store_true", help="run headless (implied by a prompt or a pipe)")
    add("-C", "--project", metavar="DIR", default=".", help="the project (default: here)")
    add("--add-dir", metavar="DIR", action="append", default=[], help="also part of the project")
    add_model_options(parser)
    add("--max-turns", metavar="N", type=positive, help="end after N answers of the model")
    add(
        "--max-tokens-total",
        metavar="N",
        type=positive,
        help="end after N tokens, cached ones apart",
    )
    add("--timeout", metavar="TIME", type=duration, help="end after this time: 90s, 10m, 1h")
    add("--permission-mode", choices=MODES)
    add("--settings", metavar="FILE", help="further settings: a file, or JSON as it stands")
    add(
        "--setting-sources",
        metavar="LIST",
        type=setting_sources,
        default=SOURCES,
        help="whose settings are read, of user,project,local (default: all)",
    )
    add("--allowedTools", "--allowed-tools", dest="allow", metavar="RULES", action="append")
    add("--disallowedTools", "--disallowed-tools", dest="deny", metavar="RULES", action="append")
    add("--mcp-config", metavar="FILE", action="append", help="MCP servers: a file, or JSON")
    add("--strict-mcp-config", action="store_true", help="no MCP servers but those")
    add("--system-prompt", metavar="TEXT", help="instead of the built-in system prompt")
    add("--append-system-prompt", metavar="TEXT", help="added to the system prompt")
    add("--agents", metavar="JSON", help="further subagents: name to description, prompt, tools")
    add("-c", "--continue", dest="go_on", action="store_true", help="take up the last session")
    add(
        *("-r", "--resume"),
        metavar="SESSION",
        nargs="?",
        const=_ASKED,
        help="go on with this session: its id or name; without one, choose at a terminal",
    )
    add("--fork-session", action="store_true", help="go on in a copy of the session")
    add("--session-id", metavar="UUID", type=session_id, help="the id of a new session")
    add("-n", "--name", metavar="NAME", help="what the session is called")
    add("--no-session-persistence", action="store_true", help="do not store the session")
    add("--output-format", choices=("text", "json", "stream-json"), default="text")
    compatible.add_compatible_options(parser)
    add("--emit-trace", metavar="PATH", type=Path, help="write every action to this file")
    add("--trace-version", type=int, choices=(2, 3), default=3)
    add("--fork-trace", metavar="PATH", type=Path, help="begin with the answers of this trace")
    add("--fork-at", metavar="N", type=positive, help="how many; then the model goes on")


def run(args: argparse.Namespace) -> int:
    """Run headless; return the exit code."""
    compatible.check(args)
    options = _options(args)
    if args.input_format == "stream-json":
        return _serve(args, options)
    if _at_terminal(args):
        return _talk(args, options)
    prompt = _prompt(args.prompt)
    assembled = _begin(args, options)
    sinks = [*_kept(args, assembled), _shown(args, assembled)]
    return 0 if asyncio.run(drive(assembled, [prompt], sinks)) else 1


def _at_terminal(args: argparse.Namespace) -> bool:
    """Whether a person is to work with us, and not a program."""
    people = sys.stdin.isatty() and sys.stdout.isatty()
    return people and args.prompt is None and not args.print and args.input_format == "text"


def _talk(args: argparse.Namespace, options: Options) -> int:
    """Work with a person at the terminal, in one session after the other."""
    from apr.terminal.resume import choose
    from apr.ui.terminal import coloured

    options = msgspec.structs.replace(options, asks=True, approves=True)
    if options.resume == _ASKED:
        colour = coloured(sys.stdout)
        chosen = asyncio.run(choose(options.root, copy=options.fork, colour=colour))
        if chosen is None:
            return 0
        options = msgspec.structs.replace(options, resume=chosen)
    before: str | None = None
    while True:
        try:
            assembled = _begin(args, options)
        except AprError as error:
            if before is None:
                raise
            _warn(f"{error}\nBack in the session before.")
            options, before = msgspec.structs.replace(options, resume=before), None
            continue
        model, before = assembled.agent.session.model, assembled.agent.session.id
        terminal = _terminal(args, options, assembled, colour=coloured(sys.stdout))
        well = asyncio.run(terminal.run())
        if terminal.next is None:
            return 0 if well else 1
        now = assembled.agent.session.model
        args = _following(args, model=args.model if now == model else now)
        options = msgspec.structs.replace(
            options,
            resume=terminal.next,
            fork=False,
            session_id=None,
            name=None,
            trace=args.emit_trace.resolve() if args.emit_trace else None,
        )


def _terminal(
    args: argparse.Namespace, options: Options, assembled: Assembled, *, colour: bool
) -> "Terminal":
    from apr.terminal.app import Terminal
    from apr.terminal.commands import Plan

    plan = Plan(
        options=options,
        begin=lambda options: _begin(args, options),
        keep=lambda assembled: _kept(args, assembled),
        open_model=lambda name: _model(args, options, name),
        settings=lambda: _settings(args, options.root),
        cost=None if args.base_url else 0.0,
        server=bool(args.base_url),
    )
    kept = _kept(args, assembled)
    return Terminal(assembled, kept, trace=args.emit_trace, plan=plan, colour=colour)


def _following(args: argparse.Namespace, *, model: str | None) -> argparse.Namespace:
    """Return the arguments for the session that comes next: its trace is another's."""
    trace = args.emit_trace
    if trace is not None:
        name, dot, ending = trace.name.partition(".")
        names = (trace.with_name(f"{name}-{n}{dot}{ending}") for n in itertools.count(2))
        trace = next(path for path in names if not path.exists())
    changed = {"model": model, "emit_trace": trace, "fork_trace": None}
    return argparse.Namespace(**{**vars(args), **changed})


def _serve(args: argparse.Namespace, options: Options) -> int:
    """Let another program drive the session, over our standard input and output."""
    from apr.headless.remote import Plan, serve
    from apr.ui.lines import Lines

    def open_model(name: str | None) -> tuple[Provider, str]:
        chosen = args.model if name is None else name
        return _model(args, options, chosen)

    plan = Plan(
        options=options,
        begin=lambda options: _begin(args, options),
        keep=lambda assembled: _kept(args, assembled),
        show=lambda assembled, lines: _lines(args, assembled, lines),
        open_model=open_model,
        asks=args.permission_prompt_tool is not None,
        replay=args.replay_user_messages,
        warn=_warn,
    )
    served = serve(plan, sys.stdin.fileno(), Lines(sys.stdout.buffer))
    return 0 if asyncio.run(served) else 1


def _model(args: argparse.Namespace, options: Options, name: str | None) -> tuple[Provider, str]:
    named = argparse.Namespace(**{**vars(args), "model": name})
    return provider_of(named, setting=options.settings.model)


def _begin(args: argparse.Namespace, options: Options) -> Assembled:
    """Put the session together, and say what there is to say of it."""
    try:
        provider, model = _model(args, options, args.model)
    except AprError as error:
        if args.fallback_model is None or error.exit_code != NO_SUCH_MODEL:
            raise
        _warn(f"{error} Using {args.fallback_model} instead.")
        provider, model = _model(args, options, args.fallback_model)
    from apr.models.resolve import DEMO

    options = msgspec.structs.replace(
        options,
        core_tools=model == DEMO,  # by itself or served: it was trained on these
        open_model=lambda name: _model(args, options, name),
    )
    if args.fork_trace is not None:
        from apr.agent.retold import fork

        provider = fork(args.fork_trace, args.fork_at, provider)
    assembled = assemble(options, provider, model)
    while assembled.notices:
        _warn(assembled.notices.pop(0))
    return assembled


def _options(args: argparse.Namespace) -> Options:
    root = directory(Path(), args.project)
    if args.resume == _ASKED and not _at_terminal(args):
        from apr.sessions.finding import which

        raise AprError(which(root))
    sources = tuple(args.setting_sources)
    settings = _settings(args, root)
    system, added = compatible.system_prompt(args)
    return Options(
        root=root,
        settings=settings,
        sources=sources,
        directories=tuple(directory(Path(), name) for name in args.add_dir),
        mode=compatible.permission_mode(args),
        allow=tuple(args.allow or ()),
        deny=tuple(args.deny or ()),
        system=system,
        append_system=added,
        agents=args.agents,
        tools=compatible.tools(args),
        request=compatible.request_options(args),
        schema=compatible.schema(args),
        mcp=tuple(args.mcp_config or ()),
        only_mcp=args.strict_mcp_config,
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        vision=args.vision,
        limits=Limits(
            turns=args.max_turns or settings.apr.max_turns,
            tokens=args.max_tokens_total,
            deadline=None if args.timeout is None else time.monotonic() + args.timeout,
        ),
        trace=args.emit_trace.resolve() if args.emit_trace else None,
        resume="" if args.go_on else args.resume,
        fork=args.fork_session,
        session_id=args.session_id,
        name=args.name,
        persist=not args.no_session_persistence,
    )


def _settings(args: argparse.Namespace, root: Path) -> Settings:
    return load(root, os.environ, flag_settings=args.settings, sources=tuple(args.setting_sources))


def _kept(args: argparse.Namespace, assembled: Assembled) -> list[Sink]:
    """Return the sinks that keep what happens: they get it before it is shown."""
    sinks: list[Sink] = [s for s in (assembled.store, assembled.keeping) if s is not None]
    if args.emit_trace is not None:
        from apr.ui.trace import TraceWriter

        sinks.append(TraceWriter(args.emit_trace, version=args.trace_version, warn=_warn))
    return sinks


def _shown(args: argparse.Namespace, assembled: Assembled) -> Sink:
    """Return the sink that shows what happens, in the format that is asked for."""
    if args.output_format == "text":
        from apr.ui.text import TextPrinter

        return TextPrinter(sys.stdout, sys.stderr)
    if args.output_format == "json":
        from apr.ui.result import ResultPrinter

        return ResultPrinter(sys.stdout, _tally(args, assembled))
    from apr.ui.lines import Lines

    return _lines(args, assembled, Lines(sys.stdout.buffer))


def _tally(args: argparse.Namespace, assembled: Assembled) -> "Tally":
    from apr.ui.result import Tally

    session = assembled.agent.session
    cost = None if args.base_url else 0.0  # what runs on this machine costs nothing
    return Tally(session.id, session.model, cost)


def _lines(args: argparse.Namespace, assembled: Assembled, lines: "Lines") -> "StreamJson":
    from apr.headless.introduction import introduce
    from apr.ui.stream_json import StreamJson, Wanted

    wanted = Wanted(
        partial=args.include_partial_messages,
        hooks=args.include_hook_events,
        reasoning=args.thinking_display != "omitted",
    )
    return StreamJson(
        lines,
        lambda: introduce(assembled),
        lambda: _tally(args, assembled),
        _warn,
        wanted=wanted,
    )


def _prompt(argument: str | None) -> str:
    """Return the task: the argument, what is piped in, or both, the argument first."""
    piped = piped_in(wait_for_ever=argument is None)
    parts = [legible(part) for part in (argument, piped) if part and part.strip()]
    if not parts:
        raise AprError('what is the task? Give it as an argument: apr code "fix the failing test"')
    return "\n\n".join(parts)


def _warn(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"apr: {plain(text)}", file=sys.stderr)
