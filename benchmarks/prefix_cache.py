"""How much of what an agent sends is evaluated: `python benchmarks/prefix_cache.py [--json]`.

An agent sends its whole history with every request; a server need only evaluate what is new in it.
This replays a session of 20 turns as agents hold them: a system prompt that begins with a header
which is another one in every request, tools, answers that come back as parsed tool calls, and their
results. *New* are the tokens of a prompt that were in no earlier prompt or answer of its
conversation. The session is held four times:

- one conversation on `apr serve`;
- three conversations in turn, with more conversations than slots;
- one conversation, with the server ended and started again in the middle;
- one conversation on the same engine without the server before it (llama.cpp's own interface).
"""

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

TURNS = 20
GOAL = 1.05
MODEL = "demo"
SYSTEM = (
    "You work on the project of a careful person. Read before you write. Say what you did. " * 45
)
RESULT = "    {number}\tdef step_{number}(state):  # {mark}\n"
RESULT_LINES = 12

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name} does what its name says to a file of the project. " * 3,
            "parameters": {
                "type": "object",
                "properties": {"file_path": {"type": "string"}, "text": {"type": "string"}},
                "required": ["file_path"],
            },
        },
    }
    for name in ("Read", "Write", "Edit", "Glob")
]


class Count(Struct):
    """Tokens of prompts."""

    sent: int = 0
    evaluated: int = 0
    new: int = 0

    @property
    def ratio(self) -> float:
        """Tokens evaluated for each that was new."""
        return self.evaluated / self.new


class Conversation:
    """One agent's session with a server."""

    def __init__(self, topic: str, *, choice: str = "required") -> None:
        self.count = Count()
        self._choice = choice
        self._marks = random.Random(topic)  # the same results in every run
        self._messages: list[dict[str, Any]] = [{"role": "user", "content": f"Work on {topic}."}]
        self._known = 0

    def turn(self, base_url: str, key: str) -> None:
        """Ask once, and answer what the model wants."""
        body = {
            "messages": [{"role": "system", "content": _system()}, *self._messages],
            "tools": TOOLS,
            "tool_choice": self._choice,
            "max_tokens": 48,
            "temperature": 0,
        }
        answer = _post(f"{base_url}/chat/completions", body, key)
        usage = answer["usage"]
        sent = usage["prompt_tokens"]
        self.count.sent += sent
        self.count.evaluated += sent - usage["prompt_tokens_details"]["cached_tokens"]
        self.count.new += sent - self._known
        self._known = sent + usage["completion_tokens"]
        self._answer(answer["choices"][0]["message"])

    def _answer(self, message: dict[str, Any]) -> None:
        """Go on: with a result for each call, or with a word of the user's."""
        calls = message.get("tool_calls") or []
        said = {"role": "assistant", "content": message.get("content") or ""}
        self._messages.append({**said, "tool_calls": calls} if calls else said)
        text = "".join(
            RESULT.format(number=number, mark=self._marks.getrandbits(32))
            for number in range(1, RESULT_LINES)
        )
        if not calls:
            self._messages.append({"role": "user", "content": f"Go on. It is now\n{text}"})
        for call in calls:
            result = {"role": "tool", "tool_call_id": call["id"], "content": text}
            self._messages.append(result)


def _system() -> list[dict[str, str]]:
    """Return the system prompt, whose first block is another one every time."""
    header = f"x-anthropic-billing-header: cc_version=1.0; cch={secrets.token_hex(3)};"
    return [{"type": "text", "text": header}, {"type": "text", "text": SYSTEM}]


def _post(url: str, body: Any, key: str) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


@contextmanager
def serving(home: Path, *words: str) -> Iterator[str]:
    """Run `apr serve`; yields the base URL of OpenAI's interface. Its end is a clean one."""
    command = [str(Path(sys.executable).parent / "apr"), "serve", "--model", MODEL]
    process = subprocess.Popen(
        [*command, "--port", "0", "--json", *words],
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"},
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"] + "/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def one(home: Path) -> Count:
    """Hold one conversation."""
    talk = Conversation("the parser")
    with serving(home) as url:
        for _ in range(TURNS):
            talk.turn(url, "none")
    return talk.count


def interleaved(home: Path) -> Count:
    """Hold three conversations in turn, on two slots."""
    talks = [Conversation(topic) for topic in ("the parser", "the printer", "a test that fails")]
    with serving(home, "--slots", "2") as url:
        for _ in range(TURNS):
            for talk in talks:
                talk.turn(url, "none")
    counts = [talk.count for talk in talks]
    return Count(
        sum(count.sent for count in counts),
        sum(count.evaluated for count in counts),
        sum(count.new for count in counts),
    )


def restarted(home: Path) -> Count:
    """Hold one conversation, with the server ended and started again in the middle."""
    talk = Conversation("the parser")
    for _ in range(2):
        with serving(home) as url:
            for _ in range(TURNS // 2):
                talk.turn(url, "none")
    return talk.count


def bare(home: Path) -> Count:
    """Hold one conversation with the engine itself."""
    from apr.engine.client import attach
    from apr.models.resolve import demo

    os.environ["APR_HOME"] = str(home / ".apr")
    endpoint = asyncio.run(attach(demo(), keep_alive=60.0))
    try:
        # Calls that it forces and that are cut off, it answers with an internal error.
        talk = Conversation("the parser", choice="none")
        for _ in range(TURNS):
            talk.turn(endpoint.base_url, endpoint.api_key)
    finally:
        os.kill(endpoint.pid, signal.SIGTERM)
    return talk.count


def main() -> int:
    """Measure; exit with 1 if more is evaluated than should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    as_json = parser.parse_args().json
    counts = {}
    for name, hold in (
        ("one conversation", one),
        ("three, in turn, on two slots", interleaved),
        ("one, over a restart", restarted),
        ("llama.cpp's own interface", bare),
    ):
        with tempfile.TemporaryDirectory() as home:
            counts[name] = hold(Path(home))
    if as_json:
        print(json.dumps({name: vars_of(count) for name, count in counts.items()}))
    else:
        print(f"{TURNS} turns each{'sent':>28}{'new':>10}{'evaluated':>12}{'per new token':>16}")
        for name, c in counts.items():
            print(f"{name:<30}{c.sent:>10,}{c.new:>10,}{c.evaluated:>12,}{c.ratio:>16.3f}")
    ours = list(counts.values())[:-1]
    return 0 if all(count.ratio <= GOAL for count in ours) else 1


def vars_of(count: Count) -> dict[str, float]:
    """Return what is printed of a count."""
    return {
        "sent": count.sent,
        "new": count.new,
        "evaluated": count.evaluated,
        "per_new_token": round(count.ratio, 4),
    }


if __name__ == "__main__":
    sys.exit(main())
