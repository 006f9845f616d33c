"""Another model: /model."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

from apr.engine.state import EngineError, directory, identity, running
from apr.errors import AprError
from apr.models.header import ModelInfo
from apr.models.ranking import Ranked
from apr.models.resolve import DEMO
from apr.providers.base import Provider, ProviderError
from apr.providers.local import LocalModel
from apr.providers.openai_chat import OpenAIChat
from apr.terminal.commands.about import innermost
from apr.terminal.commands.desk import Desk
from apr.terminal.commands.layout import table, wrapped
from apr.terminal.picker import Choice, pick
from apr.ui.amounts import size
from apr.ui.terminal import line


async def model(desk: Desk, given: str) -> AsyncIterator[str]:
    """List the models on this disk, or go over to another."""
    now = desk.assembled.agent.session.model
    if desk.plan.server:
        async for shown in _of_server(desk, given, now):
            yield shown
        return
    if given == "list":
        for shown in _listed(await asyncio.to_thread(found, desk), now, desk.width()):
            yield shown
        return
    wanted = given or await _chosen(await asyncio.to_thread(found, desk), now, colour=desk.colour)
    if wanted is None:
        yield f"The model is {now}, as before."
        return
    async for shown in _switched(desk, wanted):
        yield shown


async def _of_server(desk: Desk, given: str, now: str) -> AsyncIterator[str]:
    """Ask the same server for another model: one that it lists, or at least knows."""
    wire = innermost(desk.assembled.agent.provider)
    names: list[str] = []
    if isinstance(wire, OpenAIChat):
        try:
            names = await wire.models()
        except ProviderError as error:
            yield line(f"The server does not say which models it has: {error}")
    if given == "list" or not (given or names):
        rows = [("●" if name == now else " ", line(name)) for name in names or [now]]
        for shown in table(rows, desk.width()):
            yield shown
        return
    choices = [Choice(value=name, title=name, note="now" * (name == now)) for name in names]
    wanted = given or await pick("Which model?", choices, colour=desk.colour)
    if wanted is None:
        yield f"The model is {now}, as before."
        return
    if names and wanted not in names and not await _knows(wire, wanted):
        raise AprError(f"The server has no model {wanted!r}. It has: {', '.join(names)}")
    async for shown in _switched(desk, wanted):
        yield shown


async def _knows(wire: Provider, name: str) -> bool:
    try:
        return isinstance(wire, OpenAIChat) and await wire.knows(name)
    except ProviderError:
        return False


def found(desk: Desk) -> list[Ranked]:
    """Look for the models on this disk; return them, the best first."""
    from apr.models.discovery import survey
    from apr.models.resolve import ranking

    return ranking(survey(os.environ, desk.root))


def memory(one: Ranked) -> str:
    """Say what a model takes here, and whether that is free."""
    from apr.engine.machine import LEAST_CONTEXT, free_memory, needed, plan

    info = one.model.info
    if info is None:
        return f"broken: {one.model.problem}"
    least = needed(info, context=min(LEAST_CONTEXT, info.context_length))
    try:
        planned = plan(info, free_memory())
    except EngineError:
        loaded = "loaded already" if one.fits else "does not fit"
        return f"{loaded}: needs {size(least)}, {size(free_memory())} are free"
    takes = size(needed(info, context=planned.context))
    return f"fits: {takes} with a context of {planned.context:,} tokens"


def _listed(ranked: list[Ranked], now: str, width: int) -> Iterator[str]:
    rows = [
        (
            "●" if one.model.name == now else " ",
            line(one.model.name),
            line(f"{size(one.model.size)} on disk; {memory(one)}"),
        )
        for one in ranked
    ]
    told = "comes with apr: it knows a few sessions by heart"
    rows.append(("●" if now == DEMO else " ", DEMO, told))
    yield from table(rows, width)
    yield wrapped("/model NAME goes over to one of them, from the next request on.", width)


async def _chosen(ranked: list[Ranked], now: str, *, colour: bool) -> str | None:
    usable = [one for one in ranked if one.model.info is not None]
    choices = [
        Choice(
            value=one.model.name,
            title=one.model.name,
            note=f"{'now; ' if one.model.name == now else ''}{memory(one)}",
        )
        for one in usable
    ]
    note = f"{'now; ' if now == DEMO else ''}comes with apr"
    choices.append(Choice(value=DEMO, title=DEMO, note=note))
    reasons = {
        one.model.name: (one.reason, f"from {one.model.store}", str(one.model.path))
        for one in usable
    }
    return await pick(
        "Which model?", choices, preview=lambda name: reasons.get(name, ()), colour=colour
    )


async def _switched(desk: Desk, name: str) -> AsyncIterator[str]:
    """Go over to a model. Where it cannot be loaded, the one before stays."""
    assembled = desk.assembled
    before, old = assembled.agent.session.model, assembled.agent.provider
    try:
        provider, called = await asyncio.to_thread(desk.plan.open_model, name)
        if isinstance(provider, LocalModel):
            async for shown in _loaded(desk, provider, innermost(old)):
                yield shown
    except (AprError, ProviderError) as error:
        yield str(error)
        yield f"The model is {before}, as before."
        return
    assembled.use(provider, called)
    await old.close()  # what is idle of it: an answer that is still coming comes to its end
    yield line(f"The model is {called}, from the next request on.")
    if assembled.core_only:
        yield "It is shown the eight core tools: it knows no others."


async def _loaded(desk: Desk, provider: LocalModel, old: object) -> AsyncIterator[str]:
    """Load a model; where there is no room for it beside the one before, in its place.

    Raises:
        ProviderError: it cannot be loaded. The one before is then, where it had to go for it.
        AprError: it is broken, or there is too little memory even in that one's place.
    """
    gone = _in_the_way(provider, old)
    if gone is None:
        await provider.load(desk.screen.say)
        return
    if desk.screen.doing:
        raise AprError("There is no room for it beside the model that is at work: Esc ends that.")
    yield line(f"There is no room for both: {gone.path.name} is taken out of memory.")
    await asyncio.to_thread(end_engine, gone)
    try:
        await provider.load(desk.screen.say)
    except ProviderError:
        await gone.load(desk.screen.say)
        raise


def _in_the_way(provider: LocalModel, old: object) -> LocalModel | None:
    """Return the model that must go for another to have room; None where there is room.

    Raises:
        AprError: the other is broken, or there is too little memory for it alone.
    """
    from apr.engine.machine import free_memory, needed
    from apr.models.header import check

    if not isinstance(old, LocalModel) or old.endpoint is None or old.path == provider.path:
        return None
    held = needed(check(old.path), context=old.endpoint.context)
    return None if fits_beside(check(provider.path), held, free_memory()) else old


def fits_beside(info: ModelInfo, held: int, free: int) -> bool:
    """Whether a model fits into what is free, beside one that holds `held` bytes. Pure.

    Raises:
        EngineError: it does not fit in that one's place either.
    """
    from apr.engine.machine import plan

    try:
        plan(info, free)
    except EngineError:
        plan(info, free + held)
        return False
    return True


def end_engine(model: LocalModel) -> None:
    """End the engine of a model. Another process that uses it starts it again when it asks."""
    from apr.engine.process import end

    for _, engine in running(directory(), identity(model.path)):
        if model.endpoint is not None and engine.pid == model.endpoint.pid:
            end(engine.pid, engine.started)
