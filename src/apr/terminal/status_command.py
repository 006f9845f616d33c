"""The status line as a command of the user's writes it: JSON in, a line or two out.

Form and fields are those of Claude Code's documentation (code.claude.com/docs/en/statusline). Where
the command comes from is the settings' business: they refuse it to a project.
"""

import asyncio
import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from apr import __version__
from apr.errors import AprError
from apr.legible import legible
from apr.settings.schema import StatusLine
from apr.terminal.commands import Desk
from apr.ui.terminal import line

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.formatted_text import StyleAndTextTuples

SECONDS = 5.0
_BETWEEN_S = 0.3
"""Seconds from one start to the next, at least."""
_MOST_LINES = 2
_LONGEST = 4096
"""Characters of a line that are looked at."""
_LARGE = 200_000
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,64}m")
# Other sequences: with a text that ends in BEL or ST; CSI; of two characters. They are left out.
_SEQUENCE = re.compile(
    r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?"
)


class StatusCommand:
    """Runs the command when something has changed: one at a time, and not too often.

    One that still runs when something changes is ended, for what it would say is old.

    Args:
        desk: the session.
        redraw: has the line drawn again.
        seconds: how long the command may take.
    """

    def __init__(
        self, desk: Desk, redraw: "Callable[[], None]", *, seconds: float = SECONDS
    ) -> None:
        self._desk = desk
        self._seconds = seconds
        self._redraw = redraw
        self._known: tuple[object, ...] = ()
        self._lines: list[StyleAndTextTuples] = []
        self._started = float("-inf")
        self._running: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._again: asyncio.TimerHandle | None = None
        self._said = ""
        """What was wrong with it last."""

    def shown(self) -> "StyleAndTextTuples | None":
        """Return what the command has written last; None while that is nothing.

        Call it in the event loop, whenever the line is drawn: it notices what has changed.
        """
        now = self._state()
        if now != self._known:
            self._known = now
            self._run()
        return _joined(self._lines) if self._lines else None

    async def close(self) -> None:
        """End it."""
        self._cancel()
        async with self._turn:  # one that has been ended may still be going
            pass

    def _state(self) -> tuple[object, ...]:
        """Return what the command is run anew for."""
        desk = self._desk
        agent, ledger = desk.assembled.agent, desk.ledger
        return (
            desk.settings.status_line,
            agent.session.id,
            agent.session.model,
            desk.policy,
            agent.context.cwd,
            ledger.answers,
            ledger.lines_added,
            ledger.lines_removed,
            bool(desk.screen.doing),
            desk.vim_mode(),
            desk.width(),
        )

    def _run(self) -> None:
        self._cancel()
        self._running = asyncio.get_running_loop().create_task(self._write())

    def _cancel(self) -> None:
        if self._again is not None:
            self._again.cancel()
        if self._running is not None:
            self._running.cancel()

    async def _write(self) -> None:
        async with self._turn:
            wanted = await self._written()
        if wanted is not None and wanted.refresh_interval is not None:
            after = max(wanted.refresh_interval, _BETWEEN_S)
            self._again = asyncio.get_running_loop().call_later(after, self._run)

    async def _written(self) -> StatusLine | None:
        """Have the command write the line; return what the settings say of it."""
        if (wait := self._started + _BETWEEN_S - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        self._started = time.monotonic()
        wanted = self._desk.settings.status_line
        if wanted is None or wanted.type != "command" or not wanted.command.strip():
            self._lines = []
            return None
        output = await self._output(wanted.command)
        padding = " " * max(wanted.padding, 0)
        width = self._desk.width() - len(padding)
        self._lines = [
            [("", padding), *one] for one in written(output, width, colour=self._desk.colour)
        ]
        self._redraw()
        return wanted

    async def _output(self, command: str) -> str:
        """Run it; return what it has printed, nothing where it fails."""
        from apr.hooks.command import run

        desk = self._desk
        root, sandbox = desk.root, desk.assembled.sandbox
        argv: Sequence[str] = ("/bin/sh", "-c", command)
        try:
            argv = argv if sandbox is None else sandbox.confine(argv, root)
        except AprError as error:
            self._report(str(error))
            return ""
        ran = await run(
            argv,
            msgspec.json.encode(facts(desk)) + b"\n",
            cwd=root,
            environment={
                **os.environ,
                **desk.settings.env,
                "CLAUDE_PROJECT_DIR": str(root),
                "APR_PROJECT_DIR": str(root),
                "COLUMNS": str(desk.width()),
            },
            seconds=self._seconds,
        )
        if ran.exit_code:
            self._report(f"exit code {ran.exit_code}: {ran.err or ran.out}")
            return ""
        if not ran.out.strip():
            self._report("it has printed nothing")
        return ran.out

    def _report(self, text: str) -> None:
        """Keep what is wrong for /debug; it is no reason to disturb anybody."""
        if text != self._said:
            self._said = text
            self._desk.ledger.notices.append(line(f"statusLine: {text}"))


def facts(desk: Desk) -> dict[str, Any]:
    """Return what the command is told of the session."""
    assembled, agent, ledger = desk.assembled, desk.assembled.agent, desk.ledger
    session, policy, usage = agent.session, desk.policy, desk.screen.usage
    size, cost = agent.provider.context, desk.plan.cost
    used = None if not size else round(100 * usage.input_tokens / size, 1)
    tokens = session.tokens_in + session.tokens_out
    vim = desk.vim_mode()
    return {
        "hook_event_name": "Status",
        "session_id": session.id,
        "transcript_path": legible(str(assembled.store.path)) if assembled.store else "",
        "cwd": legible(str(agent.context.cwd)),
        "permission_mode": policy.mode,
        "model": {"id": session.model, "display_name": session.model},
        "workspace": {
            "current_dir": legible(str(agent.context.cwd)),
            "project_dir": legible(str(desk.root)),
            "added_dirs": [legible(str(path)) for path in policy.directories],
        },
        "version": __version__,
        "output_style": {"name": "default"},
        "cost": {
            "total_cost_usd": None if cost is None else cost * tokens,
            "total_duration_ms": session.elapsed_ms,
            "total_api_duration_ms": ledger.requests_ms,
            "total_lines_added": ledger.lines_added,
            "total_lines_removed": ledger.lines_removed,
        },
        "context_window": {
            "total_input_tokens": session.tokens_in,
            "total_output_tokens": session.tokens_out,
            "context_window_size": size,
            "used_percentage": used,
            "remaining_percentage": None if used is None else round(max(100 - used, 0), 1),
            "current_usage": {
                "input_tokens": usage.input_tokens - usage.cache_read_tokens,
                "output_tokens": usage.output_tokens,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": usage.cache_read_tokens,
            },
        },
        "exceeds_200k_tokens": usage.input_tokens + usage.output_tokens > _LARGE,
        **({"vim": {"mode": vim}} if vim else {}),
    }


def written(output: str, width: int, *, colour: bool) -> "list[StyleAndTextTuples]":
    """Return the first lines of a command's output, as far as they fit, in their colours. Pure.

    Of escape sequences only those that colour are left; other controls are made visible.
    """
    from prompt_toolkit.formatted_text import ANSI, to_formatted_text

    lines = [one for one in output.split("\n") if one.strip()][:_MOST_LINES]
    return [
        _within(to_formatted_text(ANSI("".join(_sound(one[:_LONGEST], colour=colour)))), width)
        for one in lines
    ]


def _sound(text: str, *, colour: bool) -> Iterator[str]:
    at = 0
    for match in _SEQUENCE.finditer(text):
        yield line(text[at : match.start()])
        if colour and _COLOUR.fullmatch(match[0]):
            yield match[0]
        at = match.end()
    yield line(text[at:])


def _within(fragments: "StyleAndTextTuples", width: int) -> "StyleAndTextTuples":
    from prompt_toolkit.utils import get_cwidth

    kept: StyleAndTextTuples = []
    left = width
    for style, text, *_ in fragments:
        for character in text:
            left -= get_cwidth(character)
            if left < 0:
                return kept
            kept.append((style, character))
    return kept


def _joined(lines: "Sequence[StyleAndTextTuples]") -> "StyleAndTextTuples":
    joined: StyleAndTextTuples = []
    for one in lines:
        joined += [("", "\n"), *one] if joined else one
    return joined
