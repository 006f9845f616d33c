"""Which files of a repository are a model; the names are those of real repositories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.models.listing import NotInRepository, RemoteFile, choose, offers
from apr.models.names import OnHub

NEXT = (
    ".gitattributes",
    "BF16/Qwen3-Coder-Next-BF16-00001-of-00004.gguf",
    "BF16/Qwen3-Coder-Next-BF16-00002-of-00004.gguf",
    "BF16/Qwen3-Coder-Next-BF16-00003-of-00004.gguf",
    "BF16/Qwen3-Coder-Next-BF16-00004-of-00004.gguf",
    "Qwen3-Coder-Next-MXFP4_MOE.gguf",
    "Qwen3-Coder-Next-UD-Q4_K_M.gguf",
    "Qwen3-Coder-Next-UD-Q4_K_XL.gguf",
    "UD-Q8_K_XL/Qwen3-Coder-Next-UD-Q8_K_XL-00002-of-00002.gguf",
    "UD-Q8_K_XL/Qwen3-Coder-Next-UD-Q8_K_XL-00001-of-00002.gguf",
    "imatrix_unsloth.gguf_file",
)
QWEN25 = (
    "qwen2.5-coder-14b-instruct-fp16-00001-of-00002.gguf",
    "qwen2.5-coder-14b-instruct-fp16-00002-of-00002.gguf",
    "qwen2.5-coder-14b-instruct-fp16.gguf",
    "qwen2.5-coder-14b-instruct-q4_0.gguf",
    "qwen2.5-coder-14b-instruct-q4_k_m.gguf",
    "README.md",
)
VISION = (
    "Qwen3.6-27B-Q4_K_M.gguf",
    "Qwen3.6-27B-IQ4_XS.gguf",
    "Qwen3.6-27B-UD-Q4_K_XL.gguf",
    "mmproj-F16.gguf",
    "mmproj-BF16.gguf",
    "imatrix_unsloth.gguf",
)
OSS = ("gpt-oss-20b-mxfp4.gguf", "README.md")


def listed(names: tuple[str, ...]) -> list[RemoteFile]:
    return [RemoteFile(path=name, size=10**9, sha256="0" * 64, oid=None) for name in names]


def chosen(names: tuple[str, ...], **wanted: str) -> list[str]:
    """Return the files that are fetched."""
    return [file.path for file in choose(OnHub(repository="a/b", **wanted), listed(names)).files]


def refused(names: tuple[str, ...], **wanted: str) -> str:
    with pytest.raises(NotInRepository) as error:
        choose(OnHub(repository="a/b", **wanted), listed(names))
    assert error.value.exit_code == 3
    return str(error.value)


def test_every_model_is_found_with_its_quantisation_and_nothing_else() -> None:
    assert [offer.quantisation for offer in offers(listed(NEXT))] == [
        "BF16",
        "MXFP4_MOE",
        "UD-Q4_K_M",
        "UD-Q4_K_XL",
        "UD-Q8_K_XL",
    ]
    assert [o.quantisation for o in offers(listed(VISION))] == ["IQ4_XS", "Q4_K_M", "UD-Q4_K_XL"]


def test_a_quantisation_is_matched_in_any_case() -> None:
    assert chosen(QWEN25, quantisation="Q4_K_M") == ["qwen2.5-coder-14b-instruct-q4_k_m.gguf"]
    assert chosen(VISION, quantisation="iq4_xs") == ["Qwen3.6-27B-IQ4_XS.gguf"]
    assert chosen(OSS, quantisation="MXFP4") == ["gpt-oss-20b-mxfp4.gguf"]


def test_a_quantisation_is_the_whole_label_and_no_part_of_it() -> None:
    assert "has no Q4" in refused(VISION, quantisation="Q4")
    assert "has no Q4_K" in refused(VISION, quantisation="Q4_K")


def test_the_plain_one_is_taken_before_the_dynamic_one() -> None:
    assert chosen(VISION, quantisation="Q4_K_XL") == ["Qwen3.6-27B-UD-Q4_K_XL.gguf"]
    assert chosen(NEXT) == ["Qwen3-Coder-Next-UD-Q4_K_M.gguf"]
    both = (*VISION, "Qwen3.6-27B-UD-Q4_K_M.gguf")
    assert chosen(both) == ["Qwen3.6-27B-Q4_K_M.gguf"]
    assert chosen(both, quantisation="UD-Q4_K_M") == ["Qwen3.6-27B-UD-Q4_K_M.gguf"]


def test_all_parts_of_a_split_model_come_in_order() -> None:
    assert chosen(NEXT, quantisation="BF16") == list(NEXT[1:5])
    assert chosen(NEXT, quantisation="UD-Q8_K_XL") == [NEXT[9], NEXT[8]]
    assert chosen(NEXT, file=NEXT[3]) == list(NEXT[1:5])


def test_a_model_in_one_piece_is_taken_rather_than_its_parts() -> None:
    assert chosen(QWEN25, quantisation="fp16") == ["qwen2.5-coder-14b-instruct-fp16.gguf"]
    assert chosen(QWEN25, quantisation="F16") == ["qwen2.5-coder-14b-instruct-fp16.gguf"]
    assert chosen(QWEN25, file=QWEN25[0]) == list(QWEN25[:2])


def test_a_quantisation_may_be_in_the_folder_alone() -> None:
    assert chosen(("Q4_K_M/model.gguf", "Q8_0/model.gguf")) == ["Q4_K_M/model.gguf"]


def test_where_there_is_one_model_it_need_not_be_named() -> None:
    assert chosen(OSS) == ["gpt-oss-20b-mxfp4.gguf"]
    assert chosen(("model.gguf",)) == ["model.gguf"]
    assert "has no Q8_0" in refused(OSS, quantisation="Q8_0")


def test_a_quantisation_that_is_not_there_is_answered_with_those_that_are() -> None:
    message = refused(NEXT, quantisation="Q6_K")
    assert "a/b has no Q6_K. It has" in message
    assert "UD-Q8_K_XL         2.0 GB  UD-Q8_K_XL/Qwen3-Coder-Next" in message
    assert "mmproj" not in refused(VISION, quantisation="Q6_K")


def test_a_missing_part_is_named() -> None:
    assert "but its part 2 of 4 is missing" in refused((*NEXT[1:2], *NEXT[3:5]))


def test_two_models_of_a_quantisation_are_told_apart_by_their_files() -> None:
    two = ("Qwen3-4B-Q4_K_M.gguf", "Qwen3-8B-Q4_K_M.gguf")
    message = refused(two)
    assert "Name the file" in message
    assert "a/b/Qwen3-4B-Q4_K_M.gguf" in message
    assert chosen(two, file="Qwen3-8B-Q4_K_M.gguf") == ["Qwen3-8B-Q4_K_M.gguf"]


def test_a_repository_without_gguf_says_where_to_look() -> None:
    assert "no model in GGUF" in refused(("model.safetensors", "mmproj-F16.gguf"))


def test_paths_that_lead_out_of_the_repository_are_no_models() -> None:
    hostile = ("../../x-Q4_K_M.gguf", "/etc/x-Q4_K_M.gguf", "a/../x.gguf", "x\x1b[2J.gguf")
    assert offers(listed(hostile)) == []


def test_a_long_list_is_cut() -> None:
    many = tuple(f"m-{number}.gguf" for number in range(100))
    assert "… and 60 more" in refused(many)


@given(
    st.lists(st.from_regex(r"[a-cQ48_K/.0-]{1,12}(-0000[1-3]-of-0000[1-3])?\.gguf", fullmatch=True))
)
def test_every_file_is_in_at_most_one_model_and_no_model_is_empty(names: list[str]) -> None:
    found = offers(listed(tuple(dict.fromkeys(names))))
    paths = [file.path for offer in found for file in offer.files]
    assert len(paths) == len(set(paths))
    assert all(offer.files for offer in found)
