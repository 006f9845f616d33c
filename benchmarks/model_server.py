"""A model server of no latency on loopback, which notes when requests came and answers left."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

_OPEN_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n"


class InstantModel:
    """Answers request k with answer k: tool calls, then a last text.

    `asked[k]` and `answered[k]` are `time.monotonic()` seconds: when request k had begun to come,
    and when its answer was handed to the kernel. `sizes[k]` is the request's body in bytes.
    """

    def __init__(self, calls: list[tuple[str, dict[str, Any]]]) -> None:
        answers = [_call(number, *call) for number, call in enumerate(calls)]
        self._answers = [*answers, _text("All done.")]
        self.asked: list[float] = []
        self.answered: list[float] = []
        self.sizes: list[int] = []

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(time.monotonic())
                length = _content_length(head)
                await reader.readexactly(length)
                self.sizes.append(length)
                body = self._answers[len(self.asked) - 1]
                writer.write(_HEAD % len(body) + body)
                await writer.drain()
                self.answered.append(time.monotonic())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class PacedModel:
    """Answers each request with the next text, a word at a time, so many words a second.

    The last text is given again and again. With a rate of 0 an answer comes at once.
    """

    def __init__(self, texts: Iterable[str], rate: float) -> None:
        self._texts = iter(texts)
        self._text = ""
        self._rate = rate

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_content_length(head))
            self._text = next(self._texts, self._text)
            writer.write(_OPEN_HEAD)
            words = re.findall(r"\S+\s*", self._text)
            began = asyncio.get_running_loop().time()
            for number, word in enumerate(words):
                if self._rate:
                    due = began + number / self._rate
                    await asyncio.sleep(max(due - asyncio.get_running_loop().time(), 0))
                writer.write(_line({"choices": [_choice({"content": word}, None)]}))
                await writer.drain()
            writer.write(_end("stop"))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@contextmanager
def serving(model: InstantModel | PacedModel) -> Iterator[str]:
    """Serve from a thread of its own; yields the base URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    start = asyncio.start_server(model.converse, "127.0.0.1", 0)
    server = asyncio.run_coroutine_threadsafe(start, loop).result()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _call(number: int, name: str, arguments: dict[str, Any]) -> bytes:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"index": 0, "id": f"call_{number}", "type": "function", "function": function}
    return _events({"tool_calls": [call]}, "tool_calls")


def _text(text: str) -> bytes:
    return _events({"content": text}, "stop")


def _events(delta: dict[str, Any], finish: str) -> bytes:
    return _line({"choices": [_choice(delta, None)]}) + _end(finish)


def _end(finish: str) -> bytes:
    usage = {"prompt_tokens": 1000, "completion_tokens": 20}
    last = _line({"choices": [_choice({}, finish)]}) + _line({"choices": [], "usage": usage})
    return last + b"data: [DONE]\n\n"


def _choice(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _line(chunk: dict[str, Any]) -> bytes:
    return f"data: {json.dumps({'model': 'instant', **chunk})}\n\n".encode()
