"""Random weights of every type that llama.cpp computes with, a piece at a time.

Quantised weights are random bytes with sound scales: drawn, not computed, which is as fast as the
disk. How fast a model is does not depend on its weights, as long as none of them is no number.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray

PIECE = 1 << 24
"""Weights in memory at a time."""
SAMPLE = 4096
"""Blocks that the mean and the spread of a type's random blocks are measured on."""

# Where in a block the scale stands, and where what is added or taken off: half floats.
_SCALES = {
    Kind.Q4_0: (0,),
    Kind.Q4_1: (0, 2),
    Kind.Q5_0: (0,),
    Kind.Q5_1: (0, 2),
    Kind.Q8_0: (0,),
    Kind.Q2_K: (80, 82),
    Kind.Q3_K: (108,),
    Kind.Q4_K: (0, 2),
    Kind.Q5_K: (0, 2),
    Kind.Q6_K: (208,),
    Kind.IQ4_NL: (0,),
    Kind.IQ4_XS: (0,),
}
# llama.cpp's `llama_ftype`: what a file says that its weights mostly are.
FILE_TYPES = {
    Kind.F32: gguf.LlamaFileType.ALL_F32,
    Kind.F16: gguf.LlamaFileType.MOSTLY_F16,
    Kind.BF16: gguf.LlamaFileType.MOSTLY_BF16,
    Kind.Q4_0: gguf.LlamaFileType.MOSTLY_Q4_0,
    Kind.Q4_1: gguf.LlamaFileType.MOSTLY_Q4_1,
    Kind.Q5_0: gguf.LlamaFileType.MOSTLY_Q5_0,
    Kind.Q5_1: gguf.LlamaFileType.MOSTLY_Q5_1,
    Kind.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
    Kind.Q2_K: gguf.LlamaFileType.MOSTLY_Q2_K,
    Kind.Q3_K: gguf.LlamaFileType.MOSTLY_Q3_K_M,
    Kind.Q4_K: gguf.LlamaFileType.MOSTLY_Q4_K_M,
    Kind.Q5_K: gguf.LlamaFileType.MOSTLY_Q5_K_M,
    Kind.Q6_K: gguf.LlamaFileType.MOSTLY_Q6_K,
    Kind.IQ4_NL: gguf.LlamaFileType.MOSTLY_IQ4_NL,
    Kind.IQ4_XS: gguf.LlamaFileType.MOSTLY_IQ4_XS,
}


def byte_shape(dims: tuple[int, ...], kind: Kind) -> tuple[int, ...]:
    """Return the shape of a tensor as bytes.

    Raises:
        ValueError: its rows are no whole number of blocks.
    """
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if dims[-1] % block:
        raise ValueError(f"has rows of {dims[-1]:,} weights, and {kind.name} takes {block} at once")
    return (*dims[:-1], dims[-1] // block * size)


def pieces(
    dims: tuple[int, ...], kind: Kind, random: np.random.Generator
) -> Iterator[NDArray[Any]]:
    """Yield a tensor's bytes in order. Its weights have mean 0 and variance 1 / row length."""
    spread = float(dims[-1]) ** -0.5
    left = prod(dims)
    while left:
        count = min(left, PIECE)
        if kind in _SCALES:
            yield _blocks(count, kind, spread, random)
        else:
            values = random.standard_normal(count, np.float32) * np.float32(spread)
            yield gguf.quants.quantize(values, kind).view(np.uint8)
        left -= count


def _blocks(
    count: int, kind: Kind, spread: float, random: np.random.Generator
) -> NDArray[np.uint8]:
    length, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (count // length, size), np.uint8)
    scale, offset = _standard(kind)
    _set_scales(blocks, kind, spread * scale, spread * offset)
    return blocks


def _standard(kind: Kind) -> tuple[float, float]:
    """Return the scale, and what goes with it, that give a type's blocks mean 0 and variance 1."""
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = np.random.default_rng(0).integers(0, 256, (SAMPLE, size), np.uint8)
    offset = 0.0
    if len(_SCALES[kind]) > 1:
        _set_scales(blocks, kind, 1.0, 0.0)
        scaled = gguf.quants.dequantize(blocks, kind)
        _set_scales(blocks, kind, 0.0, 1.0)
        offset = -float(scaled.mean() / gguf.quants.dequantize(blocks, kind).mean())
    _set_scales(blocks, kind, 1.0, offset)
    scale = 1.0 / float(gguf.quants.dequantize(blocks, kind).std())
    return scale, scale * offset


def _set_scales(blocks: NDArray[np.uint8], kind: Kind, *values: float) -> None:
    for start, value in zip(_SCALES[kind], values, strict=False):
        blocks[:, start : start + 2] = np.array([value], "<f2").view(np.uint8)
