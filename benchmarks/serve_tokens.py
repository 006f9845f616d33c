"""What `apr serve` computes for each token that it passes on: microseconds of its main thread.

Before an engine of no weights, which says a token every 3 ms: at that pace each is read, understood
and written by itself.
On Linux, which tells what a thread has computed.

    python benchmarks/serve_tokens.py [--tokens 300] [--rounds 5]
"""

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

TOOL = {"name": "Read", "description": "Reads a file."}
SCHEMA = {"type": "object", "properties": {"file_path": {"type": "string"}}}
PACE_S = 0.003
EDGE = 20
"""Tokens at both ends that are not measured."""
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {}),
    "chat with tools": (
        "/v1/chat/completions",
        {"tools": [{"type": "function", "function": {**TOOL, "parameters": SCHEMA}}]},
    ),
    "messages": ("/v1/messages", {"tools": [{**TOOL, "input_schema": SCHEMA}]}),
}


async def engine() -> None:
    """Speak as llama.cpp's server does; print the port."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            body = json.loads(await reader.readexactly(int(length)))
            if not body.get("stream"):  # what would its prompt be?
                writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{"prompt":""}')
                continue
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for number in range(body["max_tokens"]):
                delta = {"choices": [{"index": 0, "delta": {"content": f" word{number}"}}]}
                writer.write(_chunk(json.dumps({**delta, "id": "chatcmpl-1", "model": "none"})))
                await writer.drain()
                await asyncio.sleep(PACE_S)
            end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            writer.write(_chunk(json.dumps(end)) + _chunk("[DONE]") + b"0\r\n\r\n")

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def _chunk(data: str) -> bytes:
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


async def serve(port: int) -> None:
    """Serve as `apr serve` does, with that engine; print the port."""
    import uvicorn

    from apr.serve.app import application
    from apr.serve.backend import Backend, Served
    from apr.serve.conversation import Answers
    from apr.serve.door import Rules
    from apr.serve.embedder import Embedder
    from apr.serve.engine import Engine
    from apr.serve.metrics import Meter
    from apr.serve.queue import FairQueue
    from apr.serve.slots import Slots

    native, answers, meter = Engine(port, "key", "none"), Answers(1 << 20), Meter()
    backend = Backend(
        Served(model="none", context=4096, template="<tool_call> <function= <parameter="),
        native,
        queue=FairQueue(1, 8),
        slots=Slots(1, native, None, answers),
        answers=answers,
        meter=meter,
    )

    def nothing(_key: str) -> Any:
        raise NotImplementedError

    embedder = Embedder(nothing, "none", most_waiting=1)
    app = application(
        backend,
        embedder,
        rules=Rules(),
        meter=meter,
        engine_metrics=str,
        gauges=dict,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_level="warning")
    await uvicorn.Server(config).serve(sockets=[listening])


def ask(port: int, kind: str, tokens: int, pid: int) -> float:
    """Ask; return the microseconds that the process has computed for a token."""
    path, more = REQUESTS[kind]
    messages = [{"role": "user", "content": "hello"}]
    body = {"model": "none", "messages": messages, "max_tokens": tokens, "stream": True, **more}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    computed = Path(f"/proc/{pid}/schedstat")  # of the main thread, in nanoseconds
    with urllib.request.urlopen(request, timeout=600) as answer:
        events = (line for line in answer if line.startswith(b"data: {"))
        at = [int(computed.read_text().split()[0]) for _ in events]
    return (at[tokens - EDGE] - at[EDGE]) / (tokens - 2 * EDGE) / 1000


def started(*words: str) -> tuple[subprocess.Popen[str], int]:
    """Run this program in another role; return it and its port."""
    command = [sys.executable, __file__, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--role", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == ["engine"]:
        asyncio.run(engine())
    elif args.role:
        import uvloop

        uvloop.run(serve(int(args.role[1])))
    else:
        behind, port = started("--role", "engine")
        server, served = started("--role", "serve", str(port))
        try:
            for kind in REQUESTS:
                taken = [ask(served, kind, args.tokens, server.pid) for _ in range(args.rounds)]
                least, half = min(taken), statistics.median(taken)
                print(f"{kind:18}{least:8.0f} us a token at the least, {half:.0f} in the median")
        finally:
            server.kill()
            behind.kill()


if __name__ == "__main__":
    main()
