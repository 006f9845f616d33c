"""The shapes of models, and what a GGUF file of that shape says and holds."""

from collections.abc import Iterator
from typing import NamedTuple

import gguf


class Shape(NamedTuple):
    """The sizes of a model. `experts` of 0 is a dense one (`qwen3`), else `qwen3moe`."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    """Of a feed-forward network, or of one expert."""
    experts: int
    experts_used: int
    vocab: int
    context: int
    tied: bool = True
    """Whether the output is the embedding's own matrix."""

    @property
    def architecture(self) -> str:
        """What llama.cpp calls it."""
        return "qwen3moe" if self.experts else "qwen3"


# As their published configurations (config.json) say.
LIKE = {
    "qwen3-0.6b": Shape(28, 1024, 16, 8, 128, 3072, 0, 0, 151936, 40960),
    "qwen3-1.7b": Shape(28, 2048, 16, 8, 128, 6144, 0, 0, 151936, 40960),
    "qwen3-4b": Shape(36, 2560, 32, 8, 128, 9728, 0, 0, 151936, 40960),
    "qwen3-8b": Shape(36, 4096, 32, 8, 128, 12288, 0, 0, 151936, 40960, tied=False),
    "qwen3-14b": Shape(40, 5120, 40, 8, 128, 17408, 0, 0, 151936, 40960, tied=False),
    "qwen3-32b": Shape(64, 5120, 64, 8, 128, 25600, 0, 0, 151936, 40960, tied=False),
    "qwen3-30b-a3b": Shape(48, 2048, 32, 4, 128, 768, 128, 8, 151936, 40960, tied=False),
    "qwen3-coder-30b-a3b": Shape(48, 2048, 32, 4, 128, 768, 128, 8, 151936, 262144, tied=False),
    "qwen3-235b-a22b": Shape(94, 4096, 64, 4, 128, 1536, 128, 8, 151936, 40960, tied=False),
}


def tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and the shape (rows first) of every tensor that llama.cpp asks for."""
    yield "token_embd.weight", (shape.vocab, shape.width)
    yield "output_norm.weight", (shape.width,)
    if not shape.tied:
        yield "output.weight", (shape.vocab, shape.width)
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    stack = (shape.experts,) if shape.experts else ()
    suffix = "_exps" if shape.experts else ""
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (shape.width,)
        yield block + "attn_q.weight", (queries, shape.width)
        yield block + "attn_k.weight", (keys, shape.width)
        yield block + "attn_v.weight", (keys, shape.width)
        yield block + "attn_output.weight", (shape.width, queries)
        yield block + "attn_q_norm.weight", (shape.head_dim,)
        yield block + "attn_k_norm.weight", (shape.head_dim,)
        yield block + "ffn_norm.weight", (shape.width,)
        if shape.experts:
            yield block + "ffn_gate_inp.weight", (shape.experts, shape.width)
        yield block + f"ffn_gate{suffix}.weight", (*stack, shape.hidden, shape.width)
        yield block + f"ffn_up{suffix}.weight", (*stack, shape.hidden, shape.width)
        yield block + f"ffn_down{suffix}.weight", (*stack, shape.width, shape.hidden)


def is_exact(name: str, dimensions: int) -> bool:
    """Whether a tensor stays F32 in every file, as llama.cpp wants vectors and routers."""
    return dimensions == 1 or name.endswith("ffn_gate_inp.weight")


def describe(
    writer: gguf.GGUFWriter, shape: Shape, *, rope_theta: float = 1e6, epsilon: float = 1e-6
) -> None:
    """Add what llama.cpp must know of the shape."""
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_freq_base(rope_theta)
    writer.add_layer_norm_rms_eps(epsilon)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(shape.experts_used)
        writer.add_expert_feed_forward_length(shape.hidden)
