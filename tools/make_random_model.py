#!/usr/bin/env python3
"""Write a Qwen3 model with random weights as a GGUF file: any size, reproducible.

It knows nothing, but it is a real model: the engine loads it, samples from it, counts its tokens.
Tests use a tiny one; benchmarks one as wide and deep as the model it stands in for. The tokenizer
is byte-level BPE with Qwen's control tokens, so every text can be encoded.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKUP = (
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)

CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}

{% endif %}Tools:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}To call one, answer <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>
{% elif messages[0].role == 'system' %}<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}<|im_start|>user
<tool_response>{{ message.content }}</tool_response><|im_end|>
{% elif message.role != 'system' %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>
{%- endfor %}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


class Shape(NamedTuple):
    """The sizes of a model. `experts` of 0 is a dense one (`qwen3`), else `qwen3moe`."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    experts: int
    experts_used: int
    vocab: int
    context: int


class Vocabulary(NamedTuple):
    """A byte-level BPE vocabulary. A token's id is its index."""

    tokens: list[str]
    types: list[gguf.TokenType]
    merges: list[str]


def byte_alphabet() -> list[str]:
    """Return the printable stand-in for each of the 256 bytes, as byte-level BPE spells them."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = itertools.count(0x100)
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def vocabulary(size: int) -> Vocabulary:
    """Return `size` tokens: bytes, pairs of letters as merges, unused ones, Qwen's markup."""
    alphabet = byte_alphabet()
    letters = [chr(code) for code in (*range(0x61, 0x7B), *range(0x41, 0x5B))]
    room = size - len(alphabet) - len(CONTROL) - len(MARKUP)
    if room < 0:
        raise SystemExit(f"--vocab must be at least {size - room}")
    pairs = list(itertools.islice(itertools.product(letters, letters), room))
    words = [first + second for first, second in pairs]
    unused = [f"[unused{number}]" for number in range(room - len(words))]
    kinds = (
        (alphabet, gguf.TokenType.NORMAL),
        (words, gguf.TokenType.NORMAL),
        (unused, gguf.TokenType.UNUSED),
        (CONTROL, gguf.TokenType.CONTROL),
        (MARKUP, gguf.TokenType.USER_DEFINED),
    )
    return Vocabulary(
        tokens=[token for tokens, _ in kinds for token in tokens],
        types=[kind for tokens, kind in kinds for _ in tokens],
        merges=[f"{first} {second}" for first, second in pairs],
    )


def tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and the shape (rows first) of every tensor that llama.cpp asks for."""
    yield "token_embd.weight", (shape.vocab, shape.width)
    yield "output_norm.weight", (shape.width,)
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


def metadata(writer: gguf.GGUFWriter, shape: Shape, name: str) -> None:
    """Add everything that is not a tensor."""
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(shape.experts_used)
        writer.add_expert_feed_forward_length(shape.hidden)
    words = vocabulary(shape.vocab)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    writer.add_token_merges(words.merges)
    writer.add_bos_token_id(words.tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(words.tokens.index("<|im_end|>"))
    writer.add_pad_token_id(words.tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def write(path: Path, shape: Shape, *, kind: gguf.GGMLQuantizationType, seed: int) -> None:
    """Write the model, one tensor in memory at a time."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "qwen3moe" if shape.experts else "qwen3")
    metadata(writer, shape, path.stem)
    writer.add_file_type(
        {"F32": 0, "F16": 1, "Q8_0": 7}[kind.name]  # llama.cpp's `llama_ftype`
    )
    kinds = {
        name: kind if len(dims) > 1 and "gate_inp" not in name else gguf.GGMLQuantizationType.F32
        for name, dims in tensors(shape)
    }
    for name, dims in tensors(shape):
        stored = gguf.quant_shape_to_byte_shape(dims, kinds[name]) if kinds[name] == 8 else dims
        dtype = {0: np.float32, 1: np.float16, 8: np.uint8}[kinds[name]]
        size = int(np.prod(stored, dtype=np.int64)) * np.dtype(dtype).itemsize
        writer.add_tensor_info(name, stored, np.dtype(dtype), size, raw_dtype=kinds[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, dims in tensors(shape):
        if name.endswith("norm.weight"):
            values = np.ones(dims, np.float32)
        else:
            values = random.standard_normal(dims, np.float32) / np.float32(np.sqrt(dims[-1]))
        writer.write_tensor_data(gguf.quants.quantize(values, kinds[name]))
    writer.close()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="examples:\n"
        "  make_random_model.py tiny.gguf\n"
        "  make_random_model.py wide.gguf --layers 24 --width 1024 --heads 16 --type Q8_0\n"
        "  make_random_model.py dense.gguf --experts 0",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", type=Path, metavar="OUT.gguf")
    for flag, default, meaning in (
        ("--layers", 2, "transformer blocks"),
        ("--width", 64, "embedding length; a multiple of 32 for Q8_0"),
        ("--heads", 4, "attention heads"),
        ("--kv-heads", 2, "key and value heads"),
        ("--head-dim", 32, "length of one head"),
        ("--hidden", 64, "hidden length of a feed-forward network, or of one expert"),
        ("--experts", 4, "experts in a block; 0 writes a dense model"),
        ("--experts-used", 2, "experts that a token goes through"),
        ("--vocab", 512, "tokens in the vocabulary"),
        ("--context", 4096, "context length the model claims, in tokens"),
        ("--seed", 0, "the same seed gives the same file"),
    ):
        parser.add_argument(flag, type=int, default=default, help=f"{meaning} (default {default})")
    parser.add_argument(
        "--type", default="F16", choices=("F32", "F16", "Q8_0"), help="of the weights"
    )
    options = vars(parser.parse_args())
    path, seed = options.pop("path"), options.pop("seed")
    kind = gguf.GGMLQuantizationType[options.pop("type")]
    write(path, Shape(**options), kind=kind, seed=seed)
    print(f"{path}: {path.stat().st_size:,} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
