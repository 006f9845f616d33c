"""The sessions of the project: /sessions, /resume."""

import asyncio
from collections.abc import AsyncIterator

from apr.sessions.finding import Summary, summaries
from apr.terminal.commands.desk import Desk
from apr.terminal.commands.layout import table, wrapped
from apr.ui.terminal import line

_MOST = 30
"""Sessions that are listed."""


async def sessions(desk: Desk, _given: str) -> AsyncIterator[str]:
    """List the sessions of the project, the last one first."""
    now = desk.assembled.agent.session.id
    found = await asyncio.to_thread(lambda: list(summaries(desk.root)))
    good = [one for one in found if isinstance(one, Summary)]
    rows = [
        (
            "●" if one.id == now else " ",
            one.id[:13],
            one.changed[:16].replace("T", " "),
            line(f"{one.name or one.first_prompt}  ({one.turns} answers, {one.model})"),
        )
        for one in good[:_MOST]
    ]
    for shown in table(rows, desk.width()):
        yield shown
    if len(good) > _MOST:
        yield f"{len(good) - _MOST} older ones: apr sessions list"
    for one in found:
        if not isinstance(one, Summary):
            yield wrapped(line(str(one)), desk.width(), first="✗ ", rest="  ")
    if not rows:
        yield "No session of this project is stored."
    else:
        yield wrapped("/resume SESSION goes on with one: its id, or its name.", desk.width())


async def resume(desk: Desk, given: str) -> AsyncIterator[str]:
    """Go on with another session."""
    yield ""
