"""Who may ask, and who may not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from apr.serve import door
from apr.serve.app import refuse
from apr.serve.door import LARGEST_BODY
from apr.serve.metrics import Meter
from tests.apr.program import apr
from tests.apr.serve.servers import HELLO, Server, ask, serving

PATHS = ("/v1/models", "/v1/messages", "/metrics", "/nowhere")


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "key"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, key_file: Path) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    with serving(home, "--no-cache", "--host", "0.0.0.0", "--api-key-file", key_file) as server:
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home"), "--no-cache") as server:
        yield server


def test_a_key_is_made_that_only_its_owner_can_read(locked: Server, key_file: Path) -> None:
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert len(key_file.read_text().strip()) >= 32
    assert ask(locked, "/health").body["status"] == "ok"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", ["Authorization", "x_api_key"])
@pytest.mark.parametrize("key", [None, "", "wrong", "Ä"])
def test_nothing_is_told_without_the_key(
    locked: Server, path: str, header: str, key: str | None
) -> None:
    given = f"Bearer {key}" if header == "Authorization" else str(key)
    answer = ask(locked, path, **({} if key is None else {header: given}))
    assert answer.status == 401
    assert answer.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("header", ["Authorization", "x_api_key"])
def test_the_key_opens(locked: Server, key_file: Path, header: str) -> None:
    key = key_file.read_text().strip()
    given = f"Bearer {key}" if header == "Authorization" else key
    assert ask(locked, "/v1/models", **{header: given}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "[::1", ""])
def test_a_name_that_is_not_ours_is_refused(server: Server, host: str) -> None:
    answer = ask(server, "/v1/models", Host=host)
    assert (answer.status, answer.body["error"]["type"]) == (403, "permission_error")


@pytest.mark.parametrize("host", ["localhost", "localhost:8642", "127.0.0.1:1", "[::1]:80"])
def test_names_of_this_machine_are_ours(server: Server, host: str) -> None:
    assert ask(server, "/v1/models", Host=host).status == 200


def test_a_web_page_of_another_site_may_not_ask(server: Server) -> None:
    body = {"messages": HELLO, "max_tokens": 1}
    for origin, status in (("https://evil.example", 403), ("null", 403), (server.url, 200)):
        answer = ask(server, "/v1/chat/completions", body, Origin=origin)
        assert answer.status == status
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/chat/completions", "invalid_request_error"), ("/v1/messages", "request_too_large")],
)
def test_a_request_that_is_too_large_is_refused(server: Server, path: str, kind: str) -> None:
    answer = ask(server, path, b" " * (LARGEST_BODY + 1))
    assert (answer.status, answer.body["error"]["type"]) == (413, kind)


def test_other_machines_are_let_in_with_a_key_only(home: Path) -> None:
    done = apr("serve", "--model", "demo", "--host", "0.0.0.0", "--port", "0", home=home, cwd=home)
    assert done.returncode == 2
    assert "a key is needed" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--api-key-env", "NO_SUCH_VARIABLE"), "is not set"),
        (("--mmproj", "nowhere.gguf"), "no file nowhere.gguf"),
        (("--host", "no.such.host.invalid"), "Cannot listen"),
        (("--port", "70000"), "not a port"),
        (("--cache-size", "much"), "not a size"),
    ],
)
def test_wrong_usage_is_told(home: Path, words: tuple[str, ...], said: str) -> None:
    done = apr("serve", "--model", "demo", "--port", "0", *words, home=home, cwd=home)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_that_others_can_read_is_refused(home: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o644)
    done = apr("serve", "--model", "demo", "--api-key-file", key, home=home, cwd=home)
    assert done.returncode == 2
    assert "chmod 600" in done.stderr


def test_a_model_that_is_not_there_has_an_exit_code_of_its_own(home: Path) -> None:
    done = apr("serve", "--model", "lost", "--port", "0", home=home, cwd=home)
    assert done.returncode == 3


async def test_a_client_that_takes_nothing_of_its_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "TAKE_S", 0.01)
    given_up = asyncio.Event()
    asked: list[Message] = [{"type": "http.request", "body": b"{}"}]

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        except asyncio.CancelledError:
            given_up.set()
            raise

    async def receive() -> Message:
        return asked.pop() if asked else await asyncio.Future()

    async def send(_message: Message) -> None:
        await asyncio.Future()

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    rules = door.Rules()
    await door.Door(answer, rules, Meter(), (), refuse)(scope, receive, send)
    assert given_up.is_set()
