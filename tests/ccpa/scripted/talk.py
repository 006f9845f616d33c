"""What the tests of the scripted server say to it, and the turns they have it say."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from ccpa.trace import (
    AssistantTurn,
    Block,
    Record,
    TextBlock,
    ToolUseBlock,
    TurnStop,
    Usage,
    UserPrompt,
)

CALL = ToolUseBlock("toolu_1", "Read", {"file_path": "/a/rather/long/path.py", "limit": 3})
USAGE = Usage(input_tokens=11, output_tokens=7, cache_read_tokens=5)


def turn(*blocks: Block, stop: TurnStop = "end_turn", number: int = 1) -> AssistantTurn:
    return AssistantTurn(v=1, turn=number, blocks=list(blocks), stop_reason=stop, usage=USAGE)


def says(text: str, number: int = 1, parent: str | None = None) -> AssistantTurn:
    return AssistantTurn(
        v=1,
        turn=number,
        blocks=[TextBlock(text)],
        stop_reason="end_turn",
        parent_tool_use_id=parent,
    )


def calls(
    *uses: tuple[str, str, dict[str, Any]], number: int = 1, parent: str | None = None
) -> AssistantTurn:
    """Return a turn of tool uses, each an id, a name and an input."""
    return AssistantTurn(
        v=1,
        turn=number,
        blocks=[ToolUseBlock(*use) for use in uses],
        stop_reason="tool_use",
        parent_tool_use_id=parent,
    )


def prompt(text: str, number: int = 0) -> Record:
    return UserPrompt(v=1, turn=number, text=text)


def send(
    base_url: str,
    body: object,
    path: str = "/chat/completions",
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes, dict[str, str]]:
    """Send a request on a connection of its own; return status, body and headers."""
    url = urlsplit(base_url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=20)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request(method, url.path + path, raw, headers or {})
        response = connection.getresponse()
        content = response.read()
        return response.status, content, {k.lower(): v for k, v in response.getheaders()}
    finally:
        connection.close()


def post(base_url: str, body: object, path: str = "/chat/completions") -> tuple[int, bytes]:
    status, content, _ = send(base_url, body, path)
    return status, content


def messages(base_url: str, *history: Any, tools: tuple[str, ...] = ("Read",), **more: Any) -> Any:
    """Ask over Messages; return the answer, or the error, as JSON."""
    body = {
        "model": "m",
        "max_tokens": 1000,
        "messages": list(history),
        "tools": [{"name": name, "input_schema": {"type": "object"}} for name in tools],
        **more,
    }
    return json.loads(post(base_url, body, "/messages")[1])


def user(*parts: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": part} for part in parts]}


def results(*ids: str) -> dict[str, Any]:
    found = [{"type": "tool_result", "tool_use_id": id_, "content": "done"} for id_ in ids]
    return {"role": "user", "content": found}


def said(answer: Any) -> dict[str, Any]:
    """Return an answer as the client keeps it in its history."""
    return {"role": "assistant", "content": answer["content"]}


def text(answer: Any) -> str:
    return "".join(part["text"] for part in answer["content"] if part["type"] == "text")
