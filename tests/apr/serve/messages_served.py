"""`apr serve` as a process of its own, and the vendor's client for it."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message as Headers
from pathlib import Path
from typing import Any

import anthropic
from msgspec import Struct

from tests.apr.program import start_apr


@contextmanager
def serving(model: str | Path, home: Path, *words: str) -> Iterator[str]:
    """Serve a model on a free port; yields the URL."""
    process = start_apr(
        *("serve", "--model", model, "--port", "0", "--json", "--no-cache", "--grace", "0s"),
        *words,
        home=home,
        cwd=home,
    )
    try:
        yield _url(process)
    finally:
        process.terminate()
        process.communicate()


def _url(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return str(json.loads(line)["url"])


def client_for(url: str) -> anthropic.Anthropic:
    """Return the vendor's client; it asks once, and loopback only."""
    return anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)


class Posted(Struct, frozen=True):
    """An answer, whatever its status."""

    status: int
    headers: Headers
    body: Any


def post(url: str, body: Any, path: str = "/v1/messages", **headers: str) -> Posted:
    """Send a body as it stands."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url + path, raw, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Posted(answer.status, answer.headers, json.load(answer))
    except urllib.error.HTTPError as error:
        return Posted(error.code, error.headers, json.load(error))
