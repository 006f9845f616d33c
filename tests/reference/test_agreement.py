"""The engine and transformers agree on the demo model: how a prompt reads, and what follows it."""

import json
import os
import signal
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `reference` is not installed")

import msgspec
import torch

from apr.engine.client import Endpoint, attach
from apr.models.resolve import demo
from apr.providers.base import ToolSpec
from apr.tools.registry import BUILTIN, specs
from demo_model.network import new_network
from demo_model.results import with_real_results
from demo_model.sessions import load_material, load_sessions
from demo_model.text import VOCABULARY, Renderer
from demo_model.variation import Message, Variation
from demo_model.weights import read_into

pytestmark = pytest.mark.reference
LEAST_COSINE = 0.9999


@pytest.fixture
async def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    """Start an engine of our own for the demo model."""
    monkeypatch.setenv("APR_HOME", str(tmp_path / "home"))
    endpoint = await attach(demo(), keep_alive=0)
    yield endpoint
    os.kill(endpoint.pid, signal.SIGTERM)


@pytest.fixture(scope="module")
def conversations() -> list[list[Message]]:
    """Return one course of every session, and a few conversations that are none of them."""
    variation = Variation(load_material(), seed=7)
    sessions = map(with_real_results, load_sessions(variation.material))
    return [*map(variation.session, sessions), *(variation.stranger() for _ in range(3))]


def post(engine: Endpoint, path: str, body: dict[str, Any]) -> Any:
    """Ask the engine."""
    request = urllib.request.Request(
        engine.base_url.removesuffix("/v1") + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {engine.api_key}"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def wire(tools: tuple[ToolSpec, ...], messages: list[Message]) -> dict[str, Any]:
    """Return the messages as a request; calls carry their arguments as JSON text there."""
    sent = []
    for message in messages:
        calls = [
            {
                "id": "call",
                "type": "function",
                "function": {
                    "name": call["function"]["name"],
                    "arguments": json.dumps(call["function"]["arguments"]),
                },
            }
            for call in message.get("tool_calls", [])
        ]
        extra = {"tool_call_id": "call"} if message["role"] == "tool" else {}
        sent.append(message | extra | ({"tool_calls": calls} if calls else {}))
    described = [{"type": "function", "function": msgspec.to_builtins(tool)} for tool in tools]
    return {"messages": sent, "tools": described}


async def test_both_render_a_conversation_as_the_same_text(
    engine: Endpoint, conversations: list[list[Message]]
) -> None:
    render = Renderer(specs(BUILTIN))

    for conversation in conversations:
        asked = conversation[:-1]  # up to the last answer
        theirs = post(engine, "/apply-template", wire(specs(BUILTIN), asked))["prompt"]
        assert theirs == render(asked, ask=True)


def test_the_exact_text_of_an_answer_and_its_calls_render_alike(
    conversations: list[list[Message]],
) -> None:
    render = Renderer(specs(BUILTIN))

    for conversation in conversations:
        text = render(conversation)
        plain = [
            {"role": "assistant", "content": text_of(render, conversation, number)}
            if message["role"] == "assistant"
            else message
            for number, message in enumerate(conversation)
        ]
        assert render(plain) == text


def text_of(render: Renderer, conversation: list[Message], number: int) -> str:
    """Return what the model generated as this message."""
    asked = render(conversation[:number], ask=True)
    return render(conversation[: number + 1]).removeprefix(asked).removesuffix("<|im_end|>\n")


async def test_both_give_the_next_token_the_same_probabilities(
    engine: Endpoint, conversations: list[list[Message]]
) -> None:
    network = new_network(VOCABULARY)
    read_into(network, demo())
    render = Renderer(specs(BUILTIN))

    for conversation in conversations:
        prompt = render(conversation[:-1], ask=True)
        ids = post(engine, "/tokenize", {"content": prompt, "parse_special": True})["tokens"]
        with torch.no_grad():
            ours = network(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        theirs = log_probabilities(engine, ids)
        centred = ours - ours.mean(), theirs - theirs.mean()
        cosine = torch.nn.functional.cosine_similarity(*centred, dim=0).item()
        assert cosine >= LEAST_COSINE
        assert ours.argmax() == theirs.argmax()


def log_probabilities(engine: Endpoint, ids: list[int]) -> torch.Tensor:
    """Return what the engine thinks of every token as the next: [vocabulary]."""
    request = {"prompt": ids, "n_predict": 1, "n_probs": VOCABULARY, "temperature": 0}
    answer = post(engine, "/completion", request)
    (after,) = answer["completion_probabilities"]
    result = torch.full((VOCABULARY,), torch.nan)
    for candidate in after["top_logprobs"]:
        result[candidate["id"]] = candidate["logprob"]
    assert not result.isnan().any(), "the engine left tokens out"
    return result
