"""`apr serve` as a process of its own, and plain requests to it."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from apr.models.resolve import demo
from tests.apr.program import start_apr

TOOL = {
    "type": "function",
    "function": {
        "name": "Read",
        "description": "Reads a file.",
        "parameters": {
            "type": "object",
            "properties": {"file_path": {"type": "string"}},
            "required": ["file_path"],
        },
    },
}
HELLO = [{"role": "user", "content": "hello"}]


class Server(Struct):
    """A server that runs."""

    url: str
    process: "subprocess.Popen[str]"

    def end(self, number: int) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


class Answer(Struct):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any


def start(home: Path, *words: str | Path) -> Server:
    """Start a server on a free port."""
    command = ("serve", "--model", demo(), "--port", "0", "--json", *words)
    process = start_apr(*command, home=home, cwd=home)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return Server(json.loads(line)["url"], process)


@contextmanager
def serving(home: Path, *words: str | Path) -> Iterator[Server]:
    """Run a server; it is ended at once."""
    server = start(home, *words)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def ask(
    server: Server, path: str, body: Any = None, *, method: str | None = None, **headers: str
) -> Answer:
    """Send a request; in names of headers `_` stands for `-`. The body is JSON, or bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(server.url + path, data, named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, dict(answer.headers), _read(answer.read()))
    except urllib.error.HTTPError as error:
        return Answer(error.code, dict(error.headers), _read(error.read()))


def chat(server: Server, messages: Any = HELLO, **fields: Any) -> Answer:
    """Ask for a short chat completion."""
    body = {"messages": messages, "max_tokens": 8, "temperature": 0, **fields}
    return ask(server, "/v1/chat/completions", body)


def metric(server: Server, sample: str) -> float:
    """Return a sample of the server's metrics."""
    text = ask(server, "/metrics").body
    found = re.search(rf"(?m)^{re.escape(sample)} (\S+)$", text)
    assert found, f"no {sample} in\n{text}"
    return float(found[1])


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()
