"""The header of a model file is checked before native code sees it."""

import contextlib
import os
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apr.models.gguf_format import CHUNK, FILE_TYPES, TENSOR_TYPES, Array, GgufError, parse
from apr.models.header import BadModel, check
from tests.apr.models.written import write


def patched(data: bytes, at: int, form: str, value: int) -> bytes:
    """Return the data with one number changed."""
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


def after(data: bytes, text: str) -> int:
    """Return the position behind a length-prefixed string."""
    raw = text.encode()
    return data.index(struct.pack("<Q", len(raw)) + raw) + 8 + len(raw)


def with_number(data: bytes, key: str, value: int) -> bytes:
    """Return the model with one of its 32-bit metadata numbers changed."""
    return patched(data, after(data, key) + 4, "<I", value)


def complaint(tmp_path: Path, data: bytes) -> str:
    """Return what the check says of a file with this content."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(BadModel) as error:
        check(path)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value)


def test_a_sound_model_is_described(tiny: Path) -> None:
    info = check(tiny)
    assert info.architecture == "qwen3moe"
    assert info.name == "tiny"
    assert (info.layers, info.experts, info.experts_used) == (2, 4, 2)
    assert (info.context_length, info.vocabulary) == (4096, 512)
    assert info.quantisation == "F16"
    assert info.license == "apache-2.0"
    assert info.size == tiny.stat().st_size
    assert info.chat_template is not None
    assert "<|im_start|>" in info.chat_template


def test_the_figures_agree_with_another_reader(tiny: Path) -> None:
    reader = gguf.GGUFReader(tiny)
    header = parse(tiny.read_bytes())
    assert list(header.tensors) == [tensor.name for tensor in reader.tensors]
    for tensor in reader.tensors:
        ours = header.tensors[tensor.name]
        assert (ours.kind, ours.weights) == (tensor.tensor_type.name, tensor.n_elements)
        assert (ours.offset, ours.size) == (tensor.data_offset, tensor.n_bytes)
    assert check(tiny).parameters == sum(int(tensor.n_elements) for tensor in reader.tensors)


def test_the_memory_of_one_token_counts_keys_and_values_of_all_layers(tiny: Path) -> None:
    layers, kv_heads, head, bytes_of_a_number = 2, 2, 32, 2
    assert check(tiny).kv_bytes_per_token == layers * kv_heads * 2 * head * bytes_of_a_number


def test_all_types_of_the_reference_package_are_known() -> None:
    theirs = {
        int(kind): (kind.name, *sizes) for kind, sizes in gguf.constants.GGML_QUANT_SIZES.items()
    }
    assert theirs == TENSOR_TYPES


def test_a_file_cut_short_anywhere_is_told_from_a_sound_one(tiny: Path) -> None:
    data = tiny.read_bytes()
    weights = min(tensor.offset for tensor in parse(data).tensors.values())
    cuts = {*range(64), *range(64, weights, 97), weights - 1, weights, len(data) - 1}
    for cut in sorted(cuts):
        with pytest.raises(GgufError, match="cut short"):
            parse(data[:cut])


def test_an_empty_file_is_no_model(tmp_path: Path) -> None:
    assert "it is empty" in complaint(tmp_path, b"")


def test_another_format_is_named_by_how_it_starts(tmp_path: Path) -> None:
    assert "not a GGUF file: it starts with b'PK" in complaint(tmp_path, b"PK\3\4" + bytes(100))


@pytest.mark.parametrize(
    ("version", "says"), [(1, "version 1"), (4, "version 4"), (0x03000000, "big-endian")]
)
def test_a_version_that_cannot_be_read(tiny: Path, tmp_path: Path, version: int, says: str) -> None:
    assert says in complaint(tmp_path, patched(tiny.read_bytes(), 4, "<I", version))


@pytest.mark.parametrize("count", [2**16 + 1, 2**31, 2**63, 2**64 - 1])
def test_hostile_counts_are_refused_at_once(tiny: Path, tmp_path: Path, count: int) -> None:
    data = tiny.read_bytes()
    assert "tensors" in complaint(tmp_path, patched(data, 8, "<Q", count))
    assert "metadata entries" in complaint(tmp_path, patched(data, 16, "<Q", count))
    first_key, tokens = 24, after(data, "tokenizer.ggml.tokens") + 8
    assert "a metadata key" in complaint(tmp_path, patched(data, first_key, "<Q", count))
    assert "tokens" in complaint(tmp_path, patched(data, tokens, "<Q", count))
    assert "tokens" in complaint(tmp_path, patched(data, tokens + 8, "<Q", count))


def test_a_header_without_end_is_refused_before_it_is_read(tiny: Path, tmp_path: Path) -> None:
    data = tiny.read_bytes()
    tokens = after(data, "tokenizer.ggml.tokens") + 8
    path = tmp_path / "endless.gguf"
    path.write_bytes(patched(data, tokens, "<Q", 2**33)[: tokens + 8])
    os.truncate(path, 2**40)  # a file with a hole: as large as it claims, and all zeros
    with pytest.raises(BadModel, match=r"'tokenizer\.ggml\.tokens' claims 8,589,934,592 elements"):
        check(path)


def test_tensors_that_cannot_be_there_are_named(tiny: Path, tmp_path: Path) -> None:
    data = tiny.read_bytes()
    name = "blk.1.attn_q.weight"
    at = after(data, name)  # rank, two dimensions, type, offset
    for changed, says in (
        (patched(data, at, "<I", 5), "5 dimensions"),
        (patched(data, at + 4, "<Q", 0), "the shape [0, 128]"),
        (patched(data, at + 4, "<Q", 2**60), "past the end"),
        (patched(data, at + 20, "<I", 99), "unknown type 99"),
        (patched(data, at + 20, "<I", 12), "impossible for Q4_K"),
        (patched(data, at + 24, "<Q", 2**62), "past the end"),
        (patched(data, at + 24, "<Q", 33), "not aligned"),
        (data.replace(name.encode(), b"blk.1.attn_k.weight"), "occurs twice"),
    ):
        message = complaint(tmp_path, changed)
        assert says in message
        assert "blk.1.attn_" in message


def test_tensors_that_overlap_or_leave_gaps_are_named(tiny: Path, tmp_path: Path) -> None:
    data = tiny.read_bytes()
    tensors = list(parse(data).tensors)
    at = after(data, tensors[3]) + 4 + 2 * 8 + 4  # its offset, behind rank, two dimensions, type
    (offset,) = struct.unpack_from("<Q", data, at)
    assert f"{tensors[3]!r} overlaps the one before" in complaint(
        tmp_path, patched(data, at, "<Q", offset - 32)
    )
    assert f"{tensors[3]!r} comes after a gap" in complaint(
        tmp_path, patched(data, at, "<Q", offset + 32)
    )


@pytest.mark.parametrize("alignment", [0, 3, 33, 2**32 - 1])
def test_an_alignment_must_be_a_power_of_two(tmp_path: Path, alignment: int) -> None:
    path = write(tmp_path / "odd.gguf", numbers={"general.alignmenX": alignment})
    data = path.read_bytes().replace(b"general.alignmenX", b"general.alignment")
    assert "general.alignment is not a power of two" in complaint(tmp_path, data)


@pytest.mark.parametrize("kind", [gguf.GGUFValueType.ARRAY, 13, 255])
def test_nested_arrays_and_unknown_types_are_refused(tmp_path: Path, kind: int) -> None:
    key = b"nested"
    entry = struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, kind, 2**20)
    data = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + entry + bytes(2**16)
    assert f"'nested' is an array of the unknown or nested type {kind}" in complaint(tmp_path, data)


def test_of_very_many_numbers_only_some_are_kept(tmp_path: Path) -> None:
    entries = [
        struct.pack("<Q4sIIQ", 4, b"%04d" % number, 9, 0, 1000) + bytes(1000)
        for number in range(200)
    ]
    metadata = parse(struct.pack("<4sIQQ", b"GGUF", 3, 0, 200) + b"".join(entries)).metadata
    assert metadata["0000"] == (0,) * 1000
    assert metadata["0199"] == Array(1000)


def test_more_texts_than_any_model_has_are_refused(tmp_path: Path) -> None:
    entry = struct.pack("<Q4sIIQ", 4, b"many", 9, 8, 2**22)
    data = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + entry + bytes(8 * 2**22)
    assert "'many' claims 4,194,304 elements" in complaint(tmp_path, data)


def test_what_the_file_says_of_its_quantisation_is_believed(tmp_path: Path) -> None:
    path = write(tmp_path / "said.gguf", numbers={"general.file_type": 15})
    assert check(path).quantisation == "Q4_K_M"
    path = write(tmp_path / "unknown.gguf", numbers={"general.file_type": 9999})
    assert check(path).quantisation == "F32"
    path = write(tmp_path / "odd.gguf", texts={"general.file_type": "Q4"})
    assert check(path).quantisation == "F32"


def test_all_file_types_of_the_reference_package_are_known() -> None:
    theirs = {int(kind): kind.name.partition("_")[2] for kind in gguf.LlamaFileType if kind < 1024}
    assert theirs == FILE_TYPES


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(BadModel, match="not a regular file"):
        check(tmp_path / "pipe.gguf")


def test_a_header_that_is_longer_than_what_is_read_at_a_time(tmp_path: Path) -> None:
    words = [f"word {number}" for number in range(100_000)]
    path = tmp_path / "long.gguf"
    writer = gguf.GGUFWriter(path, "none")
    writer.add_array("words", words)
    writer.add_array("numbers", list(range(400_000)))
    writer.add_string("long", "x" * (3 * CHUNK))
    writer.add_tensor("t", np.ones((2, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = parse(path.read_bytes())
    assert header.metadata["words"] == Array(100_000)
    assert header.metadata["numbers"] == Array(400_000)
    assert header.metadata["long"] == "x" * (3 * CHUNK)
    assert header.tensors["t"].weights == 16


def test_metadata_that_contradicts_the_tensors_is_named(tiny: Path, tmp_path: Path) -> None:
    data = tiny.read_bytes()
    for changed, says in (
        (with_number(data, "qwen3moe.block_count", 3), "no tensor of 'blk.2'"),
        (with_number(data, "qwen3moe.block_count", 2**32 - 1), "no tensor of 'blk.2'"),
        (with_number(data, "qwen3moe.expert_used_count", 9), "9 of 4 experts"),
        (data.replace(b"token_embd.weight", b"token_embX.weight"), "token_embd.weight"),
        (data.replace(b"qwen3moe.context_length", b"qwen3moe.context_lengtX"), "context_length"),
        (data.replace(b"general.architecture", b"general.architectuXe"), "its architecture"),
        (data.replace(b"tokenizer.ggml.tokens", b"tokenizer.ggml.tokenX"), "no vocabulary"),
    ):
        assert says in complaint(tmp_path, changed)


def test_a_model_that_generates_no_text_is_refused_by_name(tiny: Path, tmp_path: Path) -> None:
    data = tiny.read_bytes().replace(
        struct.pack("<Q", 8) + b"qwen3moe", struct.pack("<Q", 8) + b"neo-bert", 1
    )
    assert "'neo-bert' model, which embeds text, and generates none" in complaint(tmp_path, data)


def test_a_missing_file_and_a_directory_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="No such file"):
        check(tmp_path / "absent.gguf")
    with pytest.raises(BadModel, match="directory"):
        check(tmp_path)


def test_a_split_model_is_all_its_parts(tmp_path: Path) -> None:
    parts = [tmp_path / f"big-0000{number}-of-00002.gguf" for number in (1, 2)]
    for number, part in enumerate(parts):
        writer = gguf.GGUFWriter(part, "olmo2")
        writer.add_uint16("split.count", 2)
        writer.add_uint16("split.no", number)
        if number == 0:
            writer.add_block_count(2)
            writer.add_context_length(1024)
            writer.add_embedding_length(8)
            writer.add_head_count(1)
            writer.add_token_list(["a", "b"])
            writer.add_tensor("token_embd.weight", np.ones((2, 8), np.float32))
        writer.add_tensor(f"blk.{number}.attn_q.weight", np.ones((8, 8), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    info = check(parts[0])
    assert info.parameters == 16 + 2 * 64
    assert info.size == sum(part.stat().st_size for part in parts)
    with pytest.raises(BadModel, match="name the one that ends in -00001-of"):
        check(parts[1])
    parts[1].unlink()
    with pytest.raises(BadModel, match=r"1 of its 2 parts are missing: big-00002-of-00002\.gguf"):
        check(parts[0])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_header_is_read_or_refused_and_nothing_else(
    tiny: Path, tmp_path: Path, data: st.DataObject
) -> None:
    model = bytearray(tiny.read_bytes())
    header = min(tensor.offset for tensor in parse(bytes(model)).tensors.values())
    damage = st.tuples(st.integers(0, header - 1), st.integers(0, 255))
    for at, value in data.draw(st.lists(damage, min_size=1, max_size=8)):
        model[at] = value
    size = data.draw(st.one_of(st.just(len(model)), st.integers(0, len(model))))
    path = tmp_path / "damaged.gguf"
    path.write_bytes(model[:size])
    with contextlib.suppress(BadModel):
        assert check(path).parameters > 0


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@pytest.mark.parametrize(("architecture", "experts"), [("llama", 0), ("qwen3", 0), ("qwen3moe", 2)])
def test_any_damage_to_a_number_or_a_name_is_named_or_harmless(
    tmp_path: Path, architecture: str, experts: int, data: st.DataObject
) -> None:
    path = write(tmp_path / "model.gguf", architecture, experts=experts)
    assert check(path).architecture == architecture
    model = bytearray(path.read_bytes())
    weights = min(tensor.offset for tensor in parse(bytes(model)).tensors.values())
    at = data.draw(st.integers(0, weights - 8))
    number = data.draw(st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 2**31, 2**63])))
    struct.pack_into("<Q", model, at, number)
    path.write_bytes(model)
    problem = ""
    try:
        assert check(path).size == len(model)
    except BadModel as error:
        problem = str(error)
    assert not problem or problem.startswith(f"{path}: ")
    assert len(problem) < len(str(path)) + 700


def test_what_a_header_says_is_not_repeated_at_length(tmp_path: Path) -> None:
    long = "x" * 100_000
    assert len(check(write(tmp_path / "named.gguf", name=long)).name) == 200
    for key in ("split.count", "qwen3.expert_count"):
        path = write(tmp_path / "long.gguf", texts={key: long})
        assert f"says {key} is 'xxx" in (said := complaint(tmp_path, path.read_bytes()))
        assert len(said) < len(str(path)) + 300
    path = write(tmp_path / "long.gguf", long)
    assert len(complaint(tmp_path, path.read_bytes())) < len(str(path)) + 300


@given(st.binary(max_size=400))
def test_noise_behind_the_magic_number_is_read_or_refused(noise: bytes) -> None:
    with contextlib.suppress(GgufError):
        assert isinstance(parse(b"GGUF\3\0\0\0" + noise).metadata, dict)


@pytest.mark.parametrize("kind", [gguf.GGUFValueType.FLOAT32, gguf.GGUFValueType.INT32])
def test_numbers_per_layer_must_be_numbers(tmp_path: Path, kind: gguf.GGUFValueType) -> None:
    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(path, "olmo2")
    writer.add_block_count(1)
    writer.add_context_length(1024)
    writer.add_embedding_length(8)
    heads = [float("nan")] if kind == gguf.GGUFValueType.FLOAT32 else [-1]
    writer.add_key_value(
        "olmo2.attention.head_count", heads, gguf.GGUFValueType.ARRAY, sub_type=kind
    )
    writer.add_token_list(["a"])
    writer.add_tensor("token_embd.weight", np.ones((1, 8), np.float32))
    writer.add_tensor("blk.0.attn_q.weight", np.ones((8, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(BadModel, match=r"head_count is .* not numbers"):
        check(path)
