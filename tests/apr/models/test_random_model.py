"""The tool that writes models for tests and benchmarks."""

import subprocess
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from apr.models.header import check
from lookalike.shape import LIKE, tensors
from lookalike.vocabulary import invented
from lookalike.weights import FILE_TYPES, PIECE, byte_shape, pieces
from tests.apr.random_model import make


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0"])
def test_weights_have_the_type_asked_for(tmp_path: Path, kind: str) -> None:
    info = check(make(tmp_path / "model.gguf", "--type", kind))
    assert (info.architecture, info.quantisation) == ("qwen3moe", kind)


def test_without_experts_the_model_is_dense(tmp_path: Path) -> None:
    info = check(make(tmp_path / "model.gguf", "--experts", "0", "--layers", "3"))
    assert (info.architecture, info.experts, info.layers) == ("qwen3", 0, 3)


def test_the_same_seed_gives_the_same_file(tiny: Path, tmp_path: Path) -> None:
    again = make(tmp_path / tiny.name)
    assert again.read_bytes() == tiny.read_bytes()
    assert make(again, "--seed", "1").read_bytes() != tiny.read_bytes()


@pytest.mark.parametrize("kind", FILE_TYPES, ids=lambda kind: kind.name)
def test_random_weights_are_numbers_of_the_spread_that_trained_ones_have(kind: Kind) -> None:
    drawn = np.concatenate(list(pieces((64, 512), kind, np.random.default_rng(1))))
    weights = gguf.quants.dequantize(drawn.reshape(byte_shape((64, 512), kind)), kind)

    assert weights.shape == (64, 512)
    assert np.isfinite(weights).all()
    assert abs(weights.mean() * 512**0.5) < 0.15
    assert weights.std() * 512**0.5 == pytest.approx(1, abs=0.05)


def test_large_tensors_are_drawn_in_pieces() -> None:
    shape = (3, PIECE // 2)
    sizes = [piece.nbytes for piece in pieces(shape, Kind.Q4_0, np.random.default_rng(1))]

    assert len(sizes) == 2
    assert sum(sizes) == np.prod(byte_shape(shape, Kind.Q4_0))


def test_a_model_can_be_like_a_real_one_with_fewer_layers(tmp_path: Path) -> None:
    narrow = ("--width", "256", "--vocab", "2000")  # the real width takes 5 s
    path = make(
        tmp_path / "m.gguf", "--like", "qwen3-coder-30b-a3b", "--layers", "1", "--type", "Q4_K",
        "--experts", "16", *narrow,
    )  # fmt: skip
    info = check(path)
    assert (info.architecture, info.quantisation) == ("qwen3moe", "Q4_K_M")
    assert (info.layers, info.experts_used, info.context_length) == (1, 8, 262144)
    assert len(dict(tensors(LIKE["qwen3-coder-30b-a3b"]))) == 48 * 12 + 3


def test_a_model_has_as_many_layers_as_make_the_size_asked_for(tmp_path: Path) -> None:
    path = make(tmp_path / "m.gguf", "--width", "256", "--hidden", "512", "--size", "9MB")
    assert path.stat().st_size == pytest.approx(9e6, rel=0.15)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--type", "Q4_K"), "token_embd.weight has rows of 64 weights, and Q4_K takes 256"),
        (("--size", "100"), "bytes already"),
        (("--size", "1GB", "--layers", "3"), "not with --layers"),
        (("--size", "much"), "not a size"),
        (("--vocab", "100"), "at least 265"),
        (("--vocab", "1000000000000"), "are free on that disk"),
    ],
)
def test_what_cannot_be_written_is_said(
    tmp_path: Path, options: tuple[str, str], said: str
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as raised:
        make(tmp_path / "m.gguf", *options)
    assert raised.value.returncode == 2
    assert said in raised.value.stderr.decode()


def test_a_large_vocabulary_is_all_different_tokens_in_merges_that_can_happen() -> None:
    words = invented(60_000)
    seen = set(words.tokens)
    assert len(seen) == len(words.tokens) == 60_000
    for merge in words.merges:
        assert {*merge.split(" "), merge.replace(" ", "")} <= seen
