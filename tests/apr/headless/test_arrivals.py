"""Lines of input: what is understood, and that nothing else is."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.agent.prompt import Prompt
from apr.headless.arrivals import (
    BadLine,
    ControlRequest,
    ControlResponse,
    KeepAlive,
    UserLine,
    prompt_of,
    read,
)
from apr.providers.base import Image
from tests.apr.headless.speaking import prompt, request

PICTURE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="},
}


def asked(content: Any, **more: Any) -> Prompt:
    line = read(json.dumps(prompt(content, **more)).encode())
    assert isinstance(line, UserLine)
    return prompt_of(line)


def test_a_prompt_is_a_text_or_parts_of_one() -> None:
    assert asked("hi") == Prompt("hi")
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert asked(parts) == Prompt("one\n\ntwo")


def test_a_prompt_may_hold_pictures_and_documents() -> None:
    document = {
        "type": "document",
        "title": "notes.txt",
        "source": {"type": "text", "media_type": "text/plain", "data": "buy milk"},
    }
    parts = [PICTURE, {"type": "text", "text": "See:"}, document]
    assert asked(parts) == Prompt("See:\n\nnotes.txt:\nbuy milk", (Image("image/png", "iVBORw=="),))
    assert asked([PICTURE]).images


def test_a_prompt_may_be_taken_as_it_is_written() -> None:
    assert asked("/greet", client_composed=True).verbatim
    assert not asked("/greet").verbatim


def test_what_is_known_of_newer_programs_is_passed_over() -> None:
    line = prompt("hi", priority="now", session_id="default", parent_tool_use_id=None, x={"y": 1})
    assert isinstance(read(json.dumps(line).encode()), UserLine)


def test_requests_and_answers_are_told_apart() -> None:
    wanted = read(json.dumps(request("interrupt")).encode())
    assert isinstance(wanted, ControlRequest)
    assert wanted.subtype == "interrupt"
    answer = {"type": "control_response", "response": {"subtype": "success", "request_id": "a"}}
    assert isinstance(read(json.dumps(answer).encode()), ControlResponse)
    assert isinstance(read(b'{"type": "keep_alive"}'), KeepAlive)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "malformed"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `type`"),
        (b'{"type": "nonsense"}', "nonsense"),
        (b'{"type": "user"}', "message"),
        (b'{"type": "user", "message": {"role": "user", "content": 5}}', "content"),
        (b'{"type": "user", "message": {"role": "assistant", "content": "hi"}}', "assistant"),
        (b'{"type": "control_request"}', "request_id"),
        (b"[" * 100_000, "not understood"),
        (b'{"type": "\xff"}', "not understood"),
    ],
)
def test_a_line_that_is_none_is_shown_with_its_fault(line: bytes, reason: str) -> None:
    with pytest.raises(BadLine) as bad:
        read(line)
    assert reason in str(bad.value)
    assert len(str(bad.value)) < 400


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ([], "empty"),
        ([{**PICTURE, "source": {**PICTURE["source"], "data": "not base64!"}}], "base64"),  # type: ignore[dict-item]
        ([{**PICTURE, "source": {**PICTURE["source"], "media_type": "text/html"}}], "text/html"),  # type: ignore[dict-item]
    ],
)
def test_a_prompt_that_asks_for_nothing_is_none(content: Any, reason: str) -> None:
    with pytest.raises(BadLine, match=reason):
        asked(content)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_whatever_comes_is_read_or_refused(line: bytes | str) -> None:
    raw = line.encode() if isinstance(line, str) else line
    with contextlib.suppress(BadLine):
        read(raw)
