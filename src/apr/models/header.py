"""What is in a model file, and whether the engine could load it: told in milliseconds.

llama.cpp says little about a file that it cannot load, and a large one takes its time to fail. So
the header is checked first. What only the engine can know (the tensors that a less usual
architecture needs) the engine says when it loads the model.
"""

import os
import re
import stat
from collections import Counter
from pathlib import Path

from msgspec import Struct

from apr.errors import AprError
from apr.models.architectures import OTHER, TEXT, needed
from apr.models.gguf_format import FILE_TYPES, Array, GgufError, Header, parse
from apr.models.walk import holds

OTHER_TYPES = frozenset({"adapter", "imatrix", "mmproj"})
"""Values of `general.type` for files that go with a model."""
LONGEST_NAME = 200

_ONE_EXPERT = re.compile(r"blk\.\d+\.ffn_(?:gate|up|down)\.\d+\.weight")


class BadModel(AprError):
    """The file cannot be a model that the engine could load. The message names file and fault."""


class NotForText(BadModel):
    """The file is sound, and no model to talk to: a projector, an adapter, an embedder."""


class _OtherKind(GgufError):
    """What the header describes is no model that generates text."""


class ModelInfo(Struct, frozen=True, kw_only=True):
    """What a model says of itself, and what its tensors say of it."""

    path: Path
    size: int
    """Bytes, of all parts of a split model."""
    architecture: str
    name: str
    parameters: int
    layers: int
    experts: int
    """0 for a dense model."""
    experts_used: int
    context_length: int
    """Tokens it was trained for."""
    vocabulary: int
    quantisation: str
    """What the file says it is (Q4_K_M), or else the type that holds most bytes of the weights."""
    kv_bytes_per_token: int
    """Memory that one token of context takes, at 16 bits a number."""
    chat_template: str | None
    license: str | None


def check(path: Path) -> ModelInfo:
    """Return what is in a GGUF file; of a split model, `path` is the first of its files.

    Raises:
        BadModel: it cannot be read, is no GGUF, is damaged, or is not a model that generates text.
    """
    first = _read(path)
    try:
        parts = {path: first}
        for number, other in enumerate(_other_parts(path, first), start=1):
            parts[other] = _read(other)
            if _number(parts[other], "split.no", 0) != number:
                raise GgufError(f"its file {other.name} is not part {number + 1}, as it is named")
        return _describe(path, first, parts)
    except GgufError as error:
        kind = NotForText if isinstance(error, _OtherKind) else BadModel
        raise kind(f"{path}: {error}") from error
    except OSError as error:  # a part is gone since
        raise BadModel(f"{path}: cannot be read: {error.strerror}") from error


def _read(path: Path) -> Header:
    try:
        # Something may have become a pipe since it was found: opening it must not wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise GgufError("cannot be read: it is not a regular file")
            return parse(file)
    except GgufError as error:
        raise BadModel(f"{path}: {error}") from error
    except OSError as error:
        raise BadModel(f"{path}: cannot be read: {error.strerror}") from error


def _other_parts(path: Path, header: Header) -> list[Path]:
    """Return the further files of a split model, named as `llama-gguf-split` names them."""
    count = _number(header, "split.count", 1)
    if count <= 1:
        return []
    match = re.fullmatch(r"(.+)-00001-of-(\d{5})", path.stem)
    if _number(header, "split.no", 0) or not match or int(match[2]) != count:
        raise GgufError(f"one of {count} parts of a model; name the one that ends in -00001-of-…")
    others = [
        path.with_name(f"{match[1]}-{number:05}-of-{match[2]}{path.suffix}")
        for number in range(2, count + 1)
    ]
    missing = [other.name for other in others if not holds(other.exists)]
    if missing:
        raise GgufError(f"{len(missing)} of its {count} parts are missing: {_some(missing)}")
    return others


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _describe(path: Path, header: Header, parts: dict[Path, Header]) -> ModelInfo:
    """Put together the parts of a model.

    Raises:
        GgufError: something that every model has is missing, or it is another kind of model.
    """
    kind = _text(header, "general.type")
    if kind in OTHER_TYPES:
        raise _OtherKind(f"is a file of the type {kind!r}, no model of its own")
    architecture = _text(header, "general.architecture")
    if not architecture:
        raise GgufError("does not name its architecture (general.architecture)")
    if architecture in OTHER:
        raise _OtherKind(f"is a {architecture!r} model, which {OTHER[architecture]}")
    tensors = [tensor for part in parts.values() for tensor in part.tensors.values()]
    if not tensors and "tokenizer.ggml.tokens" in header.metadata:
        raise _OtherKind("holds a vocabulary and no weights")
    if architecture not in TEXT:
        raise GgufError(
            f"has the architecture {architecture[:80]!r}, which this version of llama.cpp "
            "does not support"
        )
    layers = _number(header, f"{architecture}.block_count")
    total = _number(header, "split.tensors.count", len(tensors))
    if len(tensors) != total:
        raise GgufError(f"has {len(tensors):,} tensors in all its parts, and claims {total:,}")
    experts = _number(header, f"{architecture}.expert_count", 0)
    _complete({tensor.name for tensor in tensors}, architecture, layers, experts)
    experts_used = _number(header, f"{architecture}.expert_used_count", 0)
    if experts_used > experts:
        raise GgufError(f"claims to use {experts_used:,} of {experts:,} experts")
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, Array):
        raise GgufError("has no vocabulary (tokenizer.ggml.tokens)")
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.kind] += tensor.size
    file_type = header.metadata.get("general.file_type")
    return ModelInfo(
        path=path,
        size=sum(part.stat().st_size for part in parts),
        architecture=architecture,
        name=(_text(header, "general.name") or path.stem)[:LONGEST_NAME],
        parameters=sum(tensor.weights for tensor in tensors),
        layers=layers,
        experts=experts,
        experts_used=experts_used,
        context_length=_number(header, f"{architecture}.context_length"),
        vocabulary=tokens.count,
        quantisation=FILE_TYPES.get(
            file_type if isinstance(file_type, int) else -1, sizes.most_common(1)[0][0]
        ),
        kv_bytes_per_token=_kv_bytes_per_token(header, architecture, layers),
        chat_template=_text(header, "tokenizer.chat_template"),
        license=_text(header, "general.license"),
    )


def _complete(names: set[str], architecture: str, layers: int, experts: int) -> None:
    """Hold the tensors against what a model of the architecture needs."""
    for name in names:
        if _ONE_EXPERT.fullmatch(name):
            raise GgufError(
                f"has split experts (a tensor for each, as {name!r}), which llama.cpp does not "
                "support any more; get a newer conversion of the model"
            )
    if "token_embd.weight" not in names:
        raise GgufError("has no tensor 'token_embd.weight'")
    blocks = {match[1] for name in names if (match := re.match(r"blk\.(\d+)\.", name))}
    for layer in range(min(layers, len(blocks) + 1)):
        if str(layer) not in blocks:
            raise GgufError(f"claims {layers:,} layers, but has no tensor of 'blk.{layer}'")
    for choices in needed(architecture, layers, experts):
        if names.isdisjoint(choices):
            raise GgufError(f"has no tensor {choices[0]!r}, which a {architecture!r} model needs")


def _kv_bytes_per_token(header: Header, architecture: str, layers: int) -> int:
    """Return the size of one token's keys and values in all layers, at most.

    Models in which only some layers attend to everything take less.
    """
    prefix = f"{architecture}.attention."
    heads = _per_layer(header, prefix + "head_count", (1,))
    kv_heads = _per_layer(header, prefix + "head_count_kv", heads)
    width = _number(header, f"{architecture}.embedding_length") // max(1, *heads)
    key = _number(header, prefix + "key_length", width)
    value = _number(header, prefix + "value_length", width)
    in_all_layers = sum(kv_heads) if len(kv_heads) > 1 else layers * kv_heads[0]
    return 2 * in_all_layers * (key + value)


def _per_layer(header: Header, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """Return a number that a model may give once, or for each layer."""
    value = header.metadata.get(key, default)
    if not isinstance(value, tuple):
        return (_number(header, key),)
    numbers = tuple(number for number in value if isinstance(number, int) and number >= 0)
    if not numbers or len(numbers) != len(value):
        raise GgufError(f"says {key} is {_quoted(value)}, not numbers")
    return numbers


def _number(header: Header, key: str, default: int | None = None) -> int:
    value = header.metadata.get(key, default)
    if value is None:
        raise GgufError(f"does not say its {key}")
    if not isinstance(value, int) or value < 0:
        raise GgufError(f"says {key} is {_quoted(value)}, not a number")
    return value


def _quoted(value: object) -> str:
    """Return a value of a stranger's as it is shown: not more of it than one line holds."""
    text = repr(value)
    return text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "…"


def _text(header: Header, key: str) -> str | None:
    value = header.metadata.get(key)
    return value if isinstance(value, str) else None
