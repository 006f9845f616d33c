"""Fetching models from a hub that is real but for where it stands."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from apr.errors import AprError
from apr.models import pull as pulling
from apr.models.discovery import found
from apr.models.download import DownloadFailed
from apr.models.header import BadModel
from apr.models.hub import HubError, NotOnHub, Unreachable
from apr.models.listing import NotInRepository
from apr.models.names import BadName, parse
from apr.models.pull import Pulled
from apr.models.resolve import ModelNotFound, resolve
from tests.apr.models.hub_server import COMMIT, Fault, Hub, Repo, serving, sha256
from tests.apr.models.hub_settings import point_at
from tests.apr.models.test_download import Notes
from tests.apr.models.written import write

CODER = "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF"
FILE = "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf"


@pytest.fixture
def hub(tiny: Path) -> Iterator[Hub]:
    """Return a hub with one repository of a real one's layout."""
    data = tiny.read_bytes()
    hub = Hub()
    hub.repos[CODER] = Repo(
        files={
            "README.md": b"# Qwen3-Coder",
            FILE: data,
            "Qwen3-Coder-30B-A3B-Instruct-Q8_0.gguf": data + b"8",
            "mmproj-F16.gguf": b"a projector",
        },
        plain=frozenset({"README.md"}),
    )
    with serving(hub):
        yield hub


@pytest.fixture
def env(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    monkeypatch.setattr("apr.models.hub.WAITS_S", (0.0, 0.0))
    return point_at(hub.url, tmp_path, monkeypatch)


@pytest.fixture
def notes() -> Notes:
    return Notes()


class Pulling:
    """`apr pull`, without its command line."""

    def __init__(self, env: Mapping[str, str], notes: Notes) -> None:
        self.env, self.notes = env, notes

    def __call__(self, name: str = "qwen3-coder", sha256: str | None = None) -> Pulled:
        return pulling.pull(parse(name), self.env, self.notes, sha256=sha256)

    def fails(self, kind: type[AprError], name: str = "qwen3-coder") -> str:
        with pytest.raises(kind) as error:
            self(name)
        return str(error.value)


@pytest.fixture
def pull(env: Mapping[str, str], notes: Notes) -> Pulling:
    return Pulling(env, notes)


def split_model(path: Path, count: int) -> list[Path]:
    """Write a model of so many parts, called after `path`."""
    names = (f"{path.stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))
    return [
        write(path.with_name(name), layers=count, split=(number, count))
        for number, name in enumerate(names)
    ]


def cache(env: Mapping[str, str]) -> Path:
    return Path(env["HF_HOME"]) / "hub"


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and ".locks" not in path.parts]


def test_a_short_name_brings_the_file_that_it_stands_for(
    pull: Pulling, hub: Hub, tiny: Path
) -> None:
    pulled = pull()
    assert pulled.name == f"{CODER}:Q4_K_M"
    assert pulled.files[0].name == FILE
    assert pulled.files[0].read_bytes() == tiny.read_bytes()
    assert (pulled.received, pulled.already) == (tiny.stat().st_size, False)
    assert pulled.info.architecture == "qwen3moe"
    assert hub.sent == tiny.stat().st_size


def test_it_can_be_used_by_every_name_it_was_fetched_by(
    pull: Pulling, env: Mapping[str, str]
) -> None:
    pulled = pull()
    for name in ("qwen3-coder", pulled.name, f"hf://{CODER}:Q4_K_M", str(pulled.files[0])):
        assert resolve(name, env) == pulled.files[0]


def test_another_quantisation_is_another_file(pull: Pulling) -> None:
    assert pull("qwen3-coder:q8_0").name == f"{CODER}:Q8_0"
    assert pull(f"{CODER}/{FILE}").name == f"{CODER}:Q4_K_M"


def test_what_is_there_is_not_fetched_again(pull: Pulling, hub: Hub) -> None:
    first = pull()
    again = pull()
    assert again.already
    assert (again.received, again.files) == (0, first.files)
    assert len(hub.content()) == 1


def test_the_cache_is_as_the_library_would_have_made_it(
    pull: Pulling, hub: Hub, env: Mapping[str, str]
) -> None:
    from huggingface_hub import hf_hub_download, scan_cache_dir

    pulled = pull()
    scanned = scan_cache_dir(cache(env))
    assert scanned.warnings == []
    (repository,) = scanned.repos
    (revision,) = repository.revisions
    assert repository.repo_id == CODER
    assert (revision.commit_hash, revision.refs) == (COMMIT, frozenset({"main"}))
    sent = hub.sent
    for offline in (True, False):
        path = hf_hub_download(
            CODER, FILE, cache_dir=cache(env), endpoint=hub.url, local_files_only=offline
        )
        assert Path(path) == pulled.files[0]
    assert hub.sent == sent, "the library found what we have fetched"


def test_what_the_library_has_fetched_is_not_fetched_again(
    pull: Pulling, hub: Hub, env: Mapping[str, str]
) -> None:
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(CODER, FILE, cache_dir=cache(env), endpoint=hub.url)
    sent = hub.sent
    assert pull().files == (Path(path),)
    assert hub.sent == sent


def test_a_newer_commit_with_the_same_content_costs_nothing(pull: Pulling, hub: Hub) -> None:
    pull()
    hub.repos[CODER].commit = "f" * 40
    pulled = pull()
    assert pulled.received == 0
    assert "f" * 40 in pulled.files[0].parts


def test_a_newer_version_is_fetched_beside_the_older(
    pull: Pulling, hub: Hub, env: Mapping[str, str], tiny: Path
) -> None:
    old = pull().files[0]
    hub.repos[CODER].commit = "f" * 40
    hub.repos[CODER].files[FILE] = tiny.read_bytes() + b"new"
    new = pull().files[0]
    assert new.stat().st_size == old.stat().st_size + 3
    assert [model.path for model in found(env, Path(env["HOME"]))] == [new]


def test_a_revision_can_be_named(pull: Pulling, env: Mapping[str, str]) -> None:
    assert COMMIT in pull(f"{CODER}@{COMMIT}").files[0].parts
    assert "has no branch, tag or commit 'v9'" in pull.fails(NotOnHub, f"{CODER}@v9")


def test_a_file_in_git_itself_is_verified_by_gits_checksum(pull: Pulling, hub: Hub) -> None:
    hub.repos[CODER].plain = frozenset({FILE})
    pulled = pull()
    assert len(pulled.files[0].resolve().name) == 40
    assert pull().already


def test_all_parts_of_a_split_model_come(
    pull: Pulling, hub: Hub, env: Mapping[str, str], tmp_path: Path
) -> None:
    parts = split_model(tmp_path / "made" / "big-Q4_K_M.gguf", 3)
    files = {f"Q4_K_M/{part.name}": part.read_bytes() for part in parts}
    hub.repos["a/big-GGUF"] = Repo(files=files)
    pulled = pull("a/big-GGUF")
    assert [path.name for path in pulled.files] == [part.name for part in parts]
    assert pulled.info.size == sum(part.stat().st_size for part in parts)
    (model,) = found(env, Path(env["HOME"]))
    assert (model.name, model.problem) == (pulled.name, None)


def test_of_a_split_model_nothing_shows_until_all_of_it_is_there(
    pull: Pulling, hub: Hub, env: Mapping[str, str], tmp_path: Path
) -> None:
    parts = split_model(tmp_path / "made" / "big-Q4_K_M.gguf", 2)
    hub.repos["a/big-GGUF"] = Repo(files={part.name: part.read_bytes() for part in parts})
    hub.faults.extend([Fault(), Fault(status=404)])
    pull.fails(AprError, "a/big-GGUF")
    assert found(env, Path(env["HOME"])) == []
    sent = hub.sent
    assert pull("a/big-GGUF").received == parts[1].stat().st_size
    assert hub.sent == sent + parts[1].stat().st_size


def test_a_dropped_connection_is_taken_up(pull: Pulling, hub: Hub, tiny: Path) -> None:
    hub.faults.append(Fault(cut=100_000))
    assert pull().files[0].read_bytes() == tiny.read_bytes()
    assert hub.sent == tiny.stat().st_size


def test_every_request_for_content_asks_the_hub_for_a_fresh_address(
    pull: Pulling, hub: Hub
) -> None:
    hub.faults.append(Fault(cut=100_000))
    pull()
    asked = [(one.host, one.path.split("/")[1]) for one in hub.asked[1:]]
    assert asked == [("127.0.0.1", "unsloth"), ("localhost", "cdn")] * 2


def test_content_with_another_checksum_is_removed_and_never_shows(
    pull: Pulling, hub: Hub, env: Mapping[str, str], tiny: Path
) -> None:
    hub.repos[CODER].checksums[FILE] = "0" * 64
    message = pull.fails(DownloadFailed)
    assert FILE in message
    assert sha256(tiny.read_bytes()) in message
    assert "removed" in message
    assert files_in(cache(env)) == []
    assert found(env, Path(env["HOME"])) == []


def test_a_bad_model_is_named_with_its_fault(pull: Pulling, hub: Hub) -> None:
    hub.repos[CODER].files[FILE] = b"GGUF\3\0\0\0 but no more"
    message = pull.fails(BadModel)
    assert FILE in message
    assert "cut short, or broken" in message
    assert "apr rm " in message


def test_a_quantisation_that_is_not_there(pull: Pulling) -> None:
    message = pull.fails(NotInRepository, "qwen3-coder:Q2_K")
    assert "has no Q2_K. It has" in message
    assert "Q8_0" in message


def test_names_from_the_hub_cannot_leave_the_cache(
    pull: Pulling, hub: Hub, env: Mapping[str, str]
) -> None:
    hub.repos["a/evil"] = Repo(files={"../../../x-Q4_K_M.gguf": b"x", "/etc/y-Q4_K_M.gguf": b"y"})
    assert "no model in GGUF" in pull.fails(NotInRepository, "a/evil")
    assert not cache(env).exists()


@pytest.mark.parametrize(
    ("commit", "checksum"), [("../../evil", None), (COMMIT, "../../../evil"), ("main", None)]
)
def test_a_hub_that_names_commits_and_checksums_like_paths_is_not_believed(
    pull: Pulling, hub: Hub, env: Mapping[str, str], commit: str, checksum: str | None
) -> None:
    hub.repos[CODER].commit = commit
    if checksum:
        hub.repos[CODER].checksums[FILE] = checksum
    assert "does not answer as a hub does" in pull.fails(HubError)
    assert not cache(env).exists()


def test_an_absent_repository(pull: Pulling) -> None:
    message = pull.fails(NotOnHub, "a/absent")
    assert "There is no a/absent on the hub" in message
    assert "set HF_TOKEN" in message


def test_a_private_repository_needs_a_token(
    pull: Pulling, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos[CODER].private = True
    assert "private" in pull.fails(NotOnHub)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert pull().received


def test_a_token_goes_to_the_hub_and_not_to_its_cdn(
    pull: Pulling, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    pull()
    sent = {(one.host, one.headers.get("authorization")) for one in hub.asked}
    assert sent == {("127.0.0.1", f"Bearer {hub.token}"), ("localhost", None)}


def test_a_gated_repository_says_where_to_accept_its_terms(
    pull: Pulling, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos[CODER].gated = True
    message = pull.fails(HubError)
    assert f"{CODER} is gated" in message
    assert f"{hub.url}/{CODER}" in message
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert pull().received


@pytest.mark.parametrize("token", ["hf_wrong", "hf_no\x01token", "hf_ü"])
def test_a_token_that_is_none_is_refused_and_not_shown(
    pull: Pulling, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    message = pull.fails(HubError)
    assert "token" in message
    assert token not in message


def test_too_many_requests(pull: Pulling, hub: Hub) -> None:
    hub.refusals.append((429, {"Retry-After": "3600"}))
    message = pull.fails(HubError)
    assert "try again in 3600 seconds" in message
    assert "HF_TOKEN" in message


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_listing_is_asked_for_again_where_that_may_help(
    pull: Pulling, hub: Hub, notes: Notes, status: int
) -> None:
    hub.refusals.append((status, {"Retry-After": "0"}))
    assert pull().received
    assert f"answers {status}" in notes.said[0]


def test_a_hub_that_fails_for_good_is_said_to(pull: Pulling, hub: Hub) -> None:
    hub.refusals.extend([(500, {})] * 3)
    assert "answers 500, which is a fault of its own" in pull.fails(HubError)


@pytest.mark.parametrize("status", [401, 403, 404, 418])
def test_every_refusal_is_explained(pull: Pulling, hub: Hub, status: int) -> None:
    hub.refusals.append((status, {}))
    assert pull.fails(HubError)
    assert len(hub.asked) == 1


def test_a_refusal_by_the_cdn_names_it(pull: Pulling, hub: Hub) -> None:
    hub.faults.append(Fault(status=403))
    assert "localhost, where the hub has the file, answers 403" in pull.fails(HubError)


def test_without_a_connection_what_is_there_will_do(
    pull: Pulling, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    first = pull()
    with serving(Hub()) as gone:
        monkeypatch.setattr(constants, "ENDPOINT", gone)
    again = pull()
    assert again.already
    assert again.files == first.files
    assert "Is this machine online?" in notes.said[-1]
    assert "newer" in notes.said[-1]
    assert "Cannot reach" in pull.fails(Unreachable, "qwen3-coder:Q8_0")


def test_offline_by_the_users_will(
    pull: Pulling, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in pull.fails(Unreachable)
    assert "HF_HUB_OFFLINE is set" in pull.fails(Unreachable, f"{hub.url}/x.gguf")
    assert hub.asked == []


def test_something_that_is_no_hub_is_told_apart(
    pull: Pulling, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    hub.pages[f"/elsewhere/api/models/{CODER}/revision/main"] = b"<html>welcome</html>"
    monkeypatch.setattr(constants, "ENDPOINT", f"{hub.url}/elsewhere")
    assert "Is HF_ENDPOINT right?" in pull.fails(HubError)


def test_a_blob_that_is_cut_short_is_fetched_again(
    pull: Pulling, env: Mapping[str, str], tiny: Path
) -> None:
    blob = pull().files[0].resolve()
    blob.write_bytes(b"cut")
    assert pull().received == tiny.stat().st_size
    assert blob.read_bytes() == tiny.read_bytes()


def test_a_url_brings_a_file_into_aprs_own_folder(
    pull: Pulling, hub: Hub, env: Mapping[str, str], tiny: Path
) -> None:
    hub.pages["/some/My Model.gguf"] = tiny.read_bytes()
    url = f"{hub.url}/some/My%20Model.gguf?token=secret"
    pulled = pull(url)
    assert pulled.files == (Path(env["APR_HOME"]) / "models" / "My Model.gguf",)
    assert pulled.name == "My Model"
    assert resolve(pulled.name, env) == pulled.files[0]
    assert [path.name for path in files_in(Path(env["APR_HOME"]) / "models")] == ["My Model.gguf"]
    assert pull(url).already
    assert len(hub.content()) == 1


def test_a_url_goes_on_where_it_stopped(
    pull: Pulling, hub: Hub, env: Mapping[str, str], tiny: Path
) -> None:
    hub.pages["/m.gguf"], hub.etags["/m.gguf"] = tiny.read_bytes(), '"1"'
    hub.faults.extend([Fault(cut=100_000), Fault(status=410)])
    assert "answers 410" in pull.fails(DownloadFailed, f"{hub.url}/m.gguf?key=secret")
    assert found(env, Path(env["HOME"])) == []
    assert pull(f"{hub.url}/m.gguf").received == tiny.stat().st_size - 100_000
    assert hub.sent == tiny.stat().st_size


def test_a_urls_checksum_is_held_against_what_comes_and_what_is_there(
    pull: Pulling, hub: Hub, tiny: Path
) -> None:
    data = tiny.read_bytes()
    hub.pages["/m.gguf"] = data
    url = f"{hub.url}/m.gguf"
    with pytest.raises(DownloadFailed, match="not what was promised"):
        pull(url, sha256="0" * 64)
    assert pull(url, sha256=sha256(data).upper()).received == len(data)
    assert pull(url, sha256=sha256(data)).already
    with pytest.raises(DownloadFailed, match="is another file"):
        pull(url, sha256="0" * 64)


@pytest.mark.parametrize("wrong", ["0" * 63, "g" * 64])
def test_a_checksum_must_be_one(pull: Pulling, hub: Hub, wrong: str) -> None:
    with pytest.raises(BadName, match="64 hexadecimal digits"):
        pull(f"{hub.url}/m.gguf", sha256=wrong)


def test_a_checksum_goes_with_a_url(pull: Pulling) -> None:
    with pytest.raises(BadName, match="goes with a URL"):
        pull("qwen3-coder", sha256="0" * 64)


def test_a_page_instead_of_a_model_is_removed(
    pull: Pulling, hub: Hub, env: Mapping[str, str]
) -> None:
    hub.pages["/m.gguf"] = b"<html>Please log in.</html>"
    assert "is no GGUF file (it begins with b'<htm')" in pull.fails(
        DownloadFailed, f"{hub.url}/m.gguf"
    )
    assert files_in(Path(env["APR_HOME"]) / "models") == []


def test_all_parts_of_a_split_model_come_from_a_url(
    pull: Pulling, hub: Hub, tmp_path: Path
) -> None:
    parts = split_model(tmp_path / "made" / "big.gguf", 2)
    hub.pages |= {f"/{part.name}": part.read_bytes() for part in parts}
    pulled = pull(f"{hub.url}/{parts[0].name}")
    assert [path.name for path in pulled.files] == [part.name for part in parts]
    assert pulled.name == "big"


@pytest.mark.parametrize("path", ["", "model", "x.gguf/", "..%2F..%2Fx.gguf", "%0a.gguf", ".gguf"])
def test_a_url_must_end_in_a_files_name(pull: Pulling, hub: Hub, path: str) -> None:
    assert "does not end in the name of a .gguf file" in pull.fails(BadName, f"{hub.url}/{path}")


def test_a_file_that_is_gone_since_it_was_listed(pull: Pulling, hub: Hub) -> None:
    data = hub.repos[CODER].files.pop(FILE)
    hub.repos[CODER].gone[FILE] = data
    assert "has that file no more" in pull.fails(NotOnHub)


def test_a_path_is_looked_at_and_nothing_more(pull: Pulling, hub: Hub, tiny: Path) -> None:
    assert pull(str(tiny)).already
    assert pull("demo").already
    assert "There is no file" in pull.fails(ModelNotFound, "./absent.gguf")
    assert hub.asked == []


def test_nothing_is_fetched_that_does_not_fit_on_the_disk(
    pull: Pulling, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apr.models.download.SPARE", 1 << 60)
    assert "Not enough room" in pull.fails(DownloadFailed)
    assert hub.sent == 0
