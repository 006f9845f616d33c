"""Many requests: `python benchmarks/serve_load.py [--requests 10000] [--streams 16] [--json]`.

Asks a fresh `apr serve` with the demo model from so many clients at once: first one long stream
from each, then short requests of all kinds until the number is reached. Prints errors, times and
the server's memory along the way; its growth is that of the last half, when all caches are warm.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import openai

LONG_TOKENS = 256
SHORT_TOKENS = 4
GROWTH_GOAL_MB = 8.0
TOOL = {
    "type": "function",
    "function": {"name": "Read", "parameters": {"type": "object", "properties": {}}},
}


class Load:
    """Clients at one server."""

    def __init__(self, url: str, pid: int) -> None:
        self.errors: list[str] = []
        self.first_token: list[float] = []
        self.seconds: list[float] = []
        self._pid = pid
        # Any: its signatures take no plain dict for a message.
        self._client: Any = openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300
        )

    async def long_stream(self, number: int) -> None:
        """Ask for many tokens, and note when the first came."""
        began = time.monotonic()
        stream = await self._client.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": f"Client {number} says hello"}],
            max_tokens=LONG_TOKENS,
            stream=True,
            extra_body={"ignore_eos": True},
        )
        first = True
        async for chunk in stream:
            if first and chunk.choices and chunk.choices[0].delta.content:
                self.first_token.append(time.monotonic() - began)
                first = False
        self.seconds.append(time.monotonic() - began)

    async def short(self, number: int) -> None:
        """Ask for a few tokens, in one of four ways."""
        asked: Any = {
            "model": "demo",
            "messages": [{"role": "user", "content": f"Request {number} says hello"}],
            "max_tokens": SHORT_TOKENS,
        }
        began = time.monotonic()
        try:
            if number % 4 == 0:
                await self._client.completions.create(
                    model="demo", prompt=f"Request {number}", max_tokens=SHORT_TOKENS
                )
            elif number % 4 == 1:
                stream = await self._client.chat.completions.create(**asked, stream=True)
                async for _ in stream:
                    pass
            else:
                tools = {"tools": [TOOL]} if number % 4 == 2 else {}
                await self._client.chat.completions.create(**asked, **tools)
        except openai.OpenAIError as error:
            self.errors.append(str(error))
        self.seconds.append(time.monotonic() - began)

    def memory_mb(self) -> float:
        """Return the server's resident memory without files."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0]) / 1024


async def press(load: Load, requests: int, streams: int) -> dict[str, Any]:
    """Press on; return the figures."""
    await asyncio.gather(*map(load.long_stream, range(streams)))
    streamed = list(load.seconds)
    load.seconds.clear()
    memory = [load.memory_mb()]
    numbers = iter(range(requests))
    began = time.monotonic()

    async def client() -> None:
        for number in numbers:
            await load.short(number)
            if number and number % max(1, requests // 10) == 0:
                memory.append(load.memory_mb())

    await asyncio.gather(*(client() for _ in range(streams)))
    took = time.monotonic() - began
    return {
        "requests": requests,
        "streams": streams,
        "errors": len(load.errors),
        "first_error": next(iter(load.errors), None),
        "stream_first_token_s": round(max(load.first_token), 3),
        "stream_slowest_s": round(max(streamed), 3),
        "requests_per_second": round(requests / took, 1),
        "median_ms": round(1000 * statistics.median(load.seconds), 1),
        "slowest_ms": round(1000 * max(load.seconds), 1),
        "memory_mb": [round(size, 1) for size in memory],
        "growth_mb": round(memory[-1] - memory[len(memory) // 2], 1),
    }


def main() -> int:
    """Measure; exit with 1 on an error or if the memory grows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "apr", "serve", "--model=demo", "--port=0", "--json"],
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8"},
        )
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            load = Load(told["url"], told["pid"])
            figures = asyncio.run(press(load, args.requests, args.streams))
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    if args.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<22}{value}")
    return 0 if not figures["errors"] and figures["growth_mb"] <= GROWTH_GOAL_MB else 1


if __name__ == "__main__":
    sys.exit(main())
