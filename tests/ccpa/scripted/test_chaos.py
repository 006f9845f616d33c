"""Faults on request: what they look like, always the same, and that no turn is lost to them."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from openai import APIConnectionError, InternalServerError, OpenAI, RateLimitError

from ccpa.errors import CcpaError
from ccpa.scripted.chaos import Chaos
from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving
from tests.ccpa.scripted.talk import messages, prompt, said, says, send, text, user

PATHS = ["/messages", "/chat/completions", "/responses"]
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Go."}], "input": "Go."}
SCRIPT = Script.from_trace([prompt("Go."), says("A whole answer, at last.")])


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with OpenAI(api_key="k", base_url="http://127.0.0.1") as made:
        yield made


def faulty(*faults: Chaos) -> ScriptedModel:
    return ScriptedModel(SCRIPT, chaos=faults)


def events(content: bytes) -> list[bytes]:
    return [event for event in content.split(b"\n\n") if event]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("status", [429, 500, 529])
def test_an_error_is_told_in_the_wires_own_way_and_says_no_turn(path: str, status: int) -> None:
    model = faulty(Chaos(on_request=1, status=status, retry_after_s=3))
    with serving(model) as url:
        told, content, headers = send(url, ASKED, path)
        again, answer, _ = send(url, ASKED, path)
    assert (told, headers["retry-after"]) == (status, "3")
    assert isinstance(json.loads(content)["error"]["message"], str)
    assert again == 200
    assert b"at last" in answer
    assert model.findings() == []
    assert [exchange.outcome for exchange in model.exchanges] == ["fault", "turn"]


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_is_dropped_after_so_many_events(path: str) -> None:
    model = faulty(Chaos(on_request=1, drop_after_events=3))
    stream = {**ASKED, "stream": True}
    with serving(model) as url:
        with pytest.raises(http.client.IncompleteRead) as broken:
            send(url, stream, path)
        _, content, _ = send(url, stream, path)
    assert events(broken.value.partial) == events(content)[:3]
    assert model.findings() == []


@pytest.mark.parametrize("path", PATHS)
def test_a_whole_answer_is_dropped_in_its_middle(path: str) -> None:
    with serving(faulty(Chaos(on_request=1, drop_after_events=3))) as url:
        with pytest.raises(http.client.IncompleteRead) as broken:
            send(url, ASKED, path)
        _, content, _ = send(url, ASKED, path)
    assert broken.value.partial == content[: len(content) // 2]


@pytest.mark.parametrize("path", PATHS)
def test_an_event_in_a_streams_middle_is_no_json(path: str) -> None:
    stream = {**ASKED, "stream": True}
    with serving(faulty(Chaos(on_request=1, malformed_sse=True))) as url:
        status, content, _ = send(url, stream, path)
        _, good, _ = send(url, stream, path)
    assert status == 200
    pairs = list(zip(events(content), events(good), strict=True))
    bad = [at for at, (event, expected) in enumerate(pairs) if event != expected]
    assert bad == [len(pairs) // 2]
    with pytest.raises(ValueError):
        json.loads(pairs[bad[0]][0].partition(b"data: ")[2])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_json_ends_before_its_end(path: str, stream: bool) -> None:
    asked = {**ASKED, "stream": stream}
    with serving(faulty(Chaos(on_request=1, truncated_json=True))) as url:
        status, content, _ = send(url, asked, path)
        _, good, _ = send(url, asked, path)
    assert status == 200
    assert good.startswith(content)
    assert len(content) < len(good)
    with pytest.raises(ValueError):
        json.loads(content.rpartition(b"data: ")[2])


def test_a_slow_answer_is_the_same_answer() -> None:
    slow = Chaos(on_request=1, latency_s=0.1, drip_s=0.01)
    with serving(faulty(slow)) as url:
        began = time.monotonic()
        status, content, _ = send(url, {**ASKED, "stream": True}, "/messages")
        took = time.monotonic() - began
    count = len(events(content))
    assert status == 200
    assert count > 5
    assert took >= 0.1 + 0.01 * count  # never less; how much more is the machine's affair


def test_faults_come_with_the_request_they_were_asked_for_with() -> None:
    turns = [says(str(n)) for n in range(4)]
    model = ScriptedModel(turns, chaos=[Chaos(on_request=3, status=500)])
    with serving(model) as url:
        told = [messages(url, user("Go.")) for _ in range(5)]
    assert [answer.get("type") for answer in told] == ["message"] * 2 + ["error"] + ["message"] * 2
    assert [text(answer) for answer in told if "content" in answer] == ["0", "1", "2", "3"]


def test_a_turn_that_did_not_arrive_comes_again_and_not_the_one_after_it() -> None:
    records = [prompt("One."), says("1"), prompt("Two.", 2), says("2", 3)]
    model = ScriptedModel(
        Script.from_trace(records), chaos=[Chaos(on_request=1, malformed_sse=True)]
    )
    with serving(model) as url:
        send(url, {"model": "m", "messages": [user("One.")], "stream": True}, "/messages")
        first = messages(url, user("One."))
        second = messages(url, user("One."), said(first), user("Two."))
    assert (text(first), text(second)) == ("1", "2")
    assert model.findings() == []


def test_mere_turns_are_not_lost_to_a_fault_either() -> None:
    model = ScriptedModel([says("0"), says("1")], chaos=[Chaos(on_request=1, truncated_json=True)])
    with serving(model) as url:
        send(url, {**ASKED, "stream": True}, "/messages")
        told = [text(messages(url, user("Go."))) for _ in range(2)]
    assert told == ["0", "1"]
    assert model.unsaid == 0


def test_a_turn_that_never_arrived_whole_is_missing() -> None:
    model = faulty(Chaos(on_request=1, drop_after_events=1))
    with serving(model) as url, pytest.raises(http.client.IncompleteRead):
        send(url, {**ASKED, "stream": True}, "/messages")
    assert [finding.category for finding in model.findings()] == ["missing_llm_call"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Chaos(on_request=1, status=429), RateLimitError),
        (Chaos(on_request=1, status=500), InternalServerError),
        (Chaos(on_request=1, drop_after_events=2), APIConnectionError),
        (Chaos(on_request=1, malformed_sse=True), json.JSONDecodeError),
    ],
)
def test_a_public_client_takes_a_fault_for_what_it_is(
    client: OpenAI, fault: Chaos, expected: type[Exception]
) -> None:
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "Go."}], "stream": True}
    with serving(faulty(fault)) as url:
        ask = client.with_options(base_url=url, max_retries=0).chat.completions.create
        with pytest.raises(expected):
            list(ask(**asked))
        assert list(ask(**asked))[-1].choices[0].finish_reason == "stop"


def test_a_client_that_tries_again_gets_its_turn(client: OpenAI) -> None:
    model = faulty(Chaos(on_request=1, status=429))
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "Go."}]}
    with serving(model) as url:
        answer = client.with_options(base_url=url).chat.completions.create(**asked)
    assert answer.choices[0].message.content == "A whole answer, at last."
    assert model.findings() == []


@pytest.mark.parametrize("given", [{"on_request": 0}, {"on_request": 1, "status": 200}])
def test_a_fault_that_is_none_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(CcpaError):
        Chaos(**given)  # type: ignore[arg-type]
