"""The scripted model server, asked over real HTTP."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import AssistantTurn, Block, TextBlock, ThinkingBlock, ToolUseBlock, TurnStop, Usage


def turn(*blocks: Block, stop: TurnStop = "end_turn") -> AssistantTurn:
    usage = Usage(input_tokens=11, output_tokens=7, cache_read_tokens=5)
    return AssistantTurn(v=1, turn=1, blocks=list(blocks), stop_reason=stop, usage=usage)


def post(base_url: str, body: object, path: str = "/chat/completions") -> tuple[int, bytes]:
    url = urlsplit(base_url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", url.path + path, raw)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def events(content: bytes) -> list[dict[str, Any]]:
    lines = [line[6:] for line in content.decode().splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


CALL = ToolUseBlock("toolu_1", "Read", {"file_path": "/a/rather/long/path.py", "limit": 3})


def test_a_turn_is_served_whole() -> None:
    model = ScriptedModel([turn(TextBlock("Reading."), CALL, stop="tool_use")])
    with serving(model) as url:
        status, content = post(url, {"model": "m", "messages": []})
    answer = json.loads(content)
    message = answer["choices"][0]["message"]
    assert status == 200
    assert message["content"] == "Reading."
    assert message["tool_calls"][0]["id"] == "toolu_1"
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == CALL.input
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 5}


def test_a_streamed_turn_says_the_same() -> None:
    blocks = (ThinkingBlock("Let me think about this."), TextBlock("Grüße 👋 " * 9), CALL)
    model = ScriptedModel([turn(*blocks, stop="tool_use")])
    with serving(model) as url:
        _, content = post(url, {"model": "m", "messages": [], "stream": True})
    chunks = events(content)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    arguments = "".join(call["function"].get("arguments", "") for call in calls)
    assert "".join(d.get("content", "") for d in deltas) == "Grüße 👋 " * 9
    assert "".join(d.get("reasoning_content", "") for d in deltas) == "Let me think about this."
    assert calls[0]["function"]["name"] == "Read"
    assert json.loads(arguments) == CALL.input
    assert chunks[-1]["usage"]["completion_tokens"] == 7


def test_each_request_gets_the_next_turn_and_is_kept() -> None:
    model = ScriptedModel([turn(TextBlock("one")), turn(TextBlock("two"), stop="max_tokens")])
    with serving(model) as url:
        first, second = (post(url, {"model": "m", "messages": [n]})[1] for n in range(2))
    assert json.loads(first)["choices"][0]["message"]["content"] == "one"
    assert json.loads(second)["choices"][0]["finish_reason"] == "length"
    assert [request["messages"] for request in model.requests] == [[0], [1]]
    assert model.unsaid == 0


def test_a_call_that_is_not_in_the_recording_is_refused_and_counted() -> None:
    model = ScriptedModel([])
    with serving(model) as url:
        status, content = post(url, {"model": "m"})
    assert status == 400
    assert "not in the recording" in json.loads(content)["error"]["message"]
    assert model.surplus == 1


@pytest.mark.parametrize(
    ("body", "path", "status"),
    [
        (b"{not json", "/chat/completions", 400),
        (b"[]", "/chat/completions", 400),
        ({}, "/images", 404),
    ],
)
def test_what_is_no_chat_request_is_refused(body: object, path: str, status: int) -> None:
    model = ScriptedModel([turn(TextBlock("unsaid"))])
    with serving(model) as url:
        assert post(url, body, path)[0] == status
    assert model.unsaid == 1
