"""What is said of an architecture agrees with the library that is to load it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import gguf
import pytest

from apr.models.architectures import LIBRARY, OTHER, TEXT, needed
from apr.models.header import BadModel, check
from tests.apr.models.written import write

ASK = Path(__file__).with_name("loading.py")


def complaints(files: Sequence[Path]) -> list[str | None]:
    """Return what the library says of files, None of those it has loaded."""
    done = subprocess.run(
        [sys.executable, ASK, *files], capture_output=True, text=True, check=True, timeout=100
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def named(folder: Path, architecture: str) -> Path:
    """Write a file that says its architecture and no more."""
    path = folder / f"{architecture}.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_lists_are_of_the_library_that_is_installed() -> None:
    assert version("xllamacpp") == LIBRARY


def test_the_library_knows_the_architectures_that_we_say_it_knows_and_no_others(
    tmp_path: Path,
) -> None:
    theirs = {str(name) for name in gguf.MODEL_ARCH_NAMES.values()}
    ours = TEXT | set(OTHER)
    asked = sorted(ours | theirs | {"no-such-architecture"})
    said = complaints([named(tmp_path, architecture) for architecture in asked])
    refused = {
        architecture
        for architecture, words in zip(asked, said, strict=True)
        if words is None or "model architecture: '" in words
    }
    assert refused == set(asked) - ours
    assert "no-such-architecture" in refused


def test_an_architecture_that_is_not_supported_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="the architecture 'gptoss', which this version of llama"):
        check(write(tmp_path / "other.gguf", "gptoss"))


@pytest.mark.parametrize(
    ("architecture", "experts"),
    [("llama", 0), ("llama", 2), ("qwen2", 0), ("qwen3", 0), ("qwen3moe", 2)],
)
def test_a_tensor_is_needed_if_the_library_says_so(
    tmp_path: Path, architecture: str, experts: int
) -> None:
    whole = write(tmp_path / "whole.gguf", architecture, experts=experts)
    assert check(whole).architecture == architecture
    without = {
        choices[0]: write(
            tmp_path / f"{number}.gguf", architecture, experts=experts, without=[choices[0]]
        )
        for number, choices in enumerate(needed(architecture, 1, experts))
    }
    *others, last = complaints([*without.values(), whole])
    assert last is None
    for (tensor, path), words in zip(without.items(), others, strict=True):
        assert words is not None
        assert f"'{tensor}' not found" in words
        with pytest.raises(BadModel, match=f"has no tensor '{tensor}'"):
            check(path)


def test_split_experts_are_told_by_name_and_the_library_refuses_them(tmp_path: Path) -> None:
    kinds = ("ffn_gate", "ffn_up", "ffn_down")
    path = write(
        tmp_path / "old.gguf",
        "llama",
        experts=2,
        without=[f"blk.0.{kind}_exps.weight" for kind in kinds],
        also=[(f"blk.0.{kind}.{n}.weight", (32, 32)) for kind in kinds for n in range(2)],
    )
    with pytest.raises(BadModel, match=r"split experts \(a tensor for each, as 'blk\.0\.ffn_"):
        check(path)
    (words,) = complaints([path])
    assert words is not None
    assert "_exps.weight' not found" in words
