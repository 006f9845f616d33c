"""Lines from a pipe, however they are cut on their way."""

import asyncio
import os
import threading

import pytest

from apr.headless import stdin
from apr.headless.arrivals import BadLine


async def came(*pieces: bytes) -> list[bytes]:
    """Return the lines that come through a pipe into which pieces are written."""
    receiving, sending = os.pipe()

    def write() -> None:
        for piece in pieces:
            os.write(sending, piece)
        os.close(sending)

    writing = threading.Thread(target=write)
    writing.start()
    lines = [line async for line in stdin.lines(receiving)]
    writing.join()
    os.close(receiving)
    return lines


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ((b'{"a":1}\n{"b":2}\n',), [b'{"a":1}', b'{"b":2}']),
        ((b'{"a"', b":1}", b"\n"), [b'{"a":1}']),
        ((b"\n\n \n", b"1\n"), [b"1"]),
        ((b'{"a":1}\r\n',), [b'{"a":1}\r']),
        ((b'{"a":1}',), [b'{"a":1}']),
        ((b'1\n{"a":',), [b"1"]),
        ((), []),
        (("ü".encode()[:1], "ü".encode()[1:] + b"\n"), ["ü".encode()]),
    ],
)
async def test_lines_are_put_together_again(pieces: tuple[bytes, ...], lines: list[bytes]) -> None:
    assert await came(*pieces) == lines


async def test_a_long_line_comes_whole() -> None:
    long = b"x" * 3_000_000
    assert await came(long, b"\n") == [long]


async def test_a_line_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdin, "MOST_BYTES", 1000)
    with pytest.raises(BadLine, match="more than 1,000 bytes"):
        await came(b"x" * 2000)


async def test_who_listens_no_more_does_not_hold_up_the_end() -> None:
    receiving, sending = os.pipe()
    lines = stdin.lines(receiving)
    os.write(sending, b"1\n")
    assert await anext(lines) == b"1"
    await lines.aclose()
    await asyncio.sleep(0)
    os.close(sending)
