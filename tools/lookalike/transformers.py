"""What transformers calls the tensors of Qwen3 models and those like them, and llama.cpp does."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
BLOCK = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
    "ffn_gate_inp.weight": "mlp.gate.weight",
    "ffn_down_exps.weight": "mlp.experts.down_proj",
}
GATE, UP, FUSED = "ffn_gate_exps.weight", "ffn_up_exps.weight", "mlp.experts.gate_up_proj"
"""Experts' two input matrices: one tensor of transformers, whose rows are halves."""


def to_gguf(state: Mapping[str, Any], layers: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the tensors of a network's `state_dict`, as llama.cpp names them."""
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    yield from ((ours, arrays[theirs]) for ours, theirs in WHOLE.items() if theirs in arrays)
    for layer in range(layers):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        for suffix, name in BLOCK.items():
            if theirs + name in arrays:
                yield ours + suffix, arrays[theirs + name]
        if theirs + FUSED in arrays:
            gate, up = np.split(arrays[theirs + FUSED], 2, axis=1)
            yield ours + GATE, np.ascontiguousarray(gate)
            yield ours + UP, np.ascontiguousarray(up)


def from_gguf(stored: Mapping[str, NDArray[Any]], layers: int) -> dict[str, NDArray[Any]]:
    """Return tensors that llama.cpp names by their names in a network's `state_dict`."""
    state = {theirs: stored[ours] for ours, theirs in WHOLE.items() if ours in stored}
    for layer in range(layers):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        for suffix, name in BLOCK.items():
            if ours + suffix in stored:
                state[theirs + name] = stored[ours + suffix]
        if ours + GATE in stored:
            state[theirs + FUSED] = np.concatenate([stored[ours + GATE], stored[ours + UP]], axis=1)
    return state
