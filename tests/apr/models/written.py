"""Small model files, as the reference package writes them."""

from collections.abc import Collection, Iterator
from pathlib import Path

import gguf
import numpy as np

WIDTH, HEAD = 32, 16


def write(
    path: Path,
    architecture: str = "qwen3",
    *,
    name: str = "tiny",
    layers: int = 1,
    experts: int = 0,
    without: Collection[str] = (),
    also: Collection[tuple[str, tuple[int, ...]]] = (),
    split: tuple[int, int] | None = None,
    numbers: dict[str, int] | None = None,
    texts: dict[str, str] | None = None,
) -> Path:
    """Write a model with all tensors of its architecture, but those in `without`, and with `also`.

    With `split` (which part, of how many) it has only the part's share of the tensors.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    number, count = split or (0, 1)
    shapes = [item for item in tensors(architecture, layers, experts) if item[0] not in without]
    shapes += also
    if split:
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
        writer.add_int32("split.tensors.count", len(shapes))
    if number == 0:
        _describe(writer, name, layers, experts)
    for key, value in (numbers or {}).items():
        writer.add_uint32(key, value)
    for key, text in (texts or {}).items():
        writer.add_string(key, text)
    for tensor, shape in shapes[number::count]:
        writer.add_tensor(tensor, np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter, name: str, layers: int, experts: int) -> None:
    writer.add_name(name)
    writer.add_block_count(layers)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(WIDTH // HEAD)
    writer.add_head_count_kv(WIDTH // HEAD)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(1)
        writer.add_expert_feed_forward_length(WIDTH)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3, *[6] * 256])


def tensors(architecture: str, layers: int, experts: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape (rows first) of every tensor that llama.cpp asks for."""
    yield "token_embd.weight", (259, WIDTH)
    yield "output_norm.weight", (WIDTH,)
    stack = (experts,) if experts else ()
    suffix = "_exps" if experts else ""
    for layer in range(layers):
        block = f"blk.{layer}."
        for norm in ("attn_norm", "ffn_norm"):
            yield f"{block}{norm}.weight", (WIDTH,)
        for square in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{block}{square}.weight", (WIDTH, WIDTH)
        if architecture == "qwen2":
            for bias in ("attn_q", "attn_k", "attn_v"):
                yield f"{block}{bias}.bias", (WIDTH,)
        if architecture.startswith("qwen3"):
            for norm in ("attn_q_norm", "attn_k_norm"):
                yield f"{block}{norm}.weight", (HEAD,)
        if experts:
            yield f"{block}ffn_gate_inp.weight", (experts, WIDTH)
        for square in ("ffn_gate", "ffn_up", "ffn_down"):
            yield f"{block}{square}{suffix}.weight", (*stack, WIDTH, WIDTH)
