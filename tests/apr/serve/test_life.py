"""How a server ends, what it remembers, how it bears load, and that it speaks to nobody."""

import asyncio
import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.apr.program import environment
from tests.apr.serve.servers import HELLO, TOOL, Server, chat, metric, serving

SYSTEM = {"role": "system", "content": "Work with care. " * 200}
Client = Any  # openai.AsyncOpenAI, whose signatures take no plain dict for a message
FORCED = {"tools": [TOOL], "tool_choice": "required", "max_tokens": 24}


def client_of(server: Server, key: str = "none") -> Client:
    return openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=100)


class Talk:
    """A conversation with tools, whose answers come back as a client understood them."""

    def __init__(self, topic: str) -> None:
        self.messages: list[dict[str, Any]] = [SYSTEM, {"role": "user", "content": topic}]

    def turn(self, server: Server) -> tuple[int, int]:
        """Ask and answer; return how many tokens were sent, and how many evaluated."""
        answer = chat(server, self.messages, **FORCED).body
        message = answer["choices"][0]["message"]
        self.messages.append(message)
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": "done"}
            for call in message.get("tool_calls", ())
        ]
        self.messages += results or [{"role": "user", "content": "Go on."}]
        sent = answer["usage"]["prompt_tokens"]
        return sent, sent - answer["usage"]["prompt_tokens_details"]["cached_tokens"]


def test_a_conversation_is_not_evaluated_again_after_a_restart(home: Path) -> None:
    talk = Talk("the parser")
    with serving(home) as server:
        talk.turn(server)
        talk.turn(server)
        assert server.end(signal.SIGTERM) == 0
    with serving(home) as server:
        sent, evaluated = talk.turn(server)
    assert evaluated < sent / 10
    files = [path for path in (home / ".apr" / "prefixes").rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def test_a_damaged_file_costs_no_more_than_an_evaluation(home: Path) -> None:
    talk = Talk("the parser")
    with serving(home) as server:
        talk.turn(server)
        server.end(signal.SIGTERM)
    (state,) = (home / ".apr" / "prefixes").rglob("*.kv")
    state.write_bytes(bytes(state.stat().st_size))
    with serving(home) as server:
        sent, evaluated = talk.turn(server)
    assert evaluated == sent
    assert not state.exists()


def test_more_conversations_than_slots_are_not_evaluated_again(home: Path) -> None:
    talks = [Talk(topic) for topic in ("the parser", "the printer", "the lexer")]
    with serving(home, "--slots", "2") as server:
        talks[0].turn(server)
        for talk in talks[1:]:  # they share the system prompt
            sent, evaluated = talk.turn(server)
            assert evaluated < sent / 10
        for _ in range(2):
            for talk in talks:
                sent, evaluated = talk.turn(server)
                assert evaluated < sent / 10


def test_nothing_is_left_on_the_disk_where_that_is_not_wanted(home: Path) -> None:
    with serving(home, "--no-cache") as server:
        Talk("the parser").turn(server)
        server.end(signal.SIGTERM)
    assert not (home / ".apr" / "prefixes").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_an_answer_in_work_may_end_before_the_server_does(
    home: Path, number: int, code: int
) -> None:
    with serving(home) as server:
        stream = await client_of(server).chat.completions.create(
            model="demo",
            messages=HELLO,
            max_tokens=400,
            stream=True,
            extra_body={"ignore_eos": True},
        )
        await anext(aiter(stream))
        server.process.send_signal(number)
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].choices[0].finish_reason == "length"
        assert await asyncio.to_thread(server.process.wait, 60) == code
        _, errors = server.process.communicate()
        assert "Traceback" not in errors


async def test_an_answer_that_takes_too_long_is_broken_off(home: Path) -> None:
    with serving(home, "--grace", "0s", "--slots", "1") as server:
        stream = await client_of(server).chat.completions.create(
            model="demo",
            messages=HELLO,
            max_tokens=16_000,
            stream=True,
            extra_body={"ignore_eos": True},
        )
        await anext(aiter(stream))
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 60) == 0
        await stream.close()


async def test_sixteen_streams_at_once_and_hundreds_of_requests(home: Path) -> None:
    with serving(home, "--no-cache", "--slots", "8") as server:
        client = client_of(server)

        async def stream(number: int) -> Any:
            chunks = await client.chat.completions.create(
                model="demo",
                messages=[{"role": "user", "content": f"hello {number}"}],
                max_tokens=32,
                stream=True,
                extra_body={"ignore_eos": True},
            )
            return [chunk async for chunk in chunks][-1].choices[0].finish_reason

        assert await asyncio.gather(*map(stream, range(16))) == ["length"] * 16
        for _ in range(4):
            await asyncio.gather(
                *(
                    client.completions.create(model="demo", prompt="hello", max_tokens=1)
                    for _ in range(50)
                )
            )
        answered = 'apr_requests_total{route="/v1/completions",status="200"}'
        assert metric(server, answered) == 200
        assert metric(server, "apr_requests_in_flight") == 0


async def test_a_full_queue_says_when_to_come_back_and_is_fair(home: Path) -> None:
    with serving(home, "--no-cache", "--slots", "1", "--queue", "2") as server:
        greedy, modest = client_of(server, "greedy"), client_of(server, "modest")

        def long(client: Client) -> Any:
            return client.completions.create(
                model="demo", prompt="hello", max_tokens=300, extra_body={"ignore_eos": True}
            )

        many = [asyncio.create_task(long(greedy)) for _ in range(5)]
        await asyncio.wait(many, return_when=asyncio.FIRST_EXCEPTION)
        assert await long(modest)
        ends = await asyncio.gather(*many, return_exceptions=True)
        refused = [end for end in ends if isinstance(end, openai.RateLimitError)]
        assert refused
        assert int(refused[0].response.headers["retry-after"]) >= 1
        assert len(ends) - len(refused) >= 2


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare, of util-linux")
def test_it_works_without_any_network_but_loopback(home: Path) -> None:
    script = (
        "ip link set lo up 2>/dev/null || python -c '"
        "import fcntl, socket, struct; s = socket.socket(); "
        'fcntl.ioctl(s, 0x8914, struct.pack("16sH14s", b"lo", 1, b""))\'\n'
        "exec python -m tests.apr.serve.alone"
    )
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-ec", script],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    if "unshare failed" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("no namespaces here")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"interfaces": ["lo"], "answered": 200, "image": 400}
