"""What `apr code` is like at a terminal: start, keystrokes while it streams, long sessions.

On a pseudo-terminal of its own, with a model server on loopback; beside a bare prompt of
prompt_toolkit in the same run, turn about.

- start: from the process's start until the prompt is on the screen;
- keystroke: from the key until its letter is in what the terminal gets, while an answer streams;
- memory: resident, over a session of many prompts; and how much text the session itself is.

    python benchmarks/terminal.py [--runs 7] [--keys 200] [--turns 1000] [--json]
"""

import argparse
import fcntl
import json
import os
import pty
import random
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from model_server import PacedModel, serving

HERE = Path(__file__).parent
START_S, KEY_MS, GROWTH = 0.35, 16.0, 1.05
RATE = 200
"""Tokens per second while keys are pressed."""
PATIENCE_S = 60.0
PROMPT = ">"
_ESCAPES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_=>])")
_LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"
"""No answer has these, so that what shows them is the echo of a key."""
_PARAGRAPH = (
    "The quick brown fox jumps over the lazy dog, `again` and again, while **somebody** types. " * 4
)


class Screen:
    """A program on a pseudo-terminal."""

    def __init__(self, command: list[str], cwd: Path, home: Path) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm-256color"}
            | {"LANG": "C.UTF-8"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._seen = b""

    def press(self, keys: str) -> float:
        """Press keys; return when."""
        os.write(self._ours, keys.encode())
        return time.perf_counter()

    def until(self, text: str) -> float:
        """Wait until the terminal gets a text it has not got yet; return when that was."""
        wanted, deadline = text.encode(), time.perf_counter() + PATIENCE_S
        while (at := (shown := _ESCAPES.sub(b"", self._seen)).find(wanted)) < 0:
            if time.perf_counter() > deadline or not self._read(0.5):
                raise SystemExit(f"no {text!r} in:\n{shown[-2000:].decode(errors='replace')}")
        self._seen = shown[at + len(wanted) :]
        return time.perf_counter()

    def drain(self, seconds: float) -> None:
        """Take what the terminal gets for a while."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._read(left)
        self._seen = b""

    def resident_mb(self) -> float:
        """Return the program's resident memory."""
        words = ["ps", "-o", "rss=", "-p", str(self.process.pid)]
        return int(subprocess.run(words, capture_output=True, check=True).stdout) / 1024

    def close(self) -> None:
        """End the program."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)

    def _read(self, patience_s: float) -> bool:
        """Take what is there; return whether the program is still at the other end."""
        if not select.select([self._ours], [], [], patience_s)[0]:
            return True
        try:
            data = os.read(self._ours, 1 << 16)
        except OSError:
            return False
        if b"\x1b[6n" in data:  # where is the cursor? A terminal says so
            os.write(self._ours, b"\x1b[1;1R")
        self._seen += data
        return True


@contextmanager
def running(command: list[str]) -> Iterator[Screen]:
    """Start a program in an empty project, with an empty home."""
    with tempfile.TemporaryDirectory() as project, tempfile.TemporaryDirectory() as home:
        screen = Screen(command, Path(project), Path(home))
        try:
            yield screen
        finally:
            screen.close()


def apr(url: str) -> list[str]:
    """Return the command of `apr code` at a terminal."""
    program = str(Path(sys.executable).parent / "apr")
    return [program, "code", "--base-url", url, "--model", "instant"]


BARE = [sys.executable, str(HERE / "bare_prompt.py")]


def start_s(command: list[str]) -> float:
    """Return the time until a program's prompt is there."""
    with running(command) as screen:
        return screen.until(PROMPT) - screen.began


def keystrokes_ms(command: list[str], keys: int, prompt: str = "") -> list[float]:
    """Return the time from each key to its letter, pressed as fast as a person types."""
    times: list[float] = []
    chance = random.Random(1)
    with running(command) as screen:
        screen.until(PROMPT)
        if prompt:
            screen.press(prompt + "\r")
            screen.until("quick")
        while len(times) < keys:
            for letter in _LETTERS:
                screen.drain(chance.uniform(0.03, 0.12))
                pressed = screen.press(letter)
                times.append((screen.until(letter) - pressed) * 1000)
            screen.press("\x15")  # Ctrl-U: an empty line again
            screen.drain(0.3)
    return times[:keys]


def memory_mb(turns: int, shown: Callable[[str], None]) -> list[float]:
    """Return the resident memory after each tenth of a session."""
    texts = (f"Answer {n}. {_PARAGRAPH}\n\nDone {n}." for n in range(1, turns + 1))
    sizes: list[float] = []
    with serving(PacedModel(texts, 0)) as url, running(apr(url)) as screen:
        screen.until(PROMPT)
        for turn in range(1, turns + 1):
            screen.press(f"prompt {turn}\r")
            screen.until(f"Done {turn}.")
            if turn % max(turns // 10, 1) == 0:
                sizes.append(screen.resident_mb())
                shown(f"turn {turn}: {sizes[-1]:.1f} MB")
    return sizes


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--turns", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    answer = "\n\n".join([_PARAGRAPH] * 200)
    starts: dict[str, list[float]] = {"apr code": [], "bare prompt": []}
    with serving(PacedModel([answer], RATE)) as url:
        start_s(apr(url))  # warms the file cache and the byte code
        for _ in range(args.runs):
            starts["apr code"].append(start_s(apr(url)))
            starts["bare prompt"].append(start_s(BARE))
        keys = {
            "apr code, streaming": keystrokes_ms(apr(url), args.keys, "go"),
            "apr code, idle": keystrokes_ms(apr(url), args.keys),
            "bare prompt, idle": keystrokes_ms(BARE, args.keys),
        }
    memory = memory_mb(args.turns, lambda line: print(line, file=sys.stderr))
    if args.json:
        print(json.dumps({"start_s": starts, "keystroke_ms": keys, "memory_mb": memory}))
        return
    for name, some in starts.items():
        told = f"{statistics.median(some):.3f} s ({min(some):.3f}-{max(some):.3f})"
        print(f"start to first prompt, {name:20} {told}   target <= {START_S} s")
    for name, some in keys.items():
        half, most = statistics.median(some), statistics.quantiles(some, n=20)[-1]
        told = f"{half:.1f} ms, 95 %: {most:.1f}, most: {max(some):.1f}"
        print(f"keystroke to screen, {name:21} {told}   target <= {KEY_MS:g} ms")
    middle, end = memory[len(memory) // 2 - 1], memory[-1]
    print(
        f"memory, half of {args.turns} prompts and all: {middle:.1f}, {end:.1f} MB "
        f"(x {end / middle:.3f})   target <= x {GROWTH}"
    )


if __name__ == "__main__":
    main()
