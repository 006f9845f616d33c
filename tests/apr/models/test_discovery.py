"""The models that other programs have left on the disk, and what hostile folders come to."""

import json
import os
import shutil
from pathlib import Path

import pytest

from apr.models import walk
from apr.models.discovery import Found, found, survey
from tests.apr.models.written import tensors, write

DIGEST = "ab" * 32
HUB = ".cache/huggingface/hub"
OLLAMA = ".ollama/models"


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "APR_HOME": str(home / ".apr")}


def names(models: list[Found]) -> list[str]:
    return [model.name for model in models]


def put_on_hub(
    home: Path, repository: str, file: str, *, commit: str = "c1", model: str = "m"
) -> Path:
    """Put a model where `huggingface_hub` puts it: a blob, and a link to it in a snapshot."""
    folder = home / HUB / f"models--{repository.replace('/', '--')}"
    blob = write(folder / "blobs" / f"{commit}{file.replace('/', '-')}", name=model)
    link = folder / "snapshots" / commit / file
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    return link


def put_in_ollama(home: Path, name: str, digest: str, *, blob: bool = True) -> Path:
    """Put a model where Ollama puts it: a blob, and a manifest that names its digest."""
    manifest = home / OLLAMA / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "00" * 32},
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest},
    ]
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    if blob:
        write(home / OLLAMA / "blobs" / digest.replace(":", "-"))
    return manifest


def test_an_empty_disk_has_no_models(env: dict[str, str], tmp_path: Path) -> None:
    assert found(env, tmp_path) == []


def test_folders_of_files_are_named_after_the_files(
    home: Path, env: dict[str, str], project: Path
) -> None:
    write(home / ".apr/models/one.gguf")
    write(home / ".cache/pacha/models/deep/two.GGUF")
    write(project / "models/three.gguf")
    models = found(env, project)
    assert names(models) == ["one", "two", "three"]
    assert [model.store for model in models] == [
        "apr's models", "pacha's models", "the project's models",
    ]  # fmt: skip
    assert all(model.info is not None and model.problem is None for model in models)
    assert models[0].size == models[0].path.stat().st_size
    assert models[0].mtime == models[0].path.stat().st_mtime


def test_the_hub_s_models_are_named_by_repository_and_quantisation(
    home: Path, env: dict[str, str]
) -> None:
    put_on_hub(home, "unsloth/Qwen3-8B-GGUF", "Qwen3-8B-Q4_K_M.gguf")
    put_on_hub(home, "unsloth/Qwen3-8B-GGUF", "UD-Q2_K_XL/Qwen3-8B-UD-Q2_K_XL.gguf")
    put_on_hub(home, "someone/odd", "model.gguf")
    (home / HUB / "datasets--a--b" / "snapshots" / "c").mkdir(parents=True)
    assert names(found(env)) == [
        "someone/odd/model", "unsloth/Qwen3-8B-GGUF:Q4_K_M", "unsloth/Qwen3-8B-GGUF:UD-Q2_K_XL",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "below"),
    [("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")],
)
def test_the_hub_s_cache_is_where_its_variables_say(
    home: Path, env: dict[str, str], tmp_path: Path, variable: str, below: str
) -> None:
    put_on_hub(home, "a/b", "x-Q8_0.gguf")
    shutil.move(home / HUB, tmp_path / "elsewhere" / below)
    assert names(found({**env, variable: str(tmp_path / "elsewhere")})) == ["a/b:Q8_0"]
    assert found(env) == []


def test_of_several_snapshots_the_current_one_counts(home: Path, env: dict[str, str]) -> None:
    put_on_hub(home, "a/b", "x-Q8_0.gguf", commit="older", model="first")
    put_on_hub(home, "a/b", "x-Q8_0.gguf", commit="newer", model="second")
    put_on_hub(home, "a/b", "x-Q4_0.gguf", commit="older", model="third")
    refs = home / HUB / "models--a--b" / "refs"
    refs.mkdir()
    (refs / "main").write_text("newer")
    told = {model.name: model.info.name for model in found(env) if model.info}
    assert told == {"a/b:Q8_0": "second", "a/b:Q4_0": "third"}
    (refs / "main").write_text("older\n")
    assert {model.info.name for model in found(env) if model.info} == {"first", "third"}


def test_llama_cpp_s_cache_is_read_in_its_old_layout_and_its_new_one(
    home: Path, env: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path / "cache" / "ggml-org_gemma-3-1b-it-GGUF_gemma-3-1b-it-Q4_K_M.gguf")
    put_on_hub(home, "a/b", "x-Q8_0.gguf")
    shutil.move(home / HUB / "models--a--b", tmp_path / "cache")
    models = found({**env, "LLAMA_CACHE": str(tmp_path / "cache")})
    assert names(models) == ["a/b:Q8_0", "ggml-org_gemma-3-1b-it-GGUF_gemma-3-1b-it-Q4_K_M"]
    assert {model.store for model in models} == {"llama.cpp's cache"}


def test_lm_studio_s_models_are_found_where_it_says_they_are(
    home: Path, env: dict[str, str], tmp_path: Path
) -> None:
    write(home / ".lmstudio/models/pub/Qwen3-GGUF/Qwen3-Q6_K.gguf")
    write(home / ".cache/lm-studio/models/pub/Old-GGUF/Old-Q4_0.gguf")
    assert names(found(env)) == ["pub/Qwen3-GGUF:Q6_K", "pub/Old-GGUF:Q4_0"]
    shutil.move(home / ".lmstudio", tmp_path / "moved")
    (home / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'moved'}\n")
    assert names(found(env)) == ["pub/Qwen3-GGUF:Q6_K", "pub/Old-GGUF:Q4_0"]
    settings = {"downloadsFolder": str(tmp_path / "chosen"), "theme": "dark"}
    (tmp_path / "moved" / "settings.json").write_text(json.dumps(settings))
    write(tmp_path / "chosen/pub/New-GGUF/New-Q8_0.gguf")
    assert names(found(env))[0] == "pub/New-GGUF:Q8_0"


def test_ollama_s_models_have_the_names_that_it_gives_them(
    home: Path, env: dict[str, str], tmp_path: Path
) -> None:
    for number, name in enumerate(
        ["registry.ollama.ai/library/llama3/8b", "registry.ollama.ai/me/mine/latest",
         "hf.co/unsloth/Qwen3-8B-GGUF/Q4_K_M"]
    ):  # fmt: skip
        put_in_ollama(home, name, f"sha256:{number:064x}")
    expected = ["hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M", "llama3:8b", "me/mine:latest"]
    assert sorted(names(found(env))) == expected
    shutil.move(home / OLLAMA, tmp_path / "store")
    assert found(env) == []
    models = found({**env, "OLLAMA_MODELS": str(tmp_path / "store")})
    assert sorted(names(models)) == expected
    assert all(model.info for model in models)


def test_a_split_model_is_one_model_and_a_part_that_is_missing_is_named(
    home: Path, env: dict[str, str]
) -> None:
    parts = [home / f".apr/models/big-{n:05}-of-00003.gguf" for n in (1, 2, 3)]
    for number, part in enumerate(parts):
        write(part, layers=2, split=(number, 3))
    (model,) = found(env)
    assert (model.name, model.path, model.parts) == ("big", parts[0], tuple(parts))
    assert model.info is not None
    assert model.size == model.info.size == sum(part.stat().st_size for part in parts)
    parts[1].unlink()
    (model,) = found(env)
    assert model.problem == "1 of its 3 parts are missing: big-00002-of-00003.gguf"
    parts[0].unlink()
    (model,) = found(env)
    assert model.problem is not None
    assert "name the one that ends in -00001-of-" in model.problem


def test_a_part_that_is_another_s_is_told(home: Path, env: dict[str, str]) -> None:
    parts = [home / f".apr/models/big-{n:05}-of-00002.gguf" for n in (1, 2)]
    write(parts[0], split=(0, 2))
    shutil.copy(parts[0], parts[1])
    (model,) = found(env)
    assert model.problem == "its file big-00002-of-00002.gguf is not part 2, as it is named"
    write(parts[1], split=(1, 2), layers=2)
    (model,) = found(env)
    assert model.problem is not None
    assert "tensors in all its parts, and claims" in model.problem


def test_what_goes_with_a_model_is_no_candidate(home: Path, env: dict[str, str]) -> None:
    folder = home / ".apr/models"
    write(folder / "mmproj-x.gguf", "clip")
    write(folder / "projector.gguf", "qwen3", texts={"general.type": "mmproj"})
    write(folder / "lora.gguf", "qwen3", texts={"general.type": "adapter"})
    write(folder / "embedder.gguf", "nomic-bert")
    everything = [name for name, _ in tensors("qwen3", 1, 0)]
    write(folder / "ggml-vocab-qwen3.gguf", "qwen3", without=everything)
    seen = survey(env)
    assert seen.models == ()
    assert len(seen.others) == 5
    assert all(other.problem for other in seen.others)


def test_one_file_that_is_reached_in_several_ways_is_one_model(
    home: Path, env: dict[str, str]
) -> None:
    link = put_on_hub(home, "a/b", "x-Q8_0.gguf")
    mine = home / ".apr/models/mine.gguf"
    mine.parent.mkdir(parents=True)
    mine.symlink_to(link)
    assert names(found(env)) == ["mine"]


def test_broken_files_are_listed_with_what_is_wrong(home: Path, env: dict[str, str]) -> None:
    whole = write(home / ".apr/models/whole.gguf").read_bytes()
    (home / ".apr/models/cut.gguf").write_bytes(whole[:-10])
    (home / ".apr/models/text.gguf").write_text("not yet")
    problems = {model.name: model.problem or "" for model in found(env)}
    assert problems["whole"] == ""
    assert problems["cut"].startswith("cut short, or broken: the tensor ")
    assert problems["text"] == "not a GGUF file: it starts with b'not ', not b'GGUF'"


# ── hostile folders ──────────────────────────────────────────────────────────────────────────────


def test_pipes_sockets_and_folders_named_like_models_are_passed_by(
    home: Path, env: dict[str, str]
) -> None:
    folder = home / ".apr/models"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.gguf")
    os.mkfifo(folder / "pipe-00001-of-00002.gguf")
    (folder / "null.gguf").symlink_to("/dev/zero")
    (folder / "folder.gguf").mkdir()
    (folder / "dangling.gguf").symlink_to("nowhere")
    (folder / "itself.gguf").symlink_to("itself.gguf")
    assert found(env) == []


def test_a_pipe_among_manifests_and_pointers_keeps_nobody_waiting(
    home: Path, env: dict[str, str]
) -> None:
    os.mkfifo(home / ".lmstudio-home-pointer")
    pipe = home / OLLAMA / "manifests/registry.ollama.ai/library/llama3/8b"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    refs = put_on_hub(home, "a/b", "x-Q8_0.gguf").parents[2] / "refs"
    refs.mkdir()
    os.mkfifo(refs / "main")
    assert names(found(env)) == ["a/b:Q8_0"]


def test_links_in_circles_end(home: Path, env: dict[str, str]) -> None:
    model = write(home / ".apr/models/deep/er/model.gguf")
    (model.parent / "up").symlink_to("../..")
    (home / ".apr/models/also").symlink_to("deep")
    assert names(found(env)) == ["model"]


@pytest.mark.parametrize("digest", ["../../../../../etc/passwd", "sha256:../../x", "", "md5:00"])
def test_a_manifest_leads_nowhere_but_to_blobs(
    home: Path, env: dict[str, str], digest: str
) -> None:
    put_in_ollama(home, "registry.ollama.ai/library/evil/latest", digest, blob=False)
    (model,) = found(env)
    assert model.problem is not None
    assert f"names no digest, but {digest!r}" in model.problem
    assert model.path.name == "latest"


def test_manifests_that_say_nothing_are_passed_by(home: Path, env: dict[str, str]) -> None:
    manifest = put_in_ollama(home, "registry.ollama.ai/library/x/latest", "", blob=False)
    for text in ("", "[]", "[" * 100_000, '{"layers": 7}', '{"layers": []}', "\x00"):
        manifest.write_text(text)
        assert found(env) == []


def test_a_blob_that_is_missing_is_named(home: Path, env: dict[str, str]) -> None:
    put_in_ollama(home, "registry.ollama.ai/library/x/7b", f"sha256:{DIGEST}", blob=False)
    (model,) = found(env)
    assert (
        model.problem
        == f"{home / OLLAMA / 'blobs'}/sha256-{DIGEST} is missing, or cannot be reached"
    )


def test_links_out_of_a_store_are_not_followed(
    home: Path, env: dict[str, str], project: Path, tmp_path: Path
) -> None:
    secret = write(tmp_path / "outside" / "secret.gguf")
    (project / "models").mkdir()
    (project / "models" / "mine.gguf").symlink_to(secret)
    (project / "models" / "folder").symlink_to(secret.parent)
    link = put_on_hub(home, "a/b", "x-Q8_0.gguf")
    link.unlink()
    link.symlink_to(secret)
    put_in_ollama(home, "registry.ollama.ai/library/x/7b", f"sha256:{DIGEST}", blob=False)
    (home / OLLAMA / "blobs").mkdir()
    (home / OLLAMA / "blobs" / f"sha256-{DIGEST}").symlink_to(secret)
    seen = survey(env, project)
    problems = {model.name: model.problem or "" for model in seen.models}
    assert set(problems) == {"a/b:Q8_0", "x:7b", "mine"}
    assert all("a link that leads out of" in problem for problem in problems.values())
    trouble = [text for place in seen.places for text in place.trouble]
    assert trouble == [f"{project / 'models' / 'folder'} is a link that leads out of it"]


def test_a_project_does_not_lead_elsewhere(
    home: Path, env: dict[str, str], project: Path, tmp_path: Path
) -> None:
    write(tmp_path / "outside" / "secret.gguf")
    (project / "models").symlink_to(tmp_path / "outside")
    seen = survey(env, project)
    assert seen.models == ()
    assert seen.places[-1].trouble == (f"it is a link that leads out of {project}",)
    (project / "models").unlink()
    write(project / "weights" / "own.gguf")
    (project / "models").symlink_to("weights")
    assert names(found(env, project)) == ["own"]


def test_stores_that_lead_in_circles_or_nowhere_are_no_trouble(
    home: Path, env: dict[str, str]
) -> None:
    (home / ".ollama").mkdir()
    (home / ".ollama/models").symlink_to("models")
    (home / ".cache").symlink_to(".cache")
    for pointer in ("~nobody/x", "relative", "/\0", "/\ud800", "/" + "x" * 4000):
        text = pointer.encode(errors="surrogatepass")
        (home / ".lmstudio-home-pointer").write_bytes(text)
        assert found({**env, "HF_HOME": "~nobody-at-all/x", "LLAMA_CACHE": "/" + "y" * 999}) == []
    settings = home / ".lmstudio/settings.json"
    settings.parent.mkdir()
    (home / ".lmstudio-home-pointer").unlink()
    for chosen in (r'"/a\u0000"', r'"/\ud800"', "7", '"."', "null"):
        settings.write_text(f'{{"downloadsFolder": {chosen}}}')
        assert found(env) == []


def test_one_s_own_models_may_lie_on_another_disk(
    home: Path, env: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = write(tmp_path / "disk" / "big.gguf")
    (home / ".apr").mkdir()
    (home / ".apr/models").symlink_to(elsewhere.parent)
    assert names(found(env)) == ["big"]


def test_a_huge_folder_is_looked_at_in_part_and_that_is_said(
    home: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "MOST_ENTRIES", 20)
    folder = home / ".apr/models"
    folder.mkdir(parents=True)
    for number in range(50):
        (folder / f"{number}.txt").touch()
    (place,) = (place for place in survey(env).places if place.trouble)
    assert place.trouble == ("only the first 20 entries were looked at",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_told(home: Path, env: dict[str, str]) -> None:
    folder = home / ".apr/models/locked"
    folder.mkdir(parents=True, mode=0)
    (place,) = (place for place in survey(env).places if place.trouble)
    assert place.trouble == (f"{folder}: Permission denied",)
    folder.chmod(0o700)


def test_names_that_are_no_text_are_no_trouble(home: Path, env: dict[str, str]) -> None:
    folder = home / ".apr/models"
    write(folder / "plain.gguf")
    shutil.copy(folder / "plain.gguf", folder / os.fsdecode(b"b\xffd.gguf"))
    assert len(found(env)) == 2
    assert len(found(env)) == 2


# ── what is remembered ───────────────────────────────────────────────────────────────────────────


def test_a_header_is_not_read_again_until_the_file_has_changed(
    home: Path, env: dict[str, str]
) -> None:
    path = write(home / ".apr/models/one.gguf", name="first!")
    assert names(found(env)) == ["one"]
    status = path.stat()
    data = path.read_bytes()
    with path.open("r+b") as file:  # the same file to all that is looked at
        file.write(data.replace(b"first!", b"second"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert [model.info.name for model in found(env) if model.info] == ["first!"]
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert [model.info.name for model in found(env) if model.info] == ["second"]


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\xc1" * 99, b"\x92\xa1x\x90", b"\x91" * 99_999])
def test_a_damaged_memory_is_forgotten(home: Path, env: dict[str, str], damage: bytes) -> None:
    write(home / ".apr/models/one.gguf")
    first = found(env)
    memory = home / ".apr/cache/headers.msgpack"
    assert memory.stat().st_mode & 0o777 == 0o600
    memory.write_bytes(damage)
    assert found(env) == first
    assert len(memory.read_bytes()) > len(b"\x92\xa1x\x90")


def test_without_a_place_for_the_memory_models_are_found_all_the_same(
    home: Path, env: dict[str, str]
) -> None:
    write(home / ".apr/models/one.gguf")
    (home / ".apr/cache").write_text("in the way")
    assert names(found(env)) == ["one"]
