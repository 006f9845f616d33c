"""The tool that writes models for tests and benchmarks."""

from pathlib import Path

import pytest

from apr.models.header import check
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
