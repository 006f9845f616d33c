"""The scripted model server, asked over real HTTP."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from ccpa.scripted import http as scripted_http
from ccpa.scripted.log import REMOVED
from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import TextBlock, ThinkingBlock
from tests.ccpa.scripted.talk import CALL, messages, post, prompt, says, send, text, turn, user


def events(content: bytes) -> list[dict[str, Any]]:
    lines = [line[6:] for line in content.decode().splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


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


@pytest.mark.parametrize("usage", [True, False])
def test_a_streamed_turn_says_the_same(usage: bool) -> None:
    blocks = (ThinkingBlock("Let me think about this."), TextBlock("Grüße 👋 " * 9), CALL)
    model = ScriptedModel([turn(*blocks, stop="tool_use")])
    asked = {"stream": True, "stream_options": {"include_usage": usage}}
    with serving(model) as url:
        _, content = post(url, {"model": "m", "messages": [], **asked})
    chunks = events(content)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    arguments = "".join(call["function"].get("arguments", "") for call in calls)
    assert "".join(d.get("content", "") for d in deltas) == "Grüße 👋 " * 9
    assert "".join(d.get("reasoning_content", "") for d in deltas) == "Let me think about this."
    assert calls[0]["function"]["name"] == "Read"
    assert json.loads(arguments) == CALL.input
    assert [c["usage"]["completion_tokens"] for c in chunks if "usage" in c] == [7] * usage


def test_each_request_gets_the_next_turn_and_is_kept() -> None:
    model = ScriptedModel([turn(TextBlock("one")), turn(TextBlock("two"), stop="max_tokens")])
    with serving(model) as url:
        asked = [{"messages": [{"role": "user", "content": str(n)}]} for n in range(2)]
        first, second = (post(url, body)[1] for body in asked)
    assert json.loads(first)["choices"][0]["message"]["content"] == "one"
    assert json.loads(second)["choices"][0]["finish_reason"] == "length"
    assert model.requests == asked
    assert model.unsaid == 0


def test_a_call_that_is_not_in_the_recording_is_refused_and_counted() -> None:
    model = ScriptedModel([])
    with serving(model) as url:
        status, content = post(url, {"messages": []})
    assert status == 400
    assert "not in the recording" in json.loads(content)["error"]["message"]
    assert model.surplus == 1


@pytest.mark.parametrize("path", ["/messages", "/chat/completions", "/responses"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{not json",
        b"[]",
        b"\xff",
        b'{"a":' * 100_000,
        {},
        {"model": "m", "messages": 7, "input": 7},
        {"model": "m", "messages": [{"role": "user", "content": 7}], "input": [{"content": 7}]},
    ],
    ids=repr,
)
def test_what_is_no_request_of_the_wire_gets_its_error(body: object, path: str) -> None:
    model = ScriptedModel([says("unsaid")])
    with serving(model) as url:
        status, content = post(url, body, path)
    assert status == 400
    answer = json.loads(content)
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["message"].startswith("the request body: ")
    assert ("type" in answer) == (path == "/messages")
    assert model.unsaid == 1
    assert [exchange.outcome for exchange in model.exchanges] == ["malformed"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "kind"),
    [
        ("POST", "/images", {}, "invalid_request_error"),
        ("GET", "/chat/completions", {}, "invalid_request_error"),
        ("POST", "/messages/batches", {}, "not_found_error"),
        ("POST", "/complete", {"Anthropic-Version": "2023-06-01"}, "not_found_error"),
    ],
)
def test_what_is_not_served_is_not_found(
    method: str, path: str, headers: dict[str, str], kind: str
) -> None:
    with serving(ScriptedModel([])) as url:
        status, content, _ = send(url, {}, path, method=method, headers=headers)
    assert status == 404
    assert json.loads(content)["error"]["type"] == kind


def test_a_body_beyond_all_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripted_http, "MAX_BODY", 1000)
    model = ScriptedModel([says("said")])
    with serving(model) as url:
        large = {"model": "m", "messages": [{"role": "user", "content": "x" * 300_000}]}
        status, content = post(url, large, "/messages")
        assert status == 413
        assert json.loads(content)["error"]["type"] == "request_too_large"
        assert text(messages(url, user("small"))) == "said"
    assert model.exchanges[0].size == len(json.dumps(large))


def test_a_connection_serves_many_requests() -> None:
    with serving(ScriptedModel([says(str(n)) for n in range(4)])) as url:
        place = urlsplit(url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
        connection.connect()
        first = connection.sock
        said = []
        for n in range(4):
            body = {"messages": [], "stream": n % 2 == 1}
            connection.request("POST", "/v1/chat/completions", json.dumps(body))
            said.append(connection.getresponse().read())
            assert connection.sock is first
        connection.request("HEAD", "/")
        assert connection.getresponse().read() == b""
        connection.request("GET", "/v1/models")
        assert b"scripted" in connection.getresponse().read()
        assert connection.sock is first
        connection.close()
    assert [f'"content":"{n}"'.encode() in content for n, content in enumerate(said)] == [True] * 4


def test_many_connections_are_served_at_once() -> None:
    """Every stream stands still until all of them have begun."""
    begun = threading.Semaphore(0)
    model = ScriptedModel([says(f"turn {n}") for n in range(50)], log=lambda _: begun.release())
    model.pause_after = 1
    with serving(model) as url, ThreadPoolExecutor(50) as pool:
        body = {"messages": [], "stream": True}
        asked = [pool.submit(post, url, body) for _ in range(50)]
        assert all(begun.acquire(timeout=20) for _ in range(50))
        assert not any(answer.done() for answer in asked)
        model.go_on()
        said = {said_in(answer.result()[1]) for answer in asked}
    assert said == {f"turn {n}" for n in range(50)}


def said_in(content: bytes) -> str:
    return "".join(
        choice["delta"].get("content", "")
        for chunk in events(content)
        for choice in chunk["choices"]
    )


def test_a_client_may_leave_in_the_middle_of_an_answer() -> None:
    """What it asked for again, it gets again: its first answer never arrived in full."""
    script = Script.from_trace([prompt("Go."), says("a long answer " * 9)])
    model = ScriptedModel(script)
    asked = {"model": "m", "messages": [user("Go.")], "stream": True}
    with serving(model) as url:
        model.pause_after = 3
        place = urlsplit(url)
        leaving = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
        leaving.request("POST", "/v1/messages", json.dumps(asked))
        assert leaving.getresponse().read(20).startswith(b"event: message_start")
        assert leaving.sock is not None
        leaving.sock.shutdown(socket.SHUT_RDWR)
        leaving.close()
        model.go_on()
        assert text(messages(url, user("Go."))) == "a long answer " * 9
    assert model.findings() == []


def test_what_is_not_http_is_told_so() -> None:
    with serving(ScriptedModel([])) as url:
        place = urlsplit(url)
        with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
            connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
            told = connection.makefile("rb").read()
        assert told.startswith(b"HTTP/1.1 400 ")
        assert post(url, {"messages": []})[0] == 400


def test_every_request_is_logged_without_its_secrets() -> None:
    logged: list[Any] = []
    model = ScriptedModel([says("one")], log=logged.append)
    secrets = {
        "Authorization": "Bearer s3cret",
        "X-Api-Key": "s3cret",
        "Cookie": "session=s3cret",
        "X-Goog-Api-Key": "s3cret",
        "User-Agent": "agent/1",
    }
    with serving(model) as url:
        send(url, {"messages": []}, "/chat/completions?key=s3cret", headers=secrets)
        send(url, b"", "/models", method="GET", headers=secrets)
        send(url, {"messages": []}, headers=secrets)
    assert logged == model.exchanges
    assert [(e.number, e.path, e.status, e.outcome) for e in logged] == [
        (1, "/v1/chat/completions", 200, "turn"),
        (2, "/v1/models", 200, "other"),
        (3, "/v1/chat/completions", 400, "refused"),
    ]
    assert logged[0].size == len('{"messages": []}')
    assert logged[0].ts.endswith("Z")
    assert logged[0].headers["user-agent"] == "agent/1"
    assert logged[0].headers["authorization"] == REMOVED
    assert "s3cret" not in repr(logged)
    assert model.headers[0]["authorization"] == "Bearer s3cret"
