"""Real engines in tests: find them, ask them, wait for what they do."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apr.engine import state as engines
from apr.engine.client import Endpoint
from apr.engine.process import end, started
from apr.engine.state import EngineState

BOUND_S = 30.0


def eventually(true: Callable[[], object]) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + BOUND_S
    while not true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.01)


def of_home(home: Path) -> list[int]:
    """Return the living engine processes of an `APR_HOME`, known to it or not."""
    mark = f"APR_HOME={home}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in variables and b"apr.engine" in command:
            found.append(int(process.name))
    return found


def end_engines(home: Path) -> None:
    """End all engines of a home."""
    for pid in of_home(home):
        since = started(pid)
        assert since is None or end(pid, since)


def is_alive(pid: int) -> bool:
    return started(pid) is not None


def only(folder: Path) -> EngineState:
    """Return the one engine that runs."""
    ((_, engine),) = engines.running(folder)
    return engine


def serve(*words: str | Path) -> subprocess.Popen[str]:
    """Start an engine in the foreground, as a person would."""
    return subprocess.Popen(
        [sys.executable, "-m", "apr.engine", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def python(program: str, *words: str | Path) -> subprocess.Popen[str]:
    """Start a Python program of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(endpoint: Endpoint, path: str, body: Any = None, *, key: str | None = "") -> Any:
    """Return the answer of an engine; its key is used unless another one, or None, is given."""
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key or endpoint.api_key}"
    request = urllib.request.Request(
        endpoint.base_url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers=headers,
    )
    with urllib.request.urlopen(request, timeout=BOUND_S) as answer:
        return json.load(answer)


def status(endpoint: Endpoint, path: str, *, key: str | None = "") -> int:
    """Return the status of an answer."""
    try:
        ask(endpoint, path, key=key)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def chat(endpoint: Endpoint, *texts: str, **options: Any) -> Any:
    """Ask with a conversation: texts of the user and the assistant in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    body = {"messages": messages, "max_tokens": 4, **options}
    return ask(endpoint, "/chat/completions", body)
