"""Who is served next."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from apr.serve.queue import Busy, Client, FairQueue

ANN, BEN = Client("127.0.0.1", "ann"), Client("127.0.0.1", "ben")


class Desk:
    """Requests at a queue of one place, each of which is served until the test ends it."""

    def __init__(self, most_waiting: int) -> None:
        self.queue = FairQueue(1, most_waiting)
        self.served: list[str] = []
        self.refused: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, client: Client, name: str) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._serve(client, name))
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await settle()

    async def leave(self, name: str) -> None:
        self._tasks[name].cancel()
        await settle()

    async def _serve(self, client: Client, name: str) -> None:
        try:
            async with self.queue.place(client):
                self.served.append(name)
                await self._ends[name].wait()
        except Busy:
            self.refused.append(name)


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_clients_take_turns_however_much_one_of_them_asks() -> None:
    desk = Desk(most_waiting=10)
    for number in range(4):
        await desk.ask(ANN, f"ann {number}")
    await desk.ask(BEN, "ben 0")
    await desk.ask(BEN, "ben 1")
    for name in ("ann 0", "ann 1", "ben 0", "ann 2", "ben 1"):
        await desk.end(name)
    assert desk.served == ["ann 0", "ann 1", "ben 0", "ann 2", "ben 1", "ann 3"]


async def test_the_longest_line_gives_way_when_all_are_full() -> None:
    desk = Desk(most_waiting=3)
    for number in range(4):
        await desk.ask(ANN, f"ann {number}")
    await desk.ask(BEN, "ben 0")
    await settle()
    assert desk.refused == ["ann 3"]
    await desk.ask(ANN, "ann 4")
    await settle()
    assert desk.refused == ["ann 3", "ann 4"]
    assert (desk.queue.in_flight, desk.queue.waiting) == (1, 3)


async def test_who_is_refused_is_told_when_to_come_back() -> None:
    queue = FairQueue(1, 0)
    async with queue.place(ANN):
        with pytest.raises(Busy) as refused:
            await queue.place(BEN).__aenter__()
    assert refused.value.retryable
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1


async def test_who_leaves_the_line_holds_nobody_up() -> None:
    desk = Desk(most_waiting=10)
    for name in ("first", "second", "third"):
        await desk.ask(ANN, name)
    await desk.leave("second")
    await desk.end("first")
    assert desk.served == ["first", "third"]
    await desk.end("third")
    assert (desk.queue.in_flight, desk.queue.waiting) == (0, 0)


async def test_a_place_given_to_one_who_leaves_at_that_moment_is_passed_on() -> None:
    queue = FairQueue(1, 10)
    async with AsyncExitStack() as stack:
        held = AsyncExitStack()
        await held.enter_async_context(queue.place(ANN))
        leaving = asyncio.create_task(queue.place(BEN).__aenter__())
        await asyncio.sleep(0)
        await held.aclose()  # gives the place away
        leaving.cancel()  # before the one who has it has noticed
        await asyncio.gather(leaving, return_exceptions=True)
        await stack.enter_async_context(queue.place(ANN))
        assert queue.in_flight == 1
