"""Tiny random models of three families, as transformers saves them and as GGUF files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from lookalike.shape import Shape, describe, is_exact
from lookalike.transformers import to_gguf
from lookalike.vocabulary import add_vocabulary, invented
from lookalike.weights import FILE_TYPES

Array = NDArray[Any]
Change = Callable[[dict[str, Array]], None]
FAMILIES = ("qwen3", "qwen3moe", "llama")
VOCABULARY, ROPE = 512, 1e6


def network(family: str, *, vocabulary: int = VOCABULARY) -> Any:
    """Return a network with random weights, spread as in trained ones."""
    torch.manual_seed(5)
    common: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "intermediate_size": 256,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE},
        "tie_word_embeddings": False,
        "initializer_range": 0.08,
    }
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(**common))
    if family == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**common))
    experts = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 256}
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**common, **experts, norm_topk_prob=True))


def save(model: Any, folder: Path) -> Path:
    """Save as transformers does, with weights that 16 bits hold exactly; return the folder."""
    model.half().float().save_pretrained(folder)
    return folder


def write(
    path: Path, model: Any, kind: Kind, *, change: Change | None = None, rope: float = ROPE
) -> Path:
    """Write the GGUF file of a model; `change` may do something to its tensors first."""
    config = model.config
    experts = getattr(config, "num_experts", 0)
    family = {"qwen3_moe": "qwen3moe"}.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(path, family)
    shape = Shape(
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        hidden=getattr(config, "moe_intermediate_size", config.intermediate_size),
        experts=experts,
        experts_used=getattr(config, "num_experts_per_tok", 0),
        vocab=config.vocab_size,
        context=config.max_position_embeddings,
        tied=False,
    )
    describe(writer, shape, rope_theta=rope, epsilon=config.rms_norm_eps)
    if family == "llama":
        writer.add_rope_dimension_count(config.head_dim)
    add_vocabulary(writer, invented(config.vocab_size))
    writer.add_file_type(FILE_TYPES[kind])
    tensors = dict(to_gguf(model.state_dict(), config.num_hidden_layers))
    if family == "llama":
        _pair_neighbours(tensors, config.num_attention_heads, config.num_key_value_heads)
    if change:
        change(tensors)
    for name, values in tensors.items():
        stored = Kind.F32 if is_exact(name, values.ndim) else kind
        writer.add_tensor(name, _quantized(values, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _pair_neighbours(tensors: dict[str, Array], heads: int, kv_heads: int) -> None:
    """Order rows as Llama's files have them: rotated in pairs of neighbours, not of halves."""
    for name, values in tensors.items():
        count = {"attn_q.weight": heads, "attn_k.weight": kv_heads}.get(name.split(".", 2)[-1])
        if count:
            halves = values.reshape(count, 2, -1, values.shape[-1])
            tensors[name] = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))


def _quantized(values: Array, kind: Kind) -> Array:
    if kind == Kind.Q4_K:
        return _q4_k(values)
    return gguf.quants.quantize(values.astype(np.float32), kind)


def _q4_k(values: Array) -> Array:
    """Return Q4_K blocks: 256 weights as 8 times 32 of 4 bits, each 32 with 6 bits of scale.

    The layout is ggml's `block_q4_K`: two halves, 12 bytes of scales and minima, then the weights.
    Nothing here looks for the best scale, as llama-quantize does.
    """
    groups = values.astype(np.float32).reshape(-1, 8, 32)
    low = np.minimum(groups.min(-1), 0)
    step = (groups.max(-1) - low) / 15
    scale = np.maximum(step.max(-1) / 63, 1e-12).astype(np.float16)
    floor = np.maximum(-low.min(-1) / 63, 1e-12).astype(np.float16)
    steps = np.round(step / scale[:, None].astype(np.float32)).clip(0, 63).astype(np.uint8)
    lows = np.round(-low / floor[:, None].astype(np.float32)).clip(0, 63).astype(np.uint8)
    unit = np.maximum(steps * scale[:, None].astype(np.float32), 1e-12)
    offset = lows * floor[:, None].astype(np.float32)
    weights = np.round((groups + offset[..., None]) / unit[..., None]).clip(0, 15).astype(np.uint8)
    packed = np.empty((len(groups), 12), np.uint8)
    packed[:, :4] = steps[:, :4] | (steps[:, 4:] >> 4) << 6
    packed[:, 4:8] = lows[:, :4] | (lows[:, 4:] >> 4) << 6
    packed[:, 8:] = (steps[:, 4:] & 15) | (lows[:, 4:] & 15) << 4
    pairs = weights.reshape(-1, 4, 2, 32)
    nibbles = (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128)
    halves = np.stack([scale, floor], 1).view(np.uint8)
    blocks = np.concatenate([halves, packed, nibbles], axis=1)
    return blocks.reshape(*values.shape[:-1], values.shape[-1] // 256 * 144)


def named(tensors: Mapping[str, Array], end: str) -> str:
    """Return the name of the first tensor that ends so."""
    return next(name for name in tensors if name.endswith(end))
