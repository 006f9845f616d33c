"""How much memory a model is given."""

import os
from pathlib import Path

import msgspec
import pytest

from apr.engine.machine import MIB, Plan, free_memory, plan, processors, threads
from apr.engine.process import started
from apr.engine.state import EngineError
from apr.models.header import ModelInfo

GIB = 1024 * MIB
CODER_30B = ModelInfo(
    path=Path("coder.gguf"),
    size=18 * GIB,
    architecture="qwen3moe",
    name="Coder",
    parameters=30_500_000_000,
    layers=48,
    experts=128,
    experts_used=8,
    context_length=262_144,
    vocabulary=151_936,
    quantisation="Q4_K",
    kv_bytes_per_token=48 * 4 * 256 * 2,
    chat_template=None,
    license=None,
)


def needs(given: Plan) -> int:
    """Return the memory that a plan commits, without overhead."""
    kv = given.context * given.slots * CODER_30B.kv_bytes_per_token
    return CODER_30B.size + kv + given.cache_mib * MIB


def test_a_large_machine_gives_all_the_context_the_model_was_trained_for() -> None:
    assert plan(CODER_30B, 128 * GIB) == Plan(context=262_144, slots=2, cache_mib=8192)


def test_a_small_machine_gives_half_of_what_is_left_beside_the_weights() -> None:
    given = plan(CODER_30B, 24 * GIB)
    assert 2 * GIB < given.context * CODER_30B.kv_bytes_per_token <= 3 * GIB
    assert given.slots == 1
    assert given.cache_mib > 1024


def test_further_conversations_take_no_more_than_the_model_with_its_first() -> None:
    small = msgspec.structs.replace(CODER_30B, size=GIB, context_length=32_768)
    given = plan(small, 128 * GIB, most_slots=16)
    first = given.context * small.kv_bytes_per_token
    assert 1 < given.slots < 16
    assert (given.slots - 1) * first < GIB + 2 * first


def test_all_of_it_fits_what_is_free() -> None:
    for free in range(20 * GIB, 200 * GIB, GIB):
        assert needs(plan(CODER_30B, free)) < free
        assert needs(plan(CODER_30B, free, slots=3)) < free


def test_wishes_are_granted_where_they_fit() -> None:
    assert plan(CODER_30B, 24 * GIB, context=32_768).context == 32_768
    assert plan(CODER_30B, 128 * GIB, context=32_768, slots=8).slots == 8
    for context, slots in ((65_536, 1), (16_384, 4)):
        with pytest.raises(EngineError, match=f"{context:,} tokens: it needs 26"):
            plan(CODER_30B, 24 * GIB, context=context, slots=slots)


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EngineError, match=r"Not enough memory for Coder with a context of 2,048"):
        plan(CODER_30B, 16 * GIB)


def test_a_model_trained_for_little_context_is_taken_as_it_is() -> None:
    small = msgspec.structs.replace(CODER_30B, context_length=512)
    given = plan(small, 24 * GIB)
    assert (given.context, given.slots) == (512, 4)


def test_a_small_model_is_computed_by_one_thread() -> None:
    assert threads(msgspec.structs.replace(CODER_30B, size=MIB)) == 1
    assert threads(CODER_30B) == processors()


def test_the_machine_has_memory_and_processors() -> None:
    assert 0 < free_memory() < 1 << 50
    assert (processors() or 1) >= 1


def test_a_process_is_told_apart_by_when_it_started() -> None:
    assert started(1) != started(os.getpid())
    assert started(2**22 + 1) is None
