"""The comparison: the engine that serves everybody, against the reference, prefix by prefix."""

from collections.abc import Callable
from urllib.parse import urlsplit

from apr.engine.client import attach
from apr.engine.process import end, started
from apr.errors import AprError
from apr.models.header import ModelInfo
from apr.serve.engine import Engine
from apr.verify import prompts
from apr.verify.compare import Position, compare
from apr.verify.engine import letter, log_probabilities
from apr.verify.reference import NoReference, Reference

LONGEST = 4096
"""Tokens of a prompt: the reference keeps a row of the vocabulary for each."""


async def verify(
    info: ModelInfo,
    reference: Reference,
    *,
    lines: list[str] | None,
    positions: int,
    step: Callable[[int, int], None],
) -> tuple[list[list[int]], list[Position]]:
    """Compare a model; return the prompts and what came out at each position.

    Args:
        info: the model.
        reference: the same weights in transformers.
        lines: prompts (`apr.verify.prompts.parse`); None for the built-in ones.
        positions: how many prefixes of each prompt are compared.
        step: told how many positions are done, of how many.

    Raises:
        EngineError: the model cannot be loaded.
        ProviderError: the engine failed.
        NoReference: the reference is another model.
        AprError: a prompt cannot be used.
    """
    if info.vocabulary != reference.vocabulary:
        raise NoReference(
            f"{info.path} has {info.vocabulary:,} tokens and the reference "
            f"{reference.vocabulary:,}: they are not the same model"
        )
    endpoint = await attach(info.path, ctx=min(LONGEST, info.context_length), keep_alive=0)
    engine = Engine(urlsplit(endpoint.base_url).port or 0, endpoint.api_key, info.name)
    try:
        if lines is None:
            asked = prompts.built_in(info.vocabulary)
        else:
            asked = await prompts.parse(lines, engine, info.vocabulary)
        limit = min(endpoint.context, LONGEST) - 1
        for number, ids in enumerate(asked, start=1):
            if len(ids) > limit:
                raise AprError(f"prompt {number} has {len(ids):,} tokens; at most {limit:,} can be")
        return asked, await _compare(engine, reference, asked, positions, step)
    finally:
        await engine.close()
        if since := started(endpoint.pid):
            end(endpoint.pid, since)


async def _compare(
    engine: Engine,
    reference: Reference,
    asked: list[list[int]],
    positions: int,
    step: Callable[[int, int], None],
) -> list[Position]:
    total = sum(len(prompts.spread(len(ids), positions)) for ids in asked)
    found: list[Position] = []
    say = await letter(engine)
    for number, ids in enumerate(asked):
        theirs = reference.log_probabilities(ids)
        for length in prompts.spread(len(ids), positions):
            step(len(found), total)
            ours = await log_probabilities(engine, ids[:length], reference.vocabulary, say=say)
            found.append(compare(ours, theirs[length - 1], prompt=number, position=length))
    return found
