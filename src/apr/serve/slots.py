"""Which of the engine's slots a request is computed in, so that little is computed twice.

A slot keeps the last prompt it evaluated, with the answer. A request that goes on with it gets that
slot. Any other gets an empty slot, or the one that was used longest ago; what is lost there is
saved first. If another slot or a file holds more of the request's beginning (a system prompt that
conversations share, a conversation that had to make room), its state is copied over by way of a
file: to read a prompt back takes a hundredth of the time that it takes to evaluate it.

Where that beginning is being evaluated just now, it is waited for. A prompt is `coming` from the
moment that a request gets its slot until it is evaluated and saved for those who wait, until its
answer begins, or until its request fails or goes away, whichever is first. Then all who wait choose
anew, as if they had just come. Who waits has no slot, so nobody waits for one who waits.

The engine's own choice goes by likeness alone: a conversation that shares a long system prompt with
another would be put into its slot, and be evaluated anew when it returns.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from apr.providers.base import ProviderError
from apr.serve.conversation import Answers, Chain
from apr.serve.engine import Engine
from apr.serve.prefixes import STATE, Entry, Prefixes

WORTH = 2048
"""Bytes of a prompt, some 500 tokens: less is sooner evaluated than written and read."""
WORTH_READING = 256
"""Bytes of a prompt: less than that beyond what a slot has is sooner evaluated than read back."""
REST_S = 30.0
"""How long a conversation rests before it is saved, in case that the process is killed."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Slot(Struct):
    """What is in a slot, as far as is known."""

    number: int
    chain: Chain = Chain()
    answer: str | None = None
    """The link of the answer that was given to that prompt."""
    busy: bool = False
    used: float = 0.0
    """When it was last given back, in seconds of the monotonic clock."""
    coming: Chain = Chain()
    """The prompt that is being evaluated and can be shared; none, once it is evaluated."""
    evaluated: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    waiting: int = 0
    """Requests that wait until it is."""


class Choice(Struct, frozen=True):
    """The slot for a request, and what is to be done before: save slots, read back a state."""

    slot: int
    save: tuple[int, ...] = ()
    restore: str | None = None


def choose(chain: Chain, slots: Sequence[Slot], prefixes: Prefixes | None) -> Choice:
    """Choose among the slots that are not busy, of which there must be one."""
    idle = [slot for slot in slots if not slot.busy]
    saved, key = prefixes.best(chain) if prefixes else (0, None)
    going_on = [slot for slot in idle if chain.goes_on(slot.chain)]
    if going_on:
        slot = max(going_on, key=lambda slot: len(slot.chain.links))
        gain = chain.size(saved) - chain.size(len(slot.chain.links))
        return Choice(slot.number, restore=key if gain >= WORTH_READING else None)
    slot = min(idle, key=lambda slot: (bool(slot.chain.links), slot.used))
    if prefixes is None:
        return Choice(slot.number)
    evicted = (slot.number,) if _is_worth_saving(slot, prefixes) else ()
    have = chain.size(chain.shared(slot.chain))
    others = [other for other in idle if other is not slot]
    source = max(others, key=lambda other: chain.shared(other.chain), default=slot)
    offered = chain.size(chain.shared(source.chain))
    if offered >= max(have, chain.size(saved)) + WORTH:
        return Choice(slot.number, (*evicted, source.number), source.chain.links[-1])
    return Choice(slot.number, evicted, key if chain.size(saved) >= have + WORTH_READING else None)


def evaluated_now(chain: Chain, slots: Sequence[Slot], prefixes: Prefixes | None) -> Slot | None:
    """Return the slot in which so much of a prompt is evaluated now that it is worth waiting.

    It is not where the rest of what is evaluated there takes longer than what they share: a short
    question would wait for a long document.
    """
    if prefixes is None:
        return None
    kept, _ = prefixes.best(chain)
    there = [kept, *(chain.shared(slot.chain) for slot in slots if not slot.busy)]
    slot = max(slots, key=lambda slot: (chain.shared(slot.coming), -slot.coming.whole))
    shared = chain.size(chain.shared(slot.coming))
    worth = max(WORTH, slot.coming.whole - shared)
    return slot if shared - chain.size(max(there)) >= worth else None


def _done_with(slot: Slot) -> None:
    """Let those go on who wait for what is evaluated in a slot."""
    slot.coming = Chain()
    slot.evaluated.set()


def _is_worth_saving(slot: Slot, prefixes: Prefixes) -> bool:
    chain = slot.chain
    return chain.whole >= WORTH and not prefixes.has(chain)


class Lease:
    """A slot in the hands of one request."""

    def __init__(self, slots: "Slots", slot: Slot, chain: Chain) -> None:
        self._slots = slots
        self._slot = slot
        self._chain = chain
        self.number = slot.number

    @property
    def awaited(self) -> bool:
        """Whether others wait for the prompt: then it is to be evaluated, and shared."""
        return self._slot.waiting > 0

    async def share(self) -> None:
        """Let others have the prompt, which the engine has evaluated and does nothing with."""
        self.evaluating()
        await self._slots.share(self._slot)

    def evaluating(self) -> None:
        """Say that the engine has begun: the slot now holds this prompt, or a part of it."""
        self._slot.chain, self._slot.answer = self._chain, None

    def answering(self) -> None:
        """Say that the prompt is evaluated: until its answer is done, nobody can have it."""
        _done_with(self._slot)

    def answered(self, link: str) -> None:
        """Say what the answer's link is."""
        self._slot.answer = link


class Slots:
    """All slots of an engine; `prefixes` None keeps nothing on disk."""

    def __init__(
        self, count: int, engine: Engine, prefixes: Prefixes | None, answers: Answers
    ) -> None:
        self.saves = self.restores = 0
        self._slots = [Slot(number) for number in range(count)]
        self._engine = engine
        self._prefixes = prefixes
        self._answers = answers
        self._moving = asyncio.Lock()
        for entry in prefixes.entries() if prefixes else ():
            for link, raw in entry.answers.items():
                answers.remember(link, raw)

    @asynccontextmanager
    async def lease(self, chain: Chain, *, shares: bool = False) -> AsyncIterator[Lease]:
        """Hold the best slot for a prompt. At most as many may be held as there are slots.

        With `shares`, others that begin alike wait for what is evaluated of it, if it is new.
        """
        slot = await self._taken(chain, shares=shares)
        try:
            yield Lease(self, slot, chain)
        finally:
            _done_with(slot)
            slot.busy = False
            slot.used = time.monotonic()

    async def _taken(self, chain: Chain, *, shares: bool) -> Slot:
        while True:
            async with self._moving:
                other = evaluated_now(chain, self._slots, self._prefixes)
                if other is None:
                    choice = choose(chain, self._slots, self._prefixes)
                    slot = await _to_its_end(self._prepare(choice))
                    slot.busy = True
                    if shares:
                        slot.coming = chain
                        slot.evaluated.clear()
                    return slot
            other.waiting += 1
            try:
                await other.evaluated.wait()
            finally:
                other.waiting -= 1

    async def share(self, slot: Slot) -> None:
        """Save what is in a slot that is held, for those who wait for it."""
        async with self._moving:
            await _to_its_end(self._save(slot))
        _done_with(slot)

    async def save_rested(self) -> None:
        """Save what rests, one slot at most, and only while nothing is computed."""
        async with self._moving:
            if self._prefixes is None or any(slot.busy for slot in self._slots):
                return
            before = time.monotonic() - REST_S
            for slot in self._slots:
                if slot.used <= before and _is_worth_saving(slot, self._prefixes):
                    await self._save(slot)
                    return

    async def save_all(self) -> None:
        """Save every conversation that is not being computed."""
        async with self._moving:
            for slot in self._slots:
                if self._prefixes and not slot.busy and _is_worth_saving(slot, self._prefixes):
                    await self._save(slot)

    async def forget(self) -> None:
        """Save what is in the slots, and count on none of it: the engine is to choose by itself."""
        await self.save_all()
        for slot in self._slots:
            if not slot.busy:
                slot.chain, slot.answer = Chain(), None

    async def _prepare(self, choice: Choice) -> Slot:
        for number in choice.save:
            await self._save(self._slots[number])
        slot = self._slots[choice.slot]
        if choice.restore is not None:
            await self._restore(slot, choice.restore)
        return slot

    async def _save(self, slot: Slot) -> None:
        if self._prefixes is None:
            return
        draft = self._prefixes.draft(slot.chain)
        try:
            done = await self._act(slot, "save", draft)
            links = [*slot.chain.links, slot.answer or ""]
            self._prefixes.keep(Entry(slot.chain, done, self._answers.of(links)))
            self.saves += 1
        except (ProviderError, OSError) as error:
            (self._prefixes.folder / draft).unlink(missing_ok=True)
            _log.warning("A conversation could not be saved: %s", error)

    async def _restore(self, slot: Slot, key: str) -> None:
        entry = self._prefixes.get(key) if self._prefixes else None
        if self._prefixes is None or entry is None:
            return
        slot.chain, slot.answer = Chain(), None
        try:
            await self._act(slot, "restore", f"{key}{STATE}")
        except ProviderError as error:
            self._prefixes.drop(key)
            _log.warning("A saved conversation could not be read back: %s", error)
            return
        slot.chain = entry.chain
        self._prefixes.used(key)
        self.restores += 1

    async def _act(self, slot: Slot, action: str, filename: str) -> int:
        """Save or restore a slot; return the number of tokens.

        Raises:
            ProviderError: the engine could not.
        """
        path = f"/slots/{slot.number}?action={action}"
        done = msgspec.convert(await self._engine.call(path, {"filename": filename}), _Done)
        if not (done.n_saved or done.n_restored):
            raise ProviderError(f"slot {slot.number} is empty")
        return done.n_saved or done.n_restored


async def _to_its_end(work: Coroutine[Any, Any, _T]) -> _T:
    """Await something that must not be left half done when the one who waits for it has gone."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class _Done(Struct, frozen=True):
    """What the engine says it has saved or read back, in tokens."""

    n_saved: int = 0
    n_restored: int = 0
