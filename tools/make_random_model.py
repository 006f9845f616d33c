#!/usr/bin/env python3
"""Write a Qwen3 model with random weights as a GGUF file: any size, reproducible.

It knows nothing, but it is a real model: the engine loads it, samples from it, counts its tokens.
Tests use a tiny one; benchmarks one as wide and deep as the model it stands in for. The tokenizer
is byte-level BPE with Qwen's control tokens, so every text can be encoded. The weights are written
as they are drawn: memory does not grow with the model.
"""

import argparse
import re
import shutil
import sys
from math import prod
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

from lookalike.shape import LIKE, Shape, describe, is_exact, tensors
from lookalike.vocabulary import add_vocabulary, invented
from lookalike.weights import FILE_TYPES, byte_shape, pieces

TINY = Shape(2, 64, 4, 2, 32, 64, 4, 2, 512, 4096)
UNITS = {"": 1, "MB": 10**6, "GB": 10**9}

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


def kind_of(name: str, dims: tuple[int, ...], kind: Kind) -> Kind:
    """Return the type that a tensor has in a file of weights of `kind`."""
    return Kind.F32 if is_exact(name, len(dims)) else kind


def weight_bytes(shape: Shape, kind: Kind) -> int:
    """Return what all tensors take.

    Raises:
        ValueError: a tensor cannot have the type.
    """
    total = 0
    for name, dims in tensors(shape):
        try:
            total += prod(byte_shape(dims, kind_of(name, dims, kind)))
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    return total


def sized(shape: Shape, kind: Kind, size: int) -> Shape:
    """Return the shape with as many layers as bring the weights closest to `size` bytes.

    Raises:
        ValueError: one layer is far too many already.
    """
    one, two = (weight_bytes(shape._replace(layers=n), kind) for n in (1, 2))
    if one > size * 1.5:
        raise ValueError(f"with one layer it has {one:,} bytes already: make it narrower")
    return shape._replace(layers=max(1, 1 + round((size - one) / (two - one))))


def write(path: Path, shape: Shape, *, kind: Kind, seed: int) -> None:
    """Write the model, a piece of a tensor in memory at a time."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, shape.architecture)
    writer.add_name(path.stem)
    writer.add_license("apache-2.0")
    describe(writer, shape)
    add_vocabulary(writer, invented(shape.vocab))
    writer.add_chat_template(CHAT_TEMPLATE)
    writer.add_file_type(FILE_TYPES[kind])
    for name, dims in tensors(shape):
        stored = byte_shape(dims, kind_of(name, dims, kind))
        writer.add_tensor_info(
            name, stored, np.dtype(np.uint8), prod(stored), raw_dtype=kind_of(name, dims, kind)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    (file,) = writer.fout
    writer.write_padding(file, file.tell())
    for name, dims in tensors(shape):
        if name.endswith("norm.weight"):
            np.ones(dims, np.float32).tofile(file)
        else:
            for piece in pieces(dims, kind_of(name, dims, kind), random):
                piece.tofile(file)
        writer.write_padding(file, file.tell())
    writer.close()


def bytes_of(text: str) -> int:
    """Read `2GB`, `500MB` or a bare number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s?(MB|GB|)", text, re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500MB or 2GB")
    return int(float(match[1]) * UNITS[match[2].upper()])


def main() -> int:
    """Run the command line."""
    parser = arguments()
    args = parser.parse_args()
    kind = Kind[args.type]
    wished = {name: value for name in Shape._fields if (value := getattr(args, name)) is not None}
    shape = LIKE.get(args.like, TINY)._replace(**wished)
    try:
        if args.size:
            if args.layers:
                raise ValueError("--size is a wish for the number of layers: not with --layers")
            shape = sized(shape, kind, args.size)
        needed, free = weight_bytes(shape, kind), shutil.disk_usage(args.path.parent).free
        if needed > free:
            raise ValueError(f"it has {needed:,} bytes, and {free:,} are free on that disk")
        write(args.path, shape, kind=kind, seed=args.seed)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{args.path}: {args.path.stat().st_size:,} bytes, {shape}", file=sys.stderr)
    return 0


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="examples:\n"
        "  make_random_model.py tiny.gguf\n"
        "  make_random_model.py wide.gguf --layers 24 --width 1024 --heads 16 --type Q8_0\n"
        "  make_random_model.py dense.gguf --experts 0\n"
        "  make_random_model.py 30b.gguf --like qwen3-coder-30b-a3b --layers 4 --type Q4_K\n"
        "  make_random_model.py 2gb.gguf --like qwen3-4b --size 2GB --type Q4_K",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", type=Path, metavar="OUT.gguf")
    parser.add_argument("--like", choices=LIKE, metavar="MODEL", help=f"one of {', '.join(LIKE)}")
    parser.add_argument("--size", type=bytes_of, help="as many layers as make it so large: 2GB")
    for flag, meaning in (
        ("--layers", "transformer blocks"),
        ("--width", "embedding length"),
        ("--heads", "attention heads"),
        ("--kv-heads", "key and value heads"),
        ("--head-dim", "length of one head"),
        ("--hidden", "hidden length of a feed-forward network, or of one expert"),
        ("--experts", "experts in a block; 0 writes a dense model"),
        ("--experts-used", "experts that a token goes through"),
        ("--vocab", "tokens in the vocabulary"),
        ("--context", "context length the model claims, in tokens"),
    ):
        default = getattr(TINY, flag.removeprefix("--").replace("-", "_"))
        parser.add_argument(flag, type=int, help=f"{meaning} (default {default}, or --like's)")
    parser.add_argument(
        "--tied", action=argparse.BooleanOptionalAction, help="no output matrix of its own"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same file")
    parser.add_argument(
        "--type", "--quant", default="F16", choices=[kind.name for kind in FILE_TYPES]
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
