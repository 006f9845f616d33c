"""Runs the hooks of an event, all at once, and makes one decision of what they say."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from apr.hooks import command
from apr.hooks.answer import Heard, hear
from apr.hooks.base import NOTHING, Fired, HookName
from apr.hooks.command import Ran
from apr.hooks.declared import Callback, Declared, Handler, matches
from apr.legible import legible
from ccpa.trace import HookEvent

Confine = Callable[[Sequence[str], Path], Sequence[str]]
"""Takes a command and where it runs; returns the command that runs it confined."""

_STRICTEST: tuple[Literal["deny", "ask", "allow"], ...] = ("deny", "ask", "allow")
_PATHS = ("file_path", "notebook_path", "path")
_FAREWELL_S = 5.0
"""How long hooks in the background are waited for when the session is over."""


class _Result(Struct, frozen=True):
    handler: Handler
    ran: Ran
    heard: Heard
    event: HookEvent


class HookRunner:
    """The hooks of one session.

    Args:
        declared: the hooks there are.
        root: the project, where commands run.
        facts: returns what every hook is told besides the event: session id, transcript, mode.
        environment: what hooks find in their environment besides ours.
        confine: how a command is confined; None where it is not.
    """

    def __init__(
        self,
        declared: Declared,
        root: Path,
        facts: Callable[[], Mapping[str, Any]],
        *,
        environment: Mapping[str, str] | None = None,
        confine: Confine | None = None,
    ) -> None:
        self._declared = declared
        self._root = root
        self._facts = facts
        self._confine = confine
        self._environment = {
            **os.environ,
            **(environment or {}),
            "CLAUDE_PROJECT_DIR": str(root),
            "APR_PROJECT_DIR": str(root),
        }
        self._background: list[asyncio.Task[_Result]] = []

    async def fire(
        self,
        event: HookName,
        *,
        subject: str = "",
        tool_use_id: str | None = None,
        **payload: Any,
    ) -> Fired:
        """Run the event's hooks; see `Hooks.fire`. Of equal commands one is run."""
        chosen = [
            (matcher, handler)
            for matcher, handler in self._chosen(event, subject)
            if handler.condition is None or self._meets(handler.condition, payload)
        ]
        if not chosen and not self._background:
            return NOTHING
        given = {
            "cwd": str(self._root),
            **self._facts(),
            "hook_event_name": event,
            **({"tool_use_id": tool_use_id} if tool_use_id else {}),
            **payload,
        }
        waited: list[Awaitable[_Result]] = []
        for matcher, handler in chosen:
            running = self._run(event, matcher, handler, given, tool_use_id)
            if handler.background:
                self._background.append(asyncio.create_task(running))
            else:
                waited.append(running)
        results = await asyncio.gather(*waited)
        done = await self._take_done(wait=event == "SessionEnd")
        fired = _together(event, results)
        return msgspec.structs.replace(
            fired,
            events=(*(result.event for result in done), *fired.events),
            notices=(*(_notice(r) for r in done if r.heard.notice), *fired.notices),
        )

    def _chosen(self, event: HookName, subject: str) -> list[tuple[str | None, Handler]]:
        chosen: list[tuple[str | None, Handler]] = []
        commands: set[str] = set()
        for group in self._declared.get(event, ()):
            if not matches(group.matcher, subject):
                continue
            for handler in group.handlers:
                if handler.callback is None and handler.command in commands:
                    continue
                commands.add(handler.command)
                chosen.append((group.matcher or None, handler))
        return chosen

    def _meets(self, condition: str, payload: Mapping[str, Any]) -> bool:
        """Whether a tool use is what a rule speaks of. A rule that cannot be read meets all."""
        from apr.agent.permissions import BadRule, Policy, decide, parse_rules
        from apr.tools.base import Access

        given = payload.get("tool_input")
        if not isinstance(given, dict):
            return True
        try:
            rules = parse_rules([condition])
        except BadRule:
            return True
        names = [given[key] for key in _PATHS if isinstance(given.get(key), str)]
        if isinstance(command := given.get("command"), str):
            access = Access(kind="execute", command=command)
        else:
            paths = tuple((self._root / name).resolve() for name in names)
            access = Access(kind="read" if paths else "none", paths=paths)
        policy = Policy(root=self._root, deny=rules)
        return decide(policy, str(payload.get("tool_name")), access).behavior == "deny"

    async def _take_done(self, *, wait: bool) -> list[_Result]:
        """Return what hooks in the background have come to since; at the end, wait for them."""
        if wait and self._background:
            _, late = await asyncio.wait(self._background, timeout=_FAREWELL_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        done = [task for task in self._background if task.done()]
        self._background = [task for task in self._background if not task.done()]
        return [task.result() for task in done if not task.cancelled()]

    async def _run(
        self,
        event: HookName,
        matcher: str | None,
        handler: Handler,
        given: dict[str, Any],
        tool_use_id: str | None,
    ) -> _Result:
        if handler.callback is not None:
            ran = await _call(handler.callback, given, tool_use_id, handler.timeout)
        else:
            argv: Sequence[str] = ("/bin/sh", "-c", handler.command)
            if self._confine is not None:
                argv = self._confine(argv, self._root)
            ran = await command.run(
                argv,
                msgspec.json.encode(given) + b"\n",
                cwd=self._root,
                environment={**self._environment, **handler.environment},
                seconds=handler.timeout,
            )
        heard = hear(event, ran, block_on_failure=handler.block_on_failure)
        said = (ran.err or ran.out) if ran.exit_code else ran.out
        record = HookEvent(
            v=1,
            turn=0,
            event=event,
            decision=heard.decision,
            exit_code=ran.exit_code,
            matcher=matcher,
            output=legible(said) or None,
            tool_use_id=tool_use_id,
            duration_ms=ran.duration_ms,
        )
        return _Result(handler, ran, heard, record)


async def _call(
    callback: Callback, given: dict[str, Any], tool_use_id: str | None, seconds: float
) -> Ran:
    """Ask a function of the program that drives us; its failure is a hook's failure."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            answer = await callback(given, tool_use_id)
        out, err, code = msgspec.json.encode(answer).decode() if answer else "", "", 0
    except TimeoutError:
        out, err, code = "", f"took longer than {seconds:g} s", command.TIMED_OUT
    except Exception as error:  # whatever went wrong in another program
        out, err, code = "", f"{type(error).__name__}: {error}", 1
    duration = int((time.monotonic() - began) * 1000)
    return Ran(exit_code=code, out=out, err=err, duration_ms=duration)


def _together(event: HookName, results: Sequence[_Result]) -> Fired:
    """Make one of all: deny beats ask beats allow, and the first of equals gives the reason."""
    heard = [result.heard for result in results]
    behavior = next((kind for kind in _STRICTEST if any(h.behavior == kind for h in heard)), None)
    deciding = [h for h in heard if h.behavior == behavior and behavior is not None]
    reasons = "\n".join(_distinct(h.reason for h in deciding if h.reason))
    return Fired(
        events=tuple(result.event for result in results),
        behavior=behavior,
        reason=legible(reasons),
        updated_input=next((h.updated_input for h in reversed(heard) if h.updated_input), None),
        context=tuple(legible(h.context) for h in heard if h.context),
        stop=next((h.stop for h in heard if h.stop is not None), None),
        notices=tuple(_notice(result) for result in results if result.heard.notice),
    )


def _distinct(texts: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(texts)


def _notice(result: _Result) -> str:
    what = result.handler.command.partition("\n")[0] or "a callback"
    return f"hook {result.event.event} ({what}): {result.heard.notice}"
