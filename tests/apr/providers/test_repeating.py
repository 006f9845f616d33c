"""An answer that only repeats itself is stopped, and no other."""

from collections.abc import AsyncGenerator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apr.agent.events import TextDelta, ThinkingDelta
from apr.providers.base import Completion, ModelEvent, ProviderError, Request
from apr.providers.repeating import LEAST_TIMES, LOOKED_AT, Unlooping, period_of
from ccpa.trace import TextBlock, Usage

LONGEST = LOOKED_AT // LEAST_TIMES
REQUEST = Request(system="", messages=())


class Speaker:
    """Says a text in pieces, and notes how far it came and whether it was let go."""

    context = 1234

    def __init__(self, text: str, *, piece: int = 16, kind: type = TextDelta) -> None:
        self._text, self._piece, self._kind = text, piece, kind
        self.said = 0
        self.closed = False

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        try:
            for at in range(0, len(self._text), self._piece):
                self.said = at + self._piece
                yield self._kind(self._text[at : at + self._piece])
            yield Completion(
                blocks=(TextBlock(self._text),),
                stop_reason="end_turn",
                usage=Usage(input_tokens=1, output_tokens=1),
                model="m",
            )
        finally:
            self.closed = True

    async def close(self) -> None:
        self.closed = True


async def listen(speaker: Speaker) -> list[ModelEvent]:
    return [event async for event in Unlooping(speaker).stream(REQUEST)]


def tail_of(unit: str, shift: int = 0) -> str:
    return (unit * (LOOKED_AT // len(unit) + 2))[shift % len(unit) :][:LOOKED_AT]


def smallest_period(text: str) -> int:
    return next(n for n in range(1, len(text) + 1) if text.startswith(text[n:]))


@given(st.text(min_size=1, max_size=LONGEST), st.integers(0, LONGEST))
@example("-" * (LONGEST - 1) + "|", 1)  # most of what comes is the same character
def test_whatever_is_repeated_is_found_wherever_it_is_looked(unit: str, shift: int) -> None:
    text = tail_of(unit, shift)
    assert period_of(text) == smallest_period(text)


@given(st.text(min_size=1, max_size=LONGEST), st.integers(0, LOOKED_AT - 1), st.characters())
def test_one_other_character_makes_it_no_repetition(unit: str, at: int, other: str) -> None:
    text = tail_of(unit)
    changed = text[:at] + other + text[at + 1 :]
    period = period_of(changed)
    assert period == 0 or changed.startswith(changed[period:])


@given(st.text(max_size=LOOKED_AT - 1))
def test_a_short_text_is_never_one(text: str) -> None:
    assert period_of(text) == 0


def test_what_comes_less_often_is_not_one() -> None:
    unit = "".join(chr(0x4E00 + n) for n in range(LONGEST + 1))
    assert period_of(tail_of(unit)) == 0
    assert period_of(tail_of(unit[1:])) == LONGEST


@pytest.mark.parametrize("kind", [TextDelta, ThinkingDelta])
async def test_an_endless_answer_is_stopped_and_the_server_let_go(kind: type) -> None:
    speaker = Speaker("I will now read the file. " * 100_000, kind=kind)
    with pytest.raises(ProviderError, match="repeats itself") as error:
        await listen(speaker)
    assert not error.value.retryable
    assert speaker.said < 3 * LOOKED_AT
    assert speaker.closed


@given(st.integers(1, 3000))
async def test_the_size_of_its_pieces_does_not_matter(piece: int) -> None:
    speaker = Speaker("begin " + "ab " * 10_000, piece=piece)
    with pytest.raises(ProviderError, match="repeats itself"):
        await listen(speaker)


async def test_a_long_answer_with_something_new_in_it_is_passed_on_whole() -> None:
    text = "".join(f"line {n}: the same words but for the number\n" for n in range(2000))
    events = await listen(Speaker(text))
    assert "".join(event.text for event in events[:-1] if isinstance(event, TextDelta)) == text
    assert isinstance(events[-1], Completion)


async def test_it_is_otherwise_as_if_it_were_not_there() -> None:
    speaker = Speaker("hello")
    provider = Unlooping(speaker)
    assert provider.context == 1234
    await provider.close()
    assert speaker.closed
