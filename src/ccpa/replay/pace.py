"""The pace of a scripted model where a command runs in the background.

A model takes seconds to answer, and a command in the background goes on meanwhile. The scripted
one answers at once, and what an agent sees of such a command would be an accident. So the turn
after one that starts such a command is given when nothing is going on any more: every process that
the agent has started sleeps or has ended, and so does the agent itself, which waits for that turn.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from ccpa.sandbox import Place
from ccpa.scripted.http import Handler, HttpRequest, HttpResponse
from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel
from ccpa.trace import Block, ToolUseBlock

_LOOK_S = 0.02
_LONGEST_S = 3.0
_QUIET_LOOKS = 3
_WITHOUT_PROC_S = 0.3

_HAS_PROC = Path("/proc/self/stat").exists()  # not on macOS

_Seen = dict[int, tuple[str, ...]]


def paced(model: ScriptedModel, script: Script, place: Place) -> Handler:
    """Return the model with an answer held back, 3 s at most, where a command was just started."""
    starts = {
        (conversation.name, number)
        for conversation in script.conversations
        for number, turn in enumerate(conversation.turns)
        if any(_in_background(block) for block in turn.blocks)
    }
    started = False

    async def answer(request: HttpRequest) -> HttpResponse:
        nonlocal started
        if started:
            await _quiet(place)
        response = await model(request)
        last = model.exchanges[-1]
        started = (last.conversation, last.turn) in starts
        return response

    return answer if starts else model


def _in_background(block: Block) -> bool:
    return isinstance(block, ToolUseBlock) and bool(block.input.get("run_in_background"))


async def _quiet(place: Place) -> None:
    if not _HAS_PROC:
        await asyncio.sleep(_WITHOUT_PROC_S)
        return
    quiet = 0
    before: _Seen = {}
    for _ in range(int(_LONGEST_S / _LOOK_S)):
        now = dict(_processes(place.process_id))
        sleeping = all(state in "SZTX" for state, *_ in now.values())
        quiet = quiet + 1 if sleeping and now == before else 0
        if quiet == _QUIET_LOOKS:
            return
        before = now
        await asyncio.sleep(_LOOK_S)


def _processes(root: int | None) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield every process that descends from `root`: its id, state and CPU time so far."""
    children: dict[int, list[int]] = {}
    facts: dict[int, tuple[str, ...]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 (names are all that is needed)
        if name.isdigit():
            try:
                # After the command's name, which is in brackets and may hold anything.
                words = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            facts[int(name)] = (words[0], words[11], words[12])
            children.setdefault(int(words[1]), []).append(int(name))
    pending = [] if root is None else children.get(root, [])
    while pending:
        process = pending.pop()
        yield process, facts[process]
        pending += children.get(process, [])
