"""`apr pull` as a process: what it prints, and what is left when it is killed."""

import json
import os
import pty
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from apr.models.discovery import found
from tests.apr.engine.processes import eventually
from tests.apr.models.hub_server import Fault, Hub, Repo, serving, sha256
from tests.apr.program import APR, environment

REPOSITORY = "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF"
FILE = "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf"


@pytest.fixture
def hub(tiny: Path) -> Iterator[Hub]:
    hub = Hub()
    hub.repos[REPOSITORY] = Repo(files={FILE: tiny.read_bytes()})
    with serving(hub):
        yield hub


@pytest.fixture
def env(hub: Hub, home: Path) -> Mapping[str, str]:
    return environment(home) | {"HF_ENDPOINT": hub.url, "HF_HOME": str(home / "hf")}


Pull = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(env: Mapping[str, str], home: Path) -> Pull:
    def start(*words: str, **options: Any) -> "subprocess.Popen[str]":
        more = options.pop("env", {})
        return subprocess.Popen(
            [APR, "pull", *words],
            cwd=home,
            env={**env, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
        )

    return start


@pytest.fixture
def pull(start: Pull) -> Callable[..., tuple[int, str, str]]:
    def pull(*words: str, **options: Any) -> tuple[int, str, str]:
        process = start(*words, **options)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return pull


def part_of(home: Path, hub: Hub) -> Path:
    """Return where the model's content grows."""
    digest = sha256(hub.repos[REPOSITORY].files[FILE])
    folder = home / "hf/hub" / f"models--{REPOSITORY.replace('/', '--')}"
    return folder / "blobs" / f"{digest}.incomplete"


def test_a_person_is_told_how_it_gets_on_and_what_to_do_then(
    pull: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = pull("qwen3-coder")
    assert code == 0
    assert out.startswith(f"{REPOSITORY}:Q4_K_M: fetched, ")
    assert f"Use it with: apr code --model {REPOSITORY}:Q4_K_M" in out
    assert f"fetching {FILE} from {REPOSITORY}: " in err
    assert "MB/s" in err or "kB/s" in err
    assert " left" in err
    assert "\x1b" not in out + err
    code, out, err = pull("qwen3-coder")
    assert (code, err) == (0, "")
    assert "already there" in out


def test_a_program_gets_json_and_nothing_else(
    pull: Callable[..., tuple[int, str, str]], tiny: Path
) -> None:
    code, out, _ = pull("--json", "qwen3-coder")
    told = json.loads(out)
    assert code == 0
    assert (told["name"], told["received"]) == (f"{REPOSITORY}:Q4_K_M", tiny.stat().st_size)
    assert Path(told["path"]).read_bytes() == tiny.read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nope"], 3, "short name"),
        (["a/absent"], 3, "There is no a/absent"),
        (["qwen3-coder:Q2_K"], 3, "has no Q2_K. It has\n  Q4_K_M"),
        (["./absent.gguf"], 3, "There is no file"),
    ],
)
def test_what_cannot_be_had_is_said_in_words_and_by_the_exit_code(
    pull: Callable[..., tuple[int, str, str]], words: list[str], code: int, says: str
) -> None:
    ended, out, err = pull(*words)
    assert (ended, out) == (code, "")
    assert says in err
    assert "Traceback" not in err


def test_the_library_is_kept_from_asking_for_more_than_the_model(
    pull: Callable[..., tuple[int, str, str]], hub: Hub
) -> None:
    pull("qwen3-coder")
    assert [one.path.split("/")[1] for one in hub.asked] == ["api", "unsloth", "cdn"]


def test_the_token_of_the_environment_is_used_and_not_shown(
    pull: Callable[..., tuple[int, str, str]], hub: Hub
) -> None:
    hub.repos[REPOSITORY].gated = True
    code, _, err = pull("qwen3-coder", env={"HF_TOKEN": "hf_not_the_one"})
    assert code == 1
    assert "does not accept the token" in err
    assert "hf_not_the_one" not in err
    assert pull("qwen3-coder", env={"HF_TOKEN": hub.token})[0] == 0


def test_a_killed_download_goes_on_where_it_was_and_never_shows(
    start: Pull, env: Mapping[str, str], hub: Hub, home: Path, tiny: Path
) -> None:
    there = 100_000
    hub.faults.append(Fault(pause=there))
    process = start("qwen3-coder")
    part = part_of(home, hub)
    eventually(lambda: part.exists() and part.stat().st_size == there)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert found(env, home) == []
    assert not list(home.rglob("*.gguf"))
    hub.go_on.set()

    listed = subprocess.run([APR, "list"], cwd=home, env=env, capture_output=True, text=True)
    assert "unfinished downloads have left takes 100.0 kB" in listed.stderr
    process = start("--json", "qwen3-coder")
    told = json.loads(process.communicate(timeout=60)[0])
    assert told["received"] == tiny.stat().st_size - there, "nothing came twice"
    resumed = [one for one in hub.asked if "range" in one.headers]
    assert {one.headers["range"] for one in resumed} == {f"bytes={there}-"}
    assert sum(one.sent for one in resumed) == tiny.stat().st_size - there
    assert Path(told["path"]).read_bytes() == tiny.read_bytes()
    assert not part.exists()


def test_an_interrupted_download_says_that_it_can_go_on(start: Pull, hub: Hub, home: Path) -> None:
    hub.faults.append(Fault(pause=100_000))
    process = start("qwen3-coder")
    part = part_of(home, hub)
    eventually(lambda: part.exists() and part.stat().st_size == 100_000)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    assert part.stat().st_size == 100_000


def test_two_at_once_fetch_it_once(start: Pull, hub: Hub, home: Path, tiny: Path) -> None:
    hub.faults.append(Fault(pause=100_000))
    first = start("--json", "qwen3-coder")
    assert hub.paused.wait(30)
    second = start("--json", "qwen3-coder")
    assert second.stderr is not None
    while "another process is fetching this" not in second.stderr.readline():
        assert second.poll() is None
    hub.go_on.set()
    told = [json.loads(process.communicate(timeout=60)[0]) for process in (first, second)]
    assert [one["received"] for one in told] == [tiny.stat().st_size, 0]
    assert hub.sent == tiny.stat().st_size


def test_a_disk_that_fills_up_keeps_what_there_was_room_for(
    pull: Callable[..., tuple[int, str, str]], hub: Hub, home: Path
) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    code, _, err = pull("qwen3-coder", preexec_fn=small)
    assert code == 1
    assert "cannot be written: File too large" in err
    assert part_of(home, hub).stat().st_size == 100_000
    assert pull("qwen3-coder")[0] == 0


def test_names_of_strangers_do_not_drive_the_terminal(
    pull: Callable[..., tuple[int, str, str]], hub: Hub
) -> None:
    hub.refusals.append((403, {"X-Error-Message": "\x1b[2J"}))
    _, _, err = pull("qwen3-coder")
    assert "\x1b" not in err
    hub.repos["a/b"] = Repo(files={"ok-Q8_0.gguf": b"", "x\x1b[2J-Q4_0.gguf": b""})
    assert "\x1b" not in pull("a/b:Q2_K")[2]


def test_a_terminal_gets_a_bar(start: Pull, hub: Hub) -> None:
    ours, theirs = pty.openpty()
    process = start("qwen3-coder", stderr=theirs, env={"TERM": "xterm", "COLUMNS": "100"})
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how the end looks on Linux
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "fetched" in out
    assert "━".encode() in shown
    assert b"100.0" in shown or b"kB" in shown
