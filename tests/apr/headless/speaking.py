"""`apr` driven by hand: lines of JSON in, lines of JSON out, through real pipes."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.apr.program import APR, environment

FLAGS = ("--output-format", "stream-json", "--input-format", "stream-json")


def prompt(content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "user", "message": {"role": "user", "content": content}, **more}


def request(subtype: str, request_id: str = "r1", **fields: Any) -> dict[str, Any]:
    wanted = {"subtype": subtype, **fields}
    return {"type": "control_request", "request_id": request_id, "request": wanted}


def encoded(lines: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


class Talk:
    """A running `apr` that is spoken to."""

    def __init__(self, url: str, home: Path, cwd: Path, *words: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [APR, *FLAGS, "--base-url", url, *words],
            cwd=cwd,
            env=environment(home) | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def say(self, *lines: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(encoded(lines))
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Return the next line."""
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def until(self, kind: str) -> list[dict[str, Any]]:
        """Return the lines up to the next of a type."""
        heard = [self.hear()]
        while heard[-1]["type"] != kind:
            heard.append(self.hear())
        return heard

    def end(self) -> tuple[list[dict[str, Any]], str]:
        """Close our side; return the rest of what it says, and its standard error."""
        into, out, err = self.process.stdin, self.process.stdout, self.process.stderr
        assert into is not None
        assert out is not None
        assert err is not None
        into.close()
        told, complaints = out.read(), err.read()
        self.process.wait(timeout=30)
        return [json.loads(line) for line in told.splitlines()], complaints.decode()


def run(
    url: str, home: Path, cwd: Path, given: bytes, *words: str, **env: str
) -> tuple[int, list[dict[str, Any]], str]:
    """Run it to its end; return its exit code, its lines and its standard error."""
    done = subprocess.run(
        [APR, *FLAGS, "--base-url", url, *words],
        cwd=cwd,
        env=environment(home) | env,
        input=given,
        capture_output=True,
        timeout=30,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, lines, done.stderr.decode()
