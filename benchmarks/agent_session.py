"""A long agent session on a large model: through `apr serve`, and on llama.cpp without apr.

An agent's session of 20 turns with a first request of 8 kB, and one of 50 kB. Both servers hold the
same session turn about, so that both meet the same machine. Then both are ended and started again,
and the session goes on: apr finds its prefix on the disk, llama.cpp evaluates it anew.

    python benchmarks/agent_session.py [--size 1GB] [--like SHAPE] [--turns 20] [--json]

The model has random weights (tools/make_random_model.py) and is deleted afterwards.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

HERE = Path(__file__).parent
MAKE = HERE.parent / "tools" / "make_random_model.py"
KILOBYTES = (8, 50)
RESULT_BYTES = 600
ANSWER_TOKENS = 16
CONTEXT = 40960
WORDS = ("read", "file", "value", "return", "state", "open", "model", "line", "error", "token")
# Many experts of which few are used: as large as asked for, and quick enough for two cores.
SPARSE = (
    *("--width", "1024", "--heads", "16", "--kv-heads", "4", "--head-dim", "64"),
    *("--hidden", "512", "--experts", "512", "--experts-used", "2", "--vocab", "151936"),
    *("--context", str(CONTEXT)),
)


class Turn(Struct, frozen=True, kw_only=True):
    """One answer as the client sees it."""

    prompt: int
    """Tokens."""
    cached: int
    """How many of them were not evaluated."""
    first_token_s: float
    tokens_per_s: float
    """Of the answer."""


class Session(Struct, kw_only=True):
    """One session on one server."""

    cold: list[Turn] = []
    warm: list[Turn] = []
    restarted: list[Turn] = []


class Server(Struct, frozen=True):
    """Where one listens."""

    url: str
    key: str


def text(size: int, draw: random.Random) -> str:
    """Return words of `size` bytes, with line numbers and names as in source code."""
    words: list[str] = []
    length = 0
    while length < size:
        word = draw.choice(WORDS) if draw.random() < 0.9 else f"x{draw.randrange(1000)}\n"
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:size]


def conversation(kilobytes: int, turns: int) -> list[list[dict[str, str]]]:
    """Return the messages of each request: answers and results are the same on every server."""
    draw = random.Random(kilobytes)
    messages = [
        {"role": "system", "content": text(kilobytes * 1000 - 100, draw)},
        {"role": "user", "content": text(100, draw)},
    ]
    requests = [list(messages)]
    for _ in range(turns - 1):
        messages += [
            {"role": "assistant", "content": text(120, draw)},
            {"role": "user", "content": text(RESULT_BYTES, draw)},
        ]
        requests.append(list(messages))
    return requests


def ask(server: Server, messages: list[dict[str, str]]) -> Turn:
    """Ask, streamed."""
    body = {
        "model": "any",
        "messages": messages,
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"},
    )
    began, first, usage = time.perf_counter(), None, None
    with urllib.request.urlopen(request, timeout=3600) as answer:
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            delta = chunk["choices"][0]["delta"] if chunk.get("choices") else {}
            if first is None and (delta.get("content") or delta.get("reasoning_content")):
                first = time.perf_counter()
            usage = chunk.get("usage") or usage
    ended = time.perf_counter()
    if usage is None:
        raise SystemExit(f"{server.url} did not say how many tokens there were")
    first = first or ended
    details = usage.get("prompt_tokens_details") or {}
    return Turn(
        prompt=usage["prompt_tokens"],
        cached=details.get("cached_tokens") or 0,
        first_token_s=first - began,
        tokens_per_s=(usage["completion_tokens"] - 1) / max(ended - first, 1e-9),
    )


@contextmanager
def started(command: list[str], home: Path) -> Iterator[Server]:
    """Run a server that prints where it is as JSON; it gets the time to end as it likes to."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"},
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline() or "null")
        if said is None:
            raise SystemExit(f"{' '.join(command[:3])} did not start")
        yield Server(said["url"], said.get("key") or "none")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)


@contextmanager
def both(model: Path, home: Path) -> Iterator[dict[str, Server]]:
    """Run both servers."""
    apr = [str(Path(sys.executable).parent / "apr"), "serve", "--model", str(model)]
    bare = [sys.executable, str(HERE / "bare_server.py"), str(model), str(CONTEXT)]
    with ExitStack() as stack:
        ours = [*apr, "--port", "0", "--json", "--slots", "1", "--ctx", str(CONTEXT)]
        yield {
            "apr": stack.enter_context(started(ours, home)),
            "llama.cpp": stack.enter_context(started(bare, home)),
        }


def measure(model: Path, kilobytes: int, turns: int) -> dict[str, Session]:
    """Hold one session on both."""
    requests = conversation(kilobytes, turns + 1)
    sessions = {"apr": Session(), "llama.cpp": Session()}
    with tempfile.TemporaryDirectory(dir=model.parent) as home:
        with both(model, Path(home)) as servers:
            for number, messages in enumerate(requests[:-1]):
                # In turns who is first, too: a neighbour of ours may come or go in between.
                for name in sorted(servers, reverse=bool(number % 2)):
                    turn = ask(servers[name], messages)
                    (sessions[name].warm if number else sessions[name].cold).append(turn)
        with both(model, Path(home)) as servers:
            for name, server in servers.items():
                sessions[name].restarted.append(ask(server, requests[-1]))
    return sessions


def over_bare(sessions: dict[str, Session]) -> dict[str, float]:
    """Return how much longer a turn takes through apr than its neighbour does: the medians."""
    pairs = list(zip(sessions["apr"].warm, sessions["llama.cpp"].warm, strict=True))
    if not pairs:
        return {}
    first = [ours.first_token_s / bare.first_token_s for ours, bare in pairs]
    answer = [bare.tokens_per_s / ours.tokens_per_s for ours, bare in pairs]
    return {
        "over its neighbour: first token": statistics.median(first) - 1,
        "over its neighbour: answer": statistics.median(answer) - 1,
    }


def rows(session: Session) -> dict[str, float]:
    """Return the figures of a session."""
    cold, restarted = session.cold[0], session.restarted[0]
    warm = session.warm or session.cold
    return {
        "cold: first token (s)": cold.first_token_s,
        "cold: prompt (tokens/s)": (cold.prompt - cold.cached) / cold.first_token_s,
        "warm: first token (s)": statistics.median(t.first_token_s for t in warm),
        "warm: evaluated (tokens)": statistics.median(t.prompt - t.cached for t in warm),
        "answer (tokens/s)": statistics.median(t.tokens_per_s for t in warm),
        "restarted: first token (s)": restarted.first_token_s,
        "restarted: evaluated (tokens)": restarted.prompt - restarted.cached,
    }


def main() -> None:
    """Make the model, hold the sessions, print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="1GB", help="of the model (default 1GB)")
    parser.add_argument("--like", help="the shape of this model, such as qwen3-coder-30b-a3b")
    parser.add_argument("--type", default="Q4_K", help="of the weights (default Q4_K)")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--kilobytes", type=int, nargs="+", default=KILOBYTES)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    shape = ("--like", args.like) if args.like else SPARSE
    results: dict[int, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "random.gguf"
        options = (*shape, "--size", args.size, "--type", args.type)
        subprocess.run([sys.executable, MAKE, model, *options], check=True)
        for kilobytes in args.kilobytes:
            sessions = measure(model, kilobytes, args.turns)
            results[kilobytes] = to_builtins(sessions)
            if not args.json:
                show(kilobytes, args.turns, sessions)
    if args.json:
        print(json.dumps(results))


def show(kilobytes: int, turns: int, sessions: dict[str, Session]) -> None:
    """Print the table of one session."""
    ours, bare = (rows(sessions[name]) for name in ("apr", "llama.cpp"))
    first = sessions["apr"].cold[0].prompt
    title = f"{kilobytes} kB, {first:,} tokens, {turns} turns"
    print(f"{title:34}{'apr':>12}{'llama.cpp':>12}{'ratio':>8}")
    for label, value in ours.items():
        ratio = f"{value / bare[label]:.3f}" if bare[label] else "-"
        print(f"{label:34}{value:>12,.3f}{bare[label]:>12,.3f}{ratio:>8}", flush=True)
    for label, part in over_bare(sessions).items():
        print(f"{label:34}{part:>+12.1%}", flush=True)


if __name__ == "__main__":
    main()
