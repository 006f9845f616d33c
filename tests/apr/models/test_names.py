"""What a user may call a model that is to be fetched."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.models.aliases import aliases
from apr.models.names import AtUrl, BadName, OnDisk, OnHub, Source, is_safe, parse, shown

CODER = "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF"


def test_a_short_name_stands_for_a_repository_and_a_quantisation() -> None:
    assert parse("qwen3-coder") == OnHub(repository=CODER, default="Q4_K_M")
    assert parse("Qwen3-Coder:q8_0") == OnHub(repository=CODER, quantisation="q8_0")
    assert parse("gpt-oss-20b") == OnHub(repository="ggml-org/gpt-oss-20b-GGUF", default="MXFP4")


def test_every_short_name_is_in_lower_case_and_stands_for_a_sound_name() -> None:
    assert {"qwen3-coder", "qwen3-coder-next", "qwen2.5-coder-32b"} <= aliases().keys()
    for name, alias in aliases().items():
        assert name == name.lower()
        assert "/" not in name
        assert ":" not in name
        wanted = parse(name)
        assert parse(f"{alias.repository}:{alias.quantisation}") == OnHub(
            repository=alias.repository, quantisation=alias.quantisation
        )
        assert isinstance(wanted, OnHub)
        assert wanted.repository == alias.repository


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a/b", OnHub(repository="a/b")),
        ("a/b:UD-Q4_K_XL", OnHub(repository="a/b", quantisation="UD-Q4_K_XL")),
        ("hf://a/b", OnHub(repository="a/b")),
        ("HF://a/b:Q8_0", OnHub(repository="a/b", quantisation="Q8_0")),
        ("a/b/BF16/c.gguf", OnHub(repository="a/b", file="BF16/c.gguf")),
        ("hf://a/b@v1.0/c.GGUF", OnHub(repository="a/b", file="c.GGUF", revision="v1.0")),
        ("a/b@0123abc:Q8_0", OnHub(repository="a/b", quantisation="Q8_0", revision="0123abc")),
        ("https://huggingface.co/a/b", OnHub(repository="a/b")),
        ("https://hf.co/a/b/", OnHub(repository="a/b")),
        (
            "https://huggingface.co/a/b/resolve/main/c%2Dd.gguf?download=true",
            OnHub(repository="a/b", file="c-d.gguf"),
        ),
        (
            "https://huggingface.co/a/b/blob/v1/BF16/c.gguf",
            OnHub(repository="a/b", file="BF16/c.gguf", revision="v1"),
        ),
        ("https://huggingface.co/a/b/tree/main", OnHub(repository="a/b")),
        ("http://example.org/c.gguf", AtUrl("http://example.org/c.gguf")),
        ("./c.gguf", OnDisk(Path("c.gguf"))),
        ("/models/c", OnDisk(Path("/models/c"))),
        ("c.gguf", OnDisk(Path("c.gguf"))),
        ("models/c.gguf", OnDisk(Path("models/c.gguf"))),
        ("~/c.gguf", OnDisk(Path.home() / "c.gguf")),
    ],
)
def test_names(name: str, source: Source) -> None:
    assert parse(name) == source


def test_the_names_in_the_documentation_are_names() -> None:
    text = (Path(__file__).parents[3] / "docs/models.md").read_text()
    named = re.findall(r"^apr pull (\S+)", text, re.MULTILINE)
    assert len(named) >= 6
    assert not [name for name in named if isinstance(parse(name), OnDisk)]


def test_a_file_that_is_there_is_meant_rather_than_one_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c.gguf").touch()
    assert parse("a/b/c.gguf") == OnDisk(Path("a/b/c.gguf"))
    assert parse("hf://a/b/c.gguf") == OnHub(repository="a/b", file="c.gguf")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("qwen3-coder:", "short name"),
        ("ftp://a/b", "not ftp://"),
        ("hf://a", "OWNER/REPO"),
        ("a/b:", "OWNER/REPO"),
        ("a/b/c.bin", "OWNER/REPO"),
        ("a/..", "OWNER/REPO"),
        ("a/b--c", "OWNER/REPO"),
        ("a/b@../../x.gguf", "OWNER/REPO"),
        ("hf://a/b/../../x.gguf", "outside"),
        ("a/b/c.gguf:Q8_0", "both"),
        ("https://", "not a URL"),
        ("http://[::1/c.gguf", "not a URL"),
        ("https://huggingface.co/spaces", "no page of a model"),
        ("https://huggingface.co/datasets/a/b", "no page of a model"),
    ],
)
def test_what_is_no_name_is_refused_with_what_would_be(name: str, says: str) -> None:
    with pytest.raises(BadName) as error:
        parse(name)
    assert says in str(error.value)
    assert error.value.exit_code == 2


def test_a_short_name_that_no_model_has_is_a_model_that_there_is_not() -> None:
    with pytest.raises(BadName, match="There are qwen3-coder, ") as error:
        parse("nope")
    assert error.value.exit_code == 3


@given(st.text(max_size=60) | st.from_regex(r"(hf://)?[a./@:%-]{1,20}(\.gguf)?", fullmatch=True))
def test_whatever_the_text_it_is_read_or_refused(name: str) -> None:
    try:
        source = parse(name)
    except BadName:
        return
    if isinstance(source, OnHub):
        assert ".." not in source.repository
        assert "/" not in source.revision
        assert source.file is None or is_safe(source.file)


@pytest.mark.parametrize(
    "path",
    [
        "../x.gguf",
        "a/../../x",
        "/etc/x",
        "a//b",
        "./a",
        "a\\..\\b",
        "a\nb",
        "a\x1b[2Jb",
        "",
        "x" * 300,
    ],
)
def test_paths_that_lead_astray_are_told_from_others(path: str) -> None:
    assert not is_safe(path)


def test_a_path_in_a_folder_is_safe() -> None:
    assert is_safe("BF16/Qwen3 (neu) ü-00001-of-00004.gguf")


def test_a_url_is_shown_without_what_is_secret_in_it() -> None:
    assert shown("https://me:pw@host:8/a.gguf?token=t#x") == "https://host:8/a.gguf?…"
