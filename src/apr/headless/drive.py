"""A session, driven to its end: every event goes to every sink, and nothing is left running."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from typing import Protocol

from apr.agent.events import Event, Notice
from apr.agent.prompt import Asked
from apr.assembly import Assembled
from ccpa.trace import SessionEnd


class Sink(Protocol):
    """Something that shows, stores or transmits a run."""

    def __call__(self, event: Event) -> None:
        """Take the next event."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...


async def drive(
    assembled: Assembled,
    prompts: Iterable[Asked] | AsyncIterator[Asked],
    sinks: list[Sink],
) -> bool:
    """Run the session; return whether its last prompt went well.

    Raises:
        KeyboardInterrupt: the run was ended from outside, by a signal or by cancelling its task.
        OSError: a sink has failed, and the run was ended for it.
    """
    events = _events(assembled, prompts)
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    cancel = task.cancel if task is not None else loop.stop
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, cancel)
    failed, broken = False, None
    try:
        async for event in events:
            for sink in tuple(sinks):
                try:
                    sink(event)
                except OSError as error:  # nobody reads any more: the session ends in order
                    sinks.remove(sink)
                    broken = error
                    cancel()
            if isinstance(event, SessionEnd):  # a limit has a stop reason of its own, and an error
                failed = event.stop_reason == "error" or event.error is not None
    except asyncio.CancelledError:
        raise broken or KeyboardInterrupt from None
    finally:
        async with AsyncExitStack() as stack:  # whichever of them fails, the others are closed
            stack.push_async_callback(assembled.close)
            for sink in reversed(sinks):
                stack.callback(sink.close)
    if broken is not None:
        raise broken
    return not failed


async def _events(
    assembled: Assembled, prompts: Iterable[Asked] | AsyncIterator[Asked]
) -> AsyncIterator[Event]:
    """Yield what happens, and what else a person should know, as it comes up."""
    await assembled.open()
    agent = assembled.agent
    async for event in agent.converse(prompts, preface=assembled.preface, source=assembled.source):
        yield event
        while assembled.notices:
            yield Notice(assembled.notices.pop(0))
