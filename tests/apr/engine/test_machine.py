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


def test_a_large_machine_gives_all_the_context_the_model_was_trained_for() -> None:
    assert plan(CODER_30B, None, 128 * GIB) == Plan(context=262_144, cache_mib=8192)


def test_a_small_machine_gives_half_of_what_is_left_beside_the_weights() -> None:
    given = plan(CODER_30B, None, 24 * GIB)
    kv = given.context * CODER_30B.kv_bytes_per_token
    assert 2 * GIB < kv <= 3 * GIB
    assert 0 < given.cache_mib * MIB <= 3 * GIB - kv // 2


def test_all_of_it_fits_what_is_free() -> None:
    for free in range(19 * GIB, 80 * GIB, GIB):
        given = plan(CODER_30B, None, free)
        used = CODER_30B.size + given.context * CODER_30B.kv_bytes_per_token
        assert used + given.cache_mib * MIB < free


def test_a_wish_is_granted_where_it_fits() -> None:
    assert plan(CODER_30B, 32_768, 24 * GIB).context == 32_768
    with pytest.raises(EngineError, match=r"65,536 tokens: it needs 26\.\d GB"):
        plan(CODER_30B, 65_536, 24 * GIB)


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EngineError, match=r"Not enough memory for Coder with a context of 2,048"):
        plan(CODER_30B, None, 16 * GIB)


def test_a_model_trained_for_little_context_is_taken_as_it_is() -> None:
    small = msgspec.structs.replace(CODER_30B, context_length=512)
    assert plan(small, None, 24 * GIB).context == 512


def test_a_small_model_is_computed_by_one_thread() -> None:
    assert threads(msgspec.structs.replace(CODER_30B, size=MIB)) == 1
    assert threads(CODER_30B) == processors()


def test_the_machine_has_memory_and_processors() -> None:
    assert 0 < free_memory() < 1 << 50
    assert (processors() or 1) >= 1


def test_a_process_is_told_apart_by_when_it_started() -> None:
    assert started(1) != started(os.getpid())
    assert started(2**22 + 1) is None
