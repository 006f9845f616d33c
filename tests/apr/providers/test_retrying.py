"""A failed request is repeated where that may help: after a while, and not for ever."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.agent.events import Notice, PrefillProgress, Retracted, TextDelta, ThinkingDelta
from apr.providers.base import (
    Completion,
    ContextOverflow,
    ModelEvent,
    ProviderError,
    Request,
    Unreachable,
    UserMessage,
)
from apr.providers.openai_chat import OpenAIChat
from apr.providers.retrying import Patience, Retrying
from ccpa.scripted.chaos import Chaos
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import TextBlock, ToolUseBlock, Usage
from tests.apr.program import calls, says

REQUEST = Request(system="", messages=(UserMessage("hi"),))
AT_ONCE = Patience(first_s=0.0)
FAILED = ProviderError("The server cannot answer now.", retryable=True)
HELLO = Completion(
    blocks=(TextBlock("Hello."),),
    stop_reason="end_turn",
    usage=Usage(input_tokens=1, output_tokens=1),
    model="m",
)

Step = ModelEvent | Exception


class Attempts:
    """A provider whose n-th answer is the n-th list; an exception in it is raised."""

    context = 1234

    def __init__(self, *attempts: Sequence[Step]) -> None:
        self._attempts = list(attempts)
        self.asked = 0
        self.closed = False

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        self.asked += 1
        for step in self._attempts.pop(0):
            if isinstance(step, Exception):
                raise step
            yield step

    async def close(self) -> None:
        self.closed = True


async def listen(provider: Attempts, patience: Patience = AT_ONCE) -> list[ModelEvent]:
    return [event async for event in Retrying(provider, patience).stream(REQUEST)]


patiences = st.builds(
    Patience,
    retries=st.integers(0, 20),
    first_s=st.floats(0, 10),
    longest_s=st.floats(0, 100),
    longest_asked_s=st.floats(0, 1000),
)
chances = st.floats(0, 1)


@given(patiences, st.integers(0, 30), st.none() | st.floats(0, 2000), chances)
def test_waits_are_bounded_and_what_a_server_asks_for_is_kept(
    patience: Patience, attempt: int, asked: float | None, chance: float
) -> None:
    wait = patience.wait(attempt, asked, chance)
    too_much = asked is not None and asked > patience.longest_asked_s
    assert (wait is None) == (attempt >= patience.retries or too_much)
    if wait is not None:
        assert (asked or 0.0) <= wait <= max(patience.longest_s, asked or 0.0)


@given(patiences, st.integers(0, 18), chances, chances)
def test_waits_grow_and_differ_by_half_at_most(
    patience: Patience, attempt: int, one: float, other: float
) -> None:
    first, second = patience.wait(attempt, None, one), patience.wait(attempt, None, other)
    if first is not None and second is not None:
        assert second <= 2 * first + 1e-9
        later = patience.wait(attempt + 1, None, one)
        assert later is None or later >= first


def test_the_usual_waits() -> None:
    patience = Patience()
    longest = [patience.wait(n, None, 1.0) for n in range(6)]
    assert longest == [0.5, 1.0, 2.0, 4.0, 8.0, None]
    assert [patience.wait(n, None, 0.0) for n in range(2)] == [0.25, 0.5]


async def test_what_fails_once_is_asked_again() -> None:
    provider = Attempts([FAILED], [HELLO])
    events = await listen(provider)
    assert provider.asked == 2
    assert events == [Notice(f"{FAILED} Asking again in 0.0 s."), HELLO]


@pytest.mark.parametrize("shown", [TextDelta("Hel"), ThinkingDelta("Hm")])
async def test_what_was_shown_of_a_broken_answer_is_taken_back(shown: ModelEvent) -> None:
    events = await listen(Attempts([shown, FAILED], [TextDelta("Hello."), HELLO]))
    kinds = [type(event) for event in events]
    assert kinds == [type(shown), Retracted, Notice, TextDelta, Completion]


async def test_nothing_is_taken_back_where_nothing_was_shown() -> None:
    events = await listen(Attempts([PrefillProgress(1, 2), FAILED], [HELLO]))
    assert Retracted() not in events


async def test_it_gives_up_after_so_many_attempts_and_says_so() -> None:
    provider = Attempts(*[[FAILED]] * 3)
    with pytest.raises(ProviderError, match=r"That was attempt 3; giving up\.$"):
        await listen(provider, Patience(retries=2, first_s=0.0))
    assert provider.asked == 3


@pytest.mark.parametrize("error", [ProviderError("no such model"), ContextOverflow("too long")])
async def test_what_no_repetition_mends_is_the_error_as_it_is(error: ProviderError) -> None:
    for before in ([], [[FAILED]]):
        provider = Attempts(*before, [error])
        with pytest.raises(type(error)) as raised:
            await listen(provider)
        assert raised.value is error


async def test_a_server_that_never_was_there_is_not_waited_for() -> None:
    gone = Unreachable("Nothing listens.", retryable=True)
    provider = Attempts([Notice("loading the model"), gone])
    with pytest.raises(Unreachable):
        await listen(provider)
    assert provider.asked == 1


async def test_a_server_that_was_there_may_come_back() -> None:
    gone = Unreachable("Nothing listens.", retryable=True)
    provider = Attempts([HELLO], [gone], [gone], [HELLO])
    retrying = Retrying(provider, AT_ONCE)
    for _ in range(2):
        events = [event async for event in retrying.stream(REQUEST)]
        assert events[-1] == HELLO
    assert provider.asked == 4


async def test_a_server_that_asks_for_too_much_time_is_not_given_it() -> None:
    busy = ProviderError("The server is busy.", retryable=True, retry_after=3600)
    provider = Attempts([busy])
    with pytest.raises(ProviderError, match="busy"):
        await listen(provider)
    assert provider.asked == 1


async def test_waiting_can_be_cancelled() -> None:
    provider = Attempts([FAILED])
    waiting = asyncio.create_task(listen(provider, Patience(first_s=1000, longest_s=1000)))
    while not provider.asked:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_who_stops_listening_closes_the_stream() -> None:
    provider = Attempts([TextDelta("Hel"), HELLO])
    events = Retrying(provider, AT_ONCE).stream(REQUEST)
    await anext(events)
    await events.aclose()
    assert provider.asked == 1


async def test_it_is_otherwise_as_if_it_were_not_there() -> None:
    provider = Attempts()
    retrying = Retrying(provider)
    assert retrying.context == 1234
    await retrying.close()
    assert provider.closed


@pytest.mark.parametrize(
    "fault",
    [
        Chaos(on_request=1, status=429, retry_after_s=0),
        Chaos(on_request=1, status=429),
        Chaos(on_request=1, status=500),
        Chaos(on_request=1, status=503),
        Chaos(on_request=1, drop_after_events=0),
        Chaos(on_request=1, drop_after_events=3),
        Chaos(on_request=1, malformed_sse=True),
        Chaos(on_request=1, truncated_json=True),
    ],
)
async def test_faults_of_a_real_server_are_mended(fault: Chaos) -> None:
    turn = calls(("Read", {"file_path": "src/calc.py"}), text="Let me read the file first.")
    model = ScriptedModel([turn], chaos=[fault])
    with serving(model) as url:
        chat = OpenAIChat(url, "m")
        retrying = Retrying(chat, AT_ONCE)
        events = [event async for event in retrying.stream(REQUEST)]
        await retrying.close()
    completion = events[-1]
    assert isinstance(completion, Completion)
    assert len([b for b in completion.blocks if isinstance(b, ToolUseBlock)]) == 1
    assert len(model.requests) == 2
    at = events.index(Retracted()) if Retracted() in events else -1
    shown = "".join(event.text for event in events[at + 1 :] if isinstance(event, TextDelta))
    assert shown == "Let me read the file first."


async def test_a_real_server_that_always_fails_is_given_up() -> None:
    always = [Chaos(on_request=n, status=503, retry_after_s=0) for n in range(1, 9)]
    model = ScriptedModel([says("unreached")], chaos=always)
    with serving(model) as url:
        chat = OpenAIChat(url, "m")
        with pytest.raises(ProviderError, match="attempt 6; giving up"):
            [event async for event in Retrying(chat, AT_ONCE).stream(REQUEST)]
        await chat.close()
    assert len(model.requests) == 6
