"""What a stream tells of an engine that is silent, thinks, or dies."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import pytest
import uvicorn
from starlette.applications import Starlette

from apr.engine.client import Endpoint, attach
from apr.serve import event_stream, messages
from apr.serve.backend import Backend, Served
from apr.serve.conversation import Answers
from apr.serve.door import client_of
from apr.serve.engine import Engine
from apr.serve.metrics import Meter
from apr.serve.queue import FairQueue
from apr.serve.slots import Slots
from tests.apr.engine.processes import end_engines
from tests.apr.serve.messages_served import client_for, serving

HELLO: Any = [{"role": "user", "content": "Hello"}]
SURE = {"temperature": 0}
"""A model with random weights may say nothing at all where chance has a say."""
NUMBERS = {"type": "array", "items": {"type": "integer"}, "minItems": 1900}
ENDLESS: Any = {"format": {"type": "json_schema", "schema": NUMBERS}}
TEMPLATE = (
    "{# <tool_call> with arguments #}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking %}<think>\n{% else %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


@pytest.fixture
def endpoint(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Start an engine that is a process of its own, and can die alone."""
    monkeypatch.setenv("APR_HOME", str(tmp_path))
    yield asyncio.run(attach(tiny, ctx=2048))
    end_engines(tmp_path)


@contextmanager
def served(endpoint: Endpoint) -> Iterator[anthropic.Anthropic]:
    """Serve the routes before an engine; yields a client."""
    engine = Engine(urlsplit(endpoint.base_url).port or 0, endpoint.api_key, "tiny")
    answers = Answers(1 << 20)
    backend = Backend(
        Served(model="tiny", context=endpoint.context, template=endpoint.template),
        engine,
        queue=FairQueue(1, 0),
        slots=Slots(1, engine, None, answers),
        answers=answers,
        meter=Meter(),
    )
    app = Starlette(routes=messages.routes(backend, client_of))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    ready = threading.Event()
    startup = server.startup

    async def started(sockets: Any = None) -> None:
        await startup(sockets)
        ready.set()

    server.startup = started  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(30)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield client_for(f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join()


def test_an_engine_that_dies_in_the_middle_is_an_error_in_the_stream(endpoint: Endpoint) -> None:
    with served(endpoint) as client:
        stream: Any = client.messages.create(
            model="tiny", max_tokens=1900, messages=HELLO, output_config=ENDLESS, stream=True
        )
        assert next(event for event in stream if event.type == "content_block_delta")
        os.kill(endpoint.pid, signal.SIGKILL)
        with pytest.raises(anthropic.APIStatusError) as broken:
            list(stream)
        assert broken.value.type == "api_error"

        with pytest.raises(anthropic.InternalServerError):
            client.messages.create(model="tiny", max_tokens=4, messages=HELLO)


def test_a_stream_that_has_nothing_to_tell_says_that_it_is_alive(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "PING_S", 0.01)
    with (
        served(endpoint) as client,
        client.messages.with_streaming_response.create(
            model="tiny", max_tokens=1900, messages=HELLO, output_config=ENDLESS, stream=True
        ) as answer,
    ):
        lines = answer.iter_lines()
        assert next(line for line in lines if "text_delta" in line)
        os.kill(endpoint.pid, signal.SIGSTOP)
        try:
            pings = (line for line in lines if line == "event: ping")
            assert len(list(islice(pings, 3))) == 3
        finally:
            os.kill(endpoint.pid, signal.SIGCONT)
        assert "event: message_stop" in list(lines)


@pytest.fixture(scope="module")
def thinker(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[anthropic.Anthropic]:
    """Serve a model whose template can open its thinking."""
    home = tmp_path_factory.mktemp("home")
    model = home / "thinker.gguf"
    rewrite = (sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--chat-template", TEMPLATE)
    subprocess.run([*rewrite, tiny, model], check=True, capture_output=True)
    with serving(model, home, "--ctx", "2048") as url:
        yield client_for(url)


def test_a_model_thinks_where_it_is_asked_to(thinker: anthropic.Anthropic) -> None:
    asked: Any = {"model": "thinker", "max_tokens": 20, "extra_body": SURE, "messages": HELLO}
    thinking: Any = {"type": "adaptive"}
    with thinker.messages.stream(**asked, thinking=thinking) as stream:
        message = stream.get_final_message()
    thought = message.content[0]
    assert thought.type == "thinking"
    assert thought.thinking
    assert thought.signature

    going_on = [*HELLO, message.to_param(), {"role": "user", "content": "And now?"}]
    again = thinker.messages.create(**asked | {"messages": going_on}, thinking=thinking)
    assert again.content[0].type == "thinking"


def test_a_model_does_not_think_where_nobody_asked(thinker: anthropic.Anthropic) -> None:
    message = thinker.messages.create(
        model="thinker", max_tokens=20, messages=HELLO, extra_body=SURE
    )
    assert [block.type for block in message.content] == ["text"]
