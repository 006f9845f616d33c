"""Finding a model that is to be removed, and removing it with all that belongs to it."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from apr.engine import state as engines
from apr.engine.process import started
from apr.engine.state import EngineState
from apr.models import pull as pulling
from apr.models.discovery import found
from apr.models.names import parse
from apr.models.removal import (
    APRS,
    HUB,
    YOURS,
    NotRemoved,
    find,
    removal,
    remove_unfinished,
    unfinished,
)
from apr.models.resolve import ModelNotFound
from tests.apr.models.hub_server import Hub, Repo, serving
from tests.apr.models.hub_settings import point_at
from tests.apr.models.test_download import Notes
from tests.apr.models.test_pull import split_model

REPOSITORY = "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF"


@pytest.fixture
def hub(tiny: Path) -> Iterator[Hub]:
    hub = Hub()
    data = tiny.read_bytes()
    hub.repos[REPOSITORY] = Repo(files={"m-Q4_K_M.gguf": data, "m-Q8_0.gguf": data + b"8"})
    with serving(hub):
        yield hub


@pytest.fixture
def env(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    monkeypatch.setenv("APR_HOME", str(tmp_path / "apr"))
    monkeypatch.chdir(tmp_path)
    return point_at(hub.url, tmp_path, monkeypatch)


@pytest.fixture
def pull(env: Mapping[str, str]) -> Callable[[str], Path]:
    return lambda name: pulling.pull(parse(name), env, Notes()).files[0]


def names(env: Mapping[str, str]) -> list[str]:
    return [model.name for model in found(env)]


def remove(name: str, env: Mapping[str, str], *, force: bool = False) -> int:
    gone = removal(find(name, env), force=force)
    gone.execute()
    return gone.freed


def cache(env: Mapping[str, str]) -> Path:
    return Path(env["HF_HOME"]) / "hub"


def test_one_quantisation_goes_and_the_others_stay(
    env: Mapping[str, str], pull: Callable[[str], Path]
) -> None:
    from huggingface_hub import scan_cache_dir

    small, large = pull("qwen3-coder"), pull("qwen3-coder:Q8_0")
    blob, size = large.resolve(), large.stat().st_size
    assert remove("qwen3-coder:Q8_0", env) == size
    assert names(env) == [f"{REPOSITORY}:Q4_K_M"]
    assert small.is_file()
    assert not blob.exists()
    assert not large.is_symlink()
    scanned = scan_cache_dir(cache(env))
    assert scanned.warnings == []
    assert scanned.size_on_disk == small.stat().st_size


def test_with_the_last_file_the_repository_goes(
    env: Mapping[str, str], pull: Callable[[str], Path]
) -> None:
    pull("qwen3-coder")
    remove("qwen3-coder", env)
    assert names(env) == []
    assert list(cache(env).glob("models--*")) == []


def test_older_versions_go_with_the_newest(
    env: Mapping[str, str], pull: Callable[[str], Path], hub: Hub
) -> None:
    old = pull("qwen3-coder")
    hub.repos[REPOSITORY].commit = "f" * 40
    hub.repos[REPOSITORY].files["m-Q4_K_M.gguf"] += b"new"
    new = pull("qwen3-coder")
    size = old.stat().st_size + new.stat().st_size
    assert remove("qwen3-coder", env) == size
    assert names(env) == []


def test_content_that_another_file_shares_stays(
    env: Mapping[str, str], pull: Callable[[str], Path], hub: Hub
) -> None:
    files = hub.repos[REPOSITORY].files
    files["n-Q5_0.gguf"] = files["m-Q4_K_M.gguf"]
    pull("qwen3-coder")
    other = pull("qwen3-coder:Q5_0")
    assert remove("qwen3-coder:Q4_K_M", env) == 0
    assert names(env) == [f"{REPOSITORY}:Q5_0"]
    assert other.is_file()


def test_a_download_that_can_go_on_survives_the_removal_of_its_neighbour(
    env: Mapping[str, str], pull: Callable[[str], Path]
) -> None:
    part = pull("qwen3-coder").resolve().with_name("a" * 64 + ".incomplete")
    part.write_bytes(b"begun")
    remove("qwen3-coder", env)
    assert names(env) == []
    assert part.read_bytes() == b"begun"


def test_all_parts_of_a_split_model_go(env: Mapping[str, str], tmp_path: Path) -> None:
    parts = split_model(tmp_path / "apr/models/big.gguf", 3)
    size = sum(part.stat().st_size for part in parts)
    assert remove("big", env) == size
    assert not any(part.exists() for part in parts)


def test_a_broken_model_is_found_and_can_go(env: Mapping[str, str], tmp_path: Path) -> None:
    path = tmp_path / "apr/models/bad.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    model = find("bad", env)
    assert (model.info, model.store) == (None, APRS)
    remove("bad", env)
    assert not path.exists()


def test_a_path_means_the_model_in_the_store_that_holds_it(
    env: Mapping[str, str], pull: Callable[[str], Path]
) -> None:
    path = pull("qwen3-coder")
    assert find(str(path), env).store == HUB
    assert find(str(path.resolve()), env).store == HUB


def test_a_file_that_apr_has_not_fetched_stays_unless_one_insists(
    env: Mapping[str, str], tiny: Path, tmp_path: Path
) -> None:
    mine = Path(shutil.copy(tiny, tmp_path / "mine.gguf"))
    assert find(str(mine), env).store == YOURS
    with pytest.raises(NotRemoved, match=r"apr has not fetched it.*--force"):
        remove(str(mine), env)
    remove(str(mine), env, force=True)
    assert not mine.exists()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (".cache/llama.cpp/m.gguf", "llama.cpp fetched it"),
        (".lmstudio/models/a/b/m.gguf", "under My Models"),
        (".cache/pacha/models/m.gguf", "pacha keeps it"),
        ("models/m.gguf", "the project"),
    ],
)
def test_what_other_programs_keep_is_theirs_to_remove(
    env: Mapping[str, str], tiny: Path, tmp_path: Path, path: str, says: str
) -> None:
    theirs = tmp_path / path
    theirs.parent.mkdir(parents=True)
    shutil.copy(tiny, theirs)
    with pytest.raises(NotRemoved, match=says):
        remove(names(env)[0], env)
    remove(names(env)[0], env, force=True)
    assert not theirs.exists()


def test_ollamas_models_stay_whatever_one_insists_on(
    env: Mapping[str, str], tiny: Path, tmp_path: Path
) -> None:
    store = tmp_path / ".ollama/models"
    (store / "blobs").mkdir(parents=True)
    digest = "0" * 64
    shutil.copy(tiny, store / "blobs" / f"sha256-{digest}")
    manifest = store / "manifests/registry.ollama.ai/library/llama3/8b"
    manifest.parent.mkdir(parents=True)
    kind = "application/vnd.ollama.image.model"
    manifest.write_text(f'{{"layers": [{{"mediaType": "{kind}", "digest": "sha256:{digest}"}}]}}')
    with pytest.raises(NotRemoved, match="ollama rm llama3:8b"):
        remove("llama3:8b", env, force=True)


def test_the_demo_stays(env: Mapping[str, str]) -> None:
    with pytest.raises(NotRemoved, match="part of apr"):
        remove("demo", env, force=True)


def test_a_model_that_an_engine_serves_stays_unless_one_insists(
    env: Mapping[str, str], pull: Callable[[str], Path]
) -> None:
    path = pull("qwen3-coder")
    _announce(path)
    with pytest.raises(NotRemoved, match=r"An engine \(process \d+\) serves .* apr engine stop"):
        remove("qwen3-coder", env)
    assert path.is_file()
    remove("qwen3-coder", env, force=True)
    assert not path.is_file()


def test_what_is_not_there_is_answered_with_what_is_alike(
    env: Mapping[str, str], pull: Callable[[str], Path]
) -> None:
    pull("qwen3-coder")
    with pytest.raises(ModelNotFound, match=rf"(?s)Alike are: {REPOSITORY}:Q4_K_M"):
        find("qwen3-coder-30b-instruct-q4", env)
    pull("qwen3-coder:Q8_0")
    with pytest.raises(ModelNotFound, match="several models"):
        find(REPOSITORY, env)


def test_what_ended_downloads_left_is_found_and_can_go(
    env: Mapping[str, str], pull: Callable[[str], Path], tmp_path: Path
) -> None:
    from filelock import FileLock

    blobs = pull("qwen3-coder").resolve().parent
    models = tmp_path / "apr/models"
    models.mkdir(parents=True)
    ours = [blobs / f"{'a' * 64}.incomplete", models / "m.gguf.part"]
    busy = blobs / f"{'b' * 64}.incomplete"
    others = blobs / f"{'c' * 64}.12345678.incomplete"
    for path in (*ours, busy, others):
        path.write_bytes(b"begun")
    (models / "m.gguf.part.version").write_text("1")
    left = [path for path, _ in unfinished(models, cache(env))]
    assert sorted(left) == sorted([*ours, busy])
    lock = cache(env) / ".locks" / blobs.parent.name / f"{'b' * 64}.lock"
    with FileLock(lock):
        gone = remove_unfinished(models, cache(env))
    assert sorted(gone) == sorted((path, 5) for path in ours)
    assert busy.exists()
    assert others.exists(), "another program's"
    assert list(models.glob("m*")) == []


def _announce(model: Path) -> None:
    """Look, to others, like an engine that serves the model, until this process ends."""
    since = started(os.getpid())
    assert since is not None
    engines.announce(
        engines.directory(),
        EngineState(
            pid=os.getpid(),
            started=since,
            owner=None,
            port=1,
            api_key="",
            model=str(model),
            model_name=model.stem,
            identity=engines.identity(model),
            context=1,
            trained_context=1,
            keep_alive=None,
            template=None,
            engine="",
        ),
    )
