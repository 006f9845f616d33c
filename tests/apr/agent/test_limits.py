"""Turns, tokens, time: each ends the run where it is used up, and with a reason of its own."""

import asyncio
import time
from pathlib import Path

import pytest

from apr.agent.asking import Answer, Question
from apr.agent.events import Event, PromptDone, ToolStarted
from apr.agent.limits import LimitReached, Limits, check
from apr.agent.session import Session
from apr.providers.base import ToolMessage, UserMessage
from apr.tools.base import Access, Context
from ccpa.trace import TextBlock, Usage
from tests.apr.agent.scripted import (
    Meet,
    Nothing,
    Script,
    Speak,
    agent,
    answer,
    converse,
    end_of,
    results,
    use,
    whole,
)


def session(root: Path) -> Session:
    return Session(root, model="m", permission_mode="default", trace=None)


def soon() -> Limits:
    return Limits(deadline=time.monotonic() + 0.05)


def test_without_limits_there_are_none(tmp_path: Path) -> None:
    books = session(tmp_path)
    books.count(Usage(input_tokens=10**9, output_tokens=10**9))
    check(Limits(), 10**6, books)


def test_cached_tokens_cost_nothing(tmp_path: Path) -> None:
    books = session(tmp_path)
    books.count(Usage(input_tokens=1000, output_tokens=50, cache_read_tokens=900))
    assert books.spent == 150
    check(Limits(tokens=151), 1, books)
    with pytest.raises(LimitReached, match="has used 150 tokens"):
        check(Limits(tokens=150), 1, books)


def test_what_a_subagent_uses_is_its_chiefs(tmp_path: Path) -> None:
    books = session(tmp_path)
    books.child().count(Usage(input_tokens=1000, output_tokens=50, cache_read_tokens=900))
    assert books.spent == 150


async def test_the_tokens_of_a_session_end_it_as_tokens_do(tmp_path: Path) -> None:
    script = Script(answer(use("Speak")), answer(TextBlock("late")))
    events = await converse(agent(tmp_path, script, Speak(), limits=Limits(tokens=12)))
    end = end_of(events)
    assert (end.stop_reason, end.error) == (
        "max_tokens",
        "max_tokens: the session has used 12 tokens",
    )
    assert len(script.asked) == 1


async def test_an_answer_that_is_there_in_time_is_no_failure(tmp_path: Path) -> None:
    limits = Limits(turns=1, tokens=12, deadline=time.monotonic() + 60)
    end = end_of(await converse(agent(tmp_path, Script(answer(TextBlock("Hi."))), limits=limits)))
    assert (end.stop_reason, end.error) == ("end_turn", None)


async def test_a_model_that_speaks_when_the_time_is_up_is_cut_off(tmp_path: Path) -> None:
    some_agent = agent(tmp_path, Script("and then"), limits=soon())
    end = end_of(await converse(some_agent))
    assert end.stop_reason == "error"
    assert (end.error or "").startswith("timeout: ")
    assert some_agent.messages == [UserMessage("go")]


async def test_a_tool_that_runs_when_the_time_is_up_is_ended_and_answered(tmp_path: Path) -> None:
    some_agent = agent(tmp_path, Script(answer(use("Meet"))), Meet(2), limits=soon())
    events = await converse(some_agent)
    assert [r.content for r in results(events)] == [
        "The time of the session was up before it was done."
    ]
    assert (end_of(events).error or "").startswith("timeout: ")
    assert whole(some_agent.messages)
    assert isinstance(some_agent.messages[-1], ToolMessage)


async def test_a_person_who_does_not_answer_does_not_hold_the_run(tmp_path: Path) -> None:
    class Ask(Meet):
        def access(self, call: Nothing, context: Context) -> Access:
            return Access(kind="consent")

    async def nobody(_question: Question) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    some_agent = agent(tmp_path, Script(answer(use("Meet"))), Ask(1), limits=soon(), ask=nobody)
    events = await converse(some_agent)
    assert (end_of(events).error or "").startswith("timeout: ")
    assert not any(isinstance(event, ToolStarted) for event in events)
    assert whole(some_agent.messages)


async def test_no_prompt_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    script = Script("and then")
    some_agent = agent(tmp_path, script, limits=soon())
    seen: list[Event] = [event async for event in some_agent.converse(["one", "two"])]
    done = [event for event in seen if isinstance(event, PromptDone)]
    assert [(d.error or "").partition(":")[0] for d in done] == ["timeout", "timeout"]
    assert len(script.asked) == 1
