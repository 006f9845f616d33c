"""The prompts that wait, and what is shown of them."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from apr.agent.prompt import Asked, Prompt, Rewrite
from apr.terminal.waiting import Queue, shown


async def test_prompts_are_asked_in_their_order_until_the_queue_is_closed() -> None:
    queue = Queue()
    queue.put("one")
    asked: list[Asked] = []

    async def ask() -> None:
        async for one in queue.each():
            asked.append(one)
            if one == "two":
                queue.put("never")
                queue.close()

    asking = asyncio.create_task(ask())
    while asked != ["one"]:
        await asyncio.sleep(0)
    queue.put("two")
    await asking
    assert asked == ["one", "two"]


async def test_what_is_asked_at_once_does_not_wait() -> None:
    queue = Queue()
    asked = queue.each()
    first = asyncio.ensure_future(anext(asked))
    await asyncio.sleep(0)
    queue.put("one", "one")
    assert queue.typed() == []
    assert queue.take_last() is None
    queue.put("two", "two")
    assert queue.typed() == ["two"]
    assert queue.take_all() == ["two"]
    assert await first == "one"
    queue.put("three", "three")
    assert queue.typed() == ["three"]


def test_only_what_was_typed_is_taken_back() -> None:
    told: list[int] = []
    queue = Queue(lambda: told.append(len(queue.typed())))
    queue.put(Prompt("ONE"), "one")
    queue.put(Rewrite("/clear"))
    queue.put(Prompt("TWO"), "two")
    assert queue.typed() == ["one", "two"]
    assert queue.take_last() == "two"
    assert queue.take_all() == ["one"]
    assert queue.take_last() is None
    assert told == [1, 1, 2, 1, 0]


def test_what_waits_is_said_in_a_line() -> None:
    assert shown(["fix it"], 80, "Up") == "1 waiting · fix it (Up: edit the last)"
    assert shown(["fix\n  it", "and more"], 80, "") == "2 waiting · fix it · and more"
    assert shown(["a long prompt that is cut", "b"], 30, "") == "2 waiting · a long prompt tha…"
    assert shown(["one", "二つ目のとても長い依頼です"], 30, "") == "2 waiting · one · 二つ目のと…"


@given(
    typed=st.lists(st.text(), min_size=1, max_size=4),
    columns=st.integers(min_value=1, max_value=90),
    key=st.sampled_from(["Up", ""]),
)
def test_it_is_never_longer_than_the_line(typed: list[str], columns: int, key: str) -> None:
    line = shown(typed, columns, key)
    assert get_cwidth(line) <= columns
    assert "\n" not in line
    assert "\x1b" not in line
