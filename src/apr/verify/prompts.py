"""The token sequences that a model is asked about."""

import json
import random
from pathlib import Path

from apr.errors import AprError
from apr.serve.engine import Engine

BUILT_IN = (4, 16, 48, 96)
"""Lengths in tokens of the prompts that are used where none are given."""


def built_in(vocabulary: int) -> list[list[int]]:
    """Return prompts of any tokens at all, the same every time."""
    draw = random.Random(0)  # noqa: S311 - reproducible is what they must be
    return [[draw.randrange(vocabulary) for _ in range(length)] for length in BUILT_IN]


def read(path: Path) -> list[str]:
    """Return the lines of a file of prompts.

    Raises:
        AprError: it cannot be read.
    """
    try:
        return path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, RuntimeError, ValueError) as error:
        raise AprError(f"cannot read the prompts in {path}: {error}") from None


async def parse(lines: list[str], engine: Engine, vocabulary: int) -> list[list[int]]:
    """Return the prompts on the lines: each is text, or a JSON array of token ids.

    Raises:
        AprError: a line is no prompt, or there is none.
        ProviderError: the engine failed.
    """
    prompts = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            ids = await _ids(line, engine)
            if not ids or not all(type(n) is int and 0 <= n < vocabulary for n in ids):
                raise AprError(f"--prompts, line {number}: token ids are 0 to {vocabulary - 1:,}")
            prompts.append(ids)
    if not prompts:
        raise AprError("--prompts: there is no prompt in the file")
    return prompts


async def _ids(line: str, engine: Engine) -> list[int]:
    if line.startswith("["):
        try:
            ids = json.loads(line)
        except (ValueError, RecursionError):
            ids = None  # text that begins so
        if isinstance(ids, list):
            return ids
    asked = {"content": line, "add_special": True, "parse_special": True}
    answer: list[int] = (await engine.call("/tokenize", asked))["tokens"]
    return answer


def spread(length: int, count: int) -> list[int]:
    """Return `count` prefix lengths of a prompt, evenly spread, the whole prompt among them."""
    count = min(count, length)
    return [(number + 1) * length // count for number in range(count)]
