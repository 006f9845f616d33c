"""What a user may call a model that is on the disk already."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.models.header import BadModel
from apr.models.matching import matching, near
from apr.models.resolve import ModelNotFound, choose, resolve
from tests.apr.models.test_discovery import put_in_ollama, put_on_hub
from tests.apr.models.test_ranking import model
from tests.apr.models.written import write

HUB = "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF"


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "APR_HOME": str(home / ".apr")}


@pytest.mark.parametrize(
    "name",
    [
        f"{HUB}:Q4_K_M",
        f"{HUB}:q4_k_m",
        f"hf://{HUB}:Q4_K_M",
        f"{HUB}/Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf",
        HUB,
        "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf",
        "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M",
        "qwen3-coder-30b-a3b-instruct",
        "Qwen3-Coder-30B-A3B-Instruct-GGUF",
        "Qwen3-Coder-30B-A3B-Instruct:Q4_K_M",
        "Qwen3 Coder",  # what it calls itself
        "qwen3-coder:Q4_K_M",  # what `apr pull` calls it
        "qwen3-coder-30b",
    ],
)
def test_a_model_of_the_hub_has_many_names(home: Path, env: dict[str, str], name: str) -> None:
    file = "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf"
    path = put_on_hub(home, HUB, file, model="Qwen3 Coder")
    put_on_hub(home, "other/Qwen2-GGUF", "Qwen2-Q4_K_M.gguf")
    assert resolve(name, env, home) == path


@pytest.mark.parametrize("name", ["llama3:8b", "llama3", "Llama3:8B"])
def test_ollama_s_names_are_known(home: Path, env: dict[str, str], name: str) -> None:
    put_in_ollama(home, "registry.ollama.ai/library/llama3/8b", f"sha256:{7:064x}")
    choice = choose(name, env, home)
    assert choice.path == home / ".ollama/models/blobs" / f"sha256-{7:064x}"
    assert choice.name == "llama3:8b"
    assert choice.notice is None


def test_a_tag_that_is_named_is_the_one_that_is_meant(home: Path, env: dict[str, str]) -> None:
    put_in_ollama(home, "registry.ollama.ai/library/llama3/8b", f"sha256:{7:064x}")
    put_in_ollama(home, "registry.ollama.ai/library/llama3/latest", f"sha256:{8:064x}")
    assert choose("llama3", env, home).name == "llama3:latest"
    with pytest.raises(ModelNotFound):
        resolve("llama3:70b", env, home)


def test_a_name_that_fits_several_models_is_not_guessed(home: Path, env: dict[str, str]) -> None:
    for kind in ("Q4_K_M", "Q8_0"):
        put_on_hub(home, "a/Qwen3-8B-GGUF", f"Qwen3-8B-{kind}.gguf", model=f"m{kind}")
    with pytest.raises(ModelNotFound) as error:
        resolve("qwen3-8b", env, home)
    assert "'qwen3-8b' is the name of several models; say which:" in str(error.value)
    assert "a/Qwen3-8B-GGUF:Q4_K_M" in str(error.value)
    assert "a/Qwen3-8B-GGUF:Q8_0" in str(error.value)


def test_a_short_name_means_the_quantisation_that_apr_pull_takes(
    home: Path, env: dict[str, str]
) -> None:
    for kind in ("Q4_K_M", "Q8_0"):
        put_on_hub(home, HUB, f"Qwen3-Coder-30B-A3B-Instruct-{kind}.gguf", model=f"m{kind}")
    assert choose("qwen3-coder", env, home).name == f"{HUB}:Q4_K_M"
    assert choose("qwen3-coder:Q8_0", env, home).name == f"{HUB}:Q8_0"


def test_copies_of_a_model_are_one(home: Path, env: dict[str, str]) -> None:
    write(home / ".lmstudio/models/a/B-GGUF/B-Q8_0.gguf")
    path = put_on_hub(home, "a/B-GGUF", "B-Q8_0.gguf", model="tiny")
    assert resolve("a/B-GGUF", env, home) == path


def test_a_model_that_works_is_preferred_to_a_broken_one_of_that_name(
    home: Path, env: dict[str, str]
) -> None:
    (home / ".apr/models/deep").mkdir(parents=True)
    (home / ".apr/models/deep/b.gguf").write_text("no model")
    with pytest.raises(BadModel, match=r"deep/b\.gguf: not a GGUF file"):
        resolve("b", env, home)
    path = write(home / ".lmstudio/models/x/y/b.gguf")
    assert resolve("b", env, home) == path


def test_what_is_not_there_is_answered_with_what_is_near(home: Path, env: dict[str, str]) -> None:
    put_on_hub(home, HUB, "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf")
    with pytest.raises(ModelNotFound) as error:
        resolve("qwen3-codr-30b-a3b", env, home)
    assert f"Alike are: {HUB}:Q4_K_M" in str(error.value)
    assert "apr pull qwen3-coder\n" in str(error.value)
    assert error.value.exit_code == 3


@pytest.mark.parametrize("name", ["qwen2.5-coder-14b", "owner/repo-GGUF:Q8_0"])
def test_what_could_be_fetched_is_said_to_be(home: Path, env: dict[str, str], name: str) -> None:
    with pytest.raises(ModelNotFound, match=f"apr pull {name}\n"):
        resolve(name, env, home)


@given(st.text(max_size=40))
def test_no_name_is_too_odd_to_be_looked_for(name: str) -> None:
    models = [model("a/Qwen3-8B-GGUF:Q4_K_M"), model("llama3:8b"), model("mine", broken=True)]
    assert len(matching(name, models)) <= len(models)
    assert set(near(name, models)) <= {one.name for one in models}
