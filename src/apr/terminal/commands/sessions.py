"""The sessions of the project, and the prompts of this one: /sessions, /resume, /rewind."""

import asyncio
from collections.abc import AsyncIterator

from apr.errors import AprError
from apr.sessions.summary import Summary, summaries
from apr.terminal.commands.desk import Back, Desk, Leave
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
            line(f"{one.title}  ({_answers(one.turns)}, {one.model})"),
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
    """Go on with another session, without leaving the terminal."""
    from apr.sessions.finding import find
    from apr.sessions.places import refuse_held
    from apr.terminal.resume import choose

    now = desk.assembled.agent.session.id
    if desk.screen.doing:
        raise AprError("The agent is at work. Esc ends that; then /resume again.")
    chosen: str | None = None
    if not given:
        chosen = await choose(desk.root, but=now, colour=desk.colour)
    else:
        stored = await asyncio.to_thread(find, desk.root, given)
        chosen = stored.id
        if chosen == now:
            raise AprError("You are in that session.")
        refuse_held(stored.path)
    if chosen is not None:
        raise Leave(chosen)
    yield "This session goes on."


async def rewind(desk: Desk, _given: str) -> AsyncIterator[str]:
    """Go back to an earlier prompt."""
    if desk.screen.doing:
        yield "The agent is at work. Esc ends that; then /rewind again."
        return
    raise Back


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count:,} answers"
