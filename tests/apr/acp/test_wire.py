"""What is no message is told from one, whatever it is: the package's connection never sees it."""

import asyncio
import json
import os
from typing import Any

import pytest
from acp import RequestError
from hypothesis import given
from hypothesis import strategies as st

from apr.acp.wire import BadMessage, Pipes, checked, encoded

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
keys = st.sampled_from(["id", "method", "params", "result", "error", "jsonrpc"])


@given(st.dictionaries(keys, anything) | anything | st.binary())
def test_a_line_is_a_message_that_the_connection_can_take_or_none(said: Any) -> None:
    line = said if isinstance(said, bytes) else json.dumps(said).encode()
    try:
        message = checked(line)
    except BadMessage:
        return
    assert isinstance(message.get("method", ""), str)
    assert isinstance(message.get("id"), str | int | None)
    assert isinstance(message.get("error", {}), dict)
    assert "method" in message or "id" in message


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"{", -32700, None),
        (b"\xff", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"[1]", -32600, None),
        (b'{"jsonrpc":"2.0"}', -32600, None),
        (b'{"id":5,"method":7}', -32600, 5),
        (b'{"id":{},"method":"x"}', -32600, None),
        (b'{"id":true,"method":"x"}', -32600, None),
    ],
)
def test_what_is_wrong_is_said_to_whom_it_concerns(
    line: bytes, code: int, request_id: object
) -> None:
    with pytest.raises(BadMessage) as caught:
        checked(line)
    assert (caught.value.error.code, caught.value.id) == (code, request_id)


def test_an_answer_that_is_none_fails_its_request() -> None:
    answer = checked(b'{"id":3,"error":"no"}')
    assert answer["id"] == 3
    assert "an answer that is none" in answer["error"]["message"]


def test_half_a_character_ends_nothing() -> None:
    assert checked(b'{"id":1,"method":"m","params":{"text":"\\ud83d!"}}')["params"]["text"] == "?!"
    assert json.loads(encoded({"text": "\ud83d!"})) == {"text": "?!"}
    assert json.loads(encoded({"odd": RequestError(1, "x"), "text": "é"})) == {
        "odd": "x",
        "text": "é",
    }


async def test_who_writes_to_a_pipe_that_nobody_reads_is_told() -> None:
    (incoming, theirs), (reads, outgoing) = os.pipe(), os.pipe()
    pipes = Pipes(incoming, outgoing)
    await pipes.send({"id": 1})
    os.close(reads)
    with pytest.raises(ConnectionError, match="gone"):
        await pipes.send({"id": 2})
    with pytest.raises(ConnectionError):
        await pipes.send({"id": 3})
    assert await pipes.receive() is None  # who cannot hear us is not listened to
    await pipes.close()
    os.close(theirs)


async def test_what_is_written_is_heard_in_order_while_nobody_reads(tmp_path: Any) -> None:
    (incoming, theirs), (reads, outgoing) = os.pipe(), os.pipe()
    pipes = Pipes(incoming, outgoing)
    sending = [asyncio.create_task(pipes.send({"id": n, "text": "x" * 50_000})) for n in range(5)]
    os.write(theirs, b'{"id":9,"method":"m"}\n')
    assert await pipes.receive() == {"id": 9, "method": "m"}
    assert not all(task.done() for task in sending)
    with os.fdopen(reads, "rb") as stream:
        ids = [json.loads(await asyncio.to_thread(stream.readline))["id"] for _ in range(5)]
    await asyncio.gather(*sending)
    assert ids == [0, 1, 2, 3, 4]
    os.close(theirs)
    assert await pipes.receive() is None
    await pipes.close()
