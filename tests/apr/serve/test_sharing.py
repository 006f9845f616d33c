"""Requests that begin alike and come at the same time: what they share is evaluated once."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec import Struct

from apr.agent.events import PrefillProgress
from apr.engine import llama, machine
from apr.models import header
from apr.providers.base import Completion, ModelEvent, ProviderError, Request, UserMessage
from apr.serve.backend import Backend, Served
from apr.serve.conversation import Answers
from apr.serve.engine import Engine
from apr.serve.metrics import Meter
from apr.serve.prefixes import Prefixes
from apr.serve.queue import Client, FairQueue
from apr.serve.slots import Slots

WORDS = 700
CONTEXT = 4096
SYSTEM = " ".join(str(number) for number in range(WORDS))
ANYBODY = Client("here", "")


class Desk(Struct):
    """A backend with two slots, and its engine, which counts."""

    backend: Backend
    slots: Slots
    native: Any

    def evaluated(self) -> int:
        """Return how many tokens of prompts the engine has evaluated."""
        return self._total("prompt_tokens_total")

    def generated(self) -> int:
        """Return how many tokens of answers the engine has generated."""
        return self._total("tokens_predicted_total")

    def _total(self, name: str) -> int:
        said = re.search(rf"{name} (\d+)", self.native.handle_metrics())
        assert said is not None
        return int(said[1])


@pytest.fixture
async def desk(tiny: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    prefixes = Prefixes(tmp_path / "prefixes", "tiny", 1 << 30)
    native = llama.load(
        header.check(tiny),
        machine.Plan(CONTEXT, 2, 0),
        name="tiny",
        key="key",
        port=0,
        threads=1,
        slots_folder=prefixes.folder,
    )
    engine = Engine(urlsplit(native.listening_address).port or 0, "key", "tiny")
    answers = Answers(1 << 20)
    slots = Slots(2, engine, prefixes, answers)
    backend = Backend(
        Served(model="tiny", context=CONTEXT, template=None),
        engine,
        queue=FairQueue(2, 8),
        slots=slots,
        answers=answers,
        meter=Meter(),
    )
    yield Desk(backend, slots, native)
    await backend.close()


def asked(text: str, system: str = SYSTEM) -> Request:
    return Request(
        system=system,
        messages=(UserMessage(text),),
        max_tokens=3,
        temperature=0.0,
        options={"n_predict": 3},
    )


async def heard(desk: Desk, request: Request) -> list[ModelEvent]:
    return [event async for event in desk.backend.stream(request, ANYBODY)]


async def test_one_evaluates_what_they_share_and_the_other_waits_for_it(desk: Desk) -> None:
    first = desk.backend.stream(asked("one"), ANYBODY)
    progress = await anext(first)
    assert isinstance(progress, PrefillProgress)
    second = asyncio.create_task(heard(desk, asked("two")))
    while not any(slot.waiting for slot in desk.slots._slots):
        await asyncio.sleep(0)
    one = [event async for event in first][-1]
    two = (await second)[-1]
    assert isinstance(one, Completion)
    assert isinstance(two, Completion)
    assert two.usage.cache_read_tokens > 0.9 * two.usage.input_tokens
    assert desk.evaluated() < 1.1 * one.usage.input_tokens
    assert one.usage.cache_read_tokens < 0.1 * one.usage.input_tokens  # it was evaluated for it
    answers = one.usage.output_tokens + two.usage.output_tokens
    assert desk.generated() <= answers + 1  # the engine cannot evaluate without saying one
    assert (desk.slots.saves, desk.slots.restores) == (1, 1)


async def test_nobody_waits_for_what_is_another(desk: Desk) -> None:
    first = desk.backend.stream(asked("one"), ANYBODY)
    await anext(first)
    other = await heard(desk, asked("two", system="Something else."))
    assert isinstance(other[-1], Completion)
    await first.aclose()


async def test_who_waits_goes_on_when_the_other_has_gone(desk: Desk) -> None:
    first = desk.backend.stream(asked("one"), ANYBODY)
    await anext(first)
    second = asyncio.create_task(heard(desk, asked("two")))
    while not any(slot.waiting for slot in desk.slots._slots):
        await asyncio.sleep(0)
    await first.aclose()
    assert isinstance((await second)[-1], Completion)


async def test_who_goes_while_it_is_saved_leaves_no_draft(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, told = asyncio.Event(), asyncio.Event()
    call = Engine.call

    async def slow(engine: Engine, path: str, body: Any) -> Any:
        done = await call(engine, path, body)
        if path.endswith("action=save"):
            saved.set()
            await told.wait()
        return done

    monkeypatch.setattr(Engine, "call", slow)
    first = desk.backend.stream(asked("one"), ANYBODY)
    await anext(first)
    second = asyncio.create_task(heard(desk, asked("two")))
    while not any(slot.waiting for slot in desk.slots._slots):
        await asyncio.sleep(0)
    rest = asyncio.create_task(_rest(first))
    await saved.wait()
    rest.cancel()
    told.set()
    with pytest.raises(asyncio.CancelledError):
        await rest
    assert not list(tmp_path.rglob("*.draft"))
    assert isinstance((await second)[-1], Completion)
    assert (desk.slots.saves, desk.slots.restores) == (1, 1)


async def _rest(stream: AsyncGenerator[ModelEvent, None]) -> None:
    async with contextlib.aclosing(stream):
        async for _ in stream:
            pass


async def test_the_others_go_on_when_what_they_wait_for_cannot_be_saved(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Engine.call

    async def full(engine: Engine, path: str, body: Any) -> Any:
        if path.endswith("action=save"):
            raise ProviderError("no space left on device")
        return await call(engine, path, body)

    monkeypatch.setattr(Engine, "call", full)
    first = desk.backend.stream(asked("one"), ANYBODY)
    await anext(first)
    second = asyncio.create_task(heard(desk, asked("two")))
    while not any(slot.waiting for slot in desk.slots._slots):
        await asyncio.sleep(0)
    await _rest(first)
    assert isinstance((await second)[-1], Completion)
    assert not list(tmp_path.rglob("*.draft"))
