"""How an engine lives, works and ends."""

import asyncio
import json
import os
import signal
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from apr.engine import state as engines
from apr.engine.client import Endpoint, attach
from tests.apr.engine.processes import (
    ask,
    chat,
    eventually,
    is_alive,
    only,
    python,
    serve,
)


async def start_stream(endpoint: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for an answer of many tokens; return the connection once the first ones have come."""
    body = json.dumps({"prompt": "x", "max_tokens": 4000, "ignore_eos": True, "stream": True})
    port = urlsplit(endpoint.base_url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {endpoint.api_key}"
    head += f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    assert await reader.readuntil(b"data: ")
    return reader, writer


def metric(endpoint: Endpoint, name: str) -> float:
    """Return one of the engine's own figures."""
    url = endpoint.base_url.removesuffix("/v1") + "/metrics"
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"llamacpp:{name} "):
                return float(line.split()[1])
    raise AssertionError(name)


async def test_an_idle_engine_ends_and_leaves_no_state(tiny: Path, folder: Path) -> None:
    endpoint = await attach(tiny, keep_alive=0.01)
    eventually(lambda: not is_alive(endpoint.pid))
    assert not list(folder.glob("*.json"))


async def test_a_busy_engine_does_not_end_before_its_work_is_done(slow: Path) -> None:
    endpoint = await attach(slow, keep_alive=0.5)
    body = {"prompt": "!?" * 1100, "max_tokens": 1}
    answer = await asyncio.to_thread(ask, endpoint, "/completions", body)
    assert answer["usage"]["prompt_tokens"] == 2200
    eventually(lambda: not is_alive(endpoint.pid))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_at_once_and_cleanly(
    tiny: Path, folder: Path, number: signal.Signals
) -> None:
    engine = serve("--model", tiny, "--keep-alive", "never")
    eventually(lambda: list(engines.running(folder)))
    engine.send_signal(number)
    output, _ = engine.communicate(timeout=10)
    assert engine.returncode == 0
    assert f"Serving {tiny} at http://127.0.0.1:" in output
    assert "Traceback" not in output
    assert not list(folder.glob("*.json"))


async def test_a_signal_ends_it_in_the_middle_of_its_work(tiny: Path) -> None:
    endpoint = await attach(tiny)
    reader, writer = await start_stream(endpoint)
    os.kill(endpoint.pid, signal.SIGTERM)
    rest = await asyncio.wait_for(reader.read(), timeout=10)
    writer.close()
    assert b"[DONE]" not in rest
    eventually(lambda: not is_alive(endpoint.pid))


async def test_an_engine_killed_in_a_request_breaks_the_connection(tiny: Path) -> None:
    endpoint = await attach(tiny)
    reader, writer = await start_stream(endpoint)
    os.kill(endpoint.pid, signal.SIGKILL)
    try:
        rest = await asyncio.wait_for(reader.read(), timeout=10)
    except ConnectionResetError:
        rest = b""
    writer.close()
    assert b"[DONE]" not in rest


def test_it_ends_with_the_process_it_belongs_to(tiny: Path, folder: Path) -> None:
    owner = python("import sys; sys.stdin.read()")
    engine = serve("--model", tiny, "--parent-pid", str(owner.pid), "--keep-alive", "never")
    eventually(lambda: list(engines.running(folder)))
    assert owner.stdin is not None
    owner.stdin.close()
    output, _ = engine.communicate(timeout=10)
    assert owner.wait() == engine.returncode == 0, output


def test_an_owner_that_is_gone_already_is_an_error(tiny: Path) -> None:
    owner = python("")
    owner.communicate()
    engine = serve("--model", tiny, "--parent-pid", str(owner.pid))
    output, _ = engine.communicate()
    assert engine.returncode == 1
    assert output == f"apr: --parent-pid: there is no process {owner.pid}\n"


async def test_it_ends_when_its_state_file_is_removed(tiny: Path, folder: Path) -> None:
    endpoint = await attach(tiny)
    (file,) = folder.glob("*.json")
    file.unlink()
    eventually(lambda: not is_alive(endpoint.pid))


async def test_the_next_turn_evaluates_only_what_is_new(tiny: Path) -> None:
    endpoint = await attach(tiny)
    history = ("word " * 300, "a fixed answer")
    first = chat(endpoint, history[0])["timings"]
    assert first["cache_n"] == 0
    second = chat(endpoint, *history, "next")["timings"]
    assert second["cache_n"] >= first["prompt_n"] - 1
    assert second["prompt_n"] < first["prompt_n"] / 10


@pytest.mark.parametrize("slots", [1, 4])
async def test_a_subagent_in_between_does_not_cost_the_conversation_its_cache(
    tiny: Path, folder: Path, slots: int
) -> None:
    serve("--model", tiny, "--slots", str(slots))
    eventually(lambda: list(engines.running(folder)))
    endpoint = await attach(tiny)
    history = ("word " * 300, "a fixed answer")
    first = chat(endpoint, history[0])["timings"]
    chat(endpoint, "something else entirely " * 50)
    second = chat(endpoint, *history, "next")["timings"]
    assert second["cache_n"] >= first["prompt_n"] - 1


async def test_each_of_many_conversations_may_have_the_whole_context(tiny: Path) -> None:
    endpoint = await attach(tiny, ctx=1024)
    bodies = [
        {"prompt": text * 450, "max_tokens": 100, "ignore_eos": True}
        for text in ("!?", "#%", "&*", "()", "[]", "{}")
    ]
    answers = await asyncio.gather(
        *(asyncio.to_thread(ask, endpoint, "/completions", body) for body in bodies)
    )
    assert [answer["usage"]["total_tokens"] for answer in answers] == [1000] * len(bodies)


async def test_hanging_up_cancels_the_generation(tiny: Path) -> None:
    endpoint = await attach(tiny)
    _, writer = await start_stream(endpoint)
    writer.close()
    await writer.wait_closed()
    eventually(lambda: metric(endpoint, "requests_processing") == 0)
    assert metric(endpoint, "tokens_predicted_total") < 4000


async def test_it_listens_on_loopback_only(tiny: Path, folder: Path) -> None:
    await attach(tiny)
    port = f"{only(folder).port:04X}"
    tables = [Path("/proc/net/tcp").read_text(), Path("/proc/net/tcp6").read_text()]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    assert [row[1] for row in rows if row[1].endswith(f":{port}") and row[3] == "0A"] == [
        f"0100007F:{port}"
    ]
