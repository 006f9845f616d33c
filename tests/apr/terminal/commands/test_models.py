"""Other models: what they need here, and how a session goes over to one."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from apr.engine import state
from apr.engine.process import end
from apr.engine.state import EngineError
from apr.models.header import check
from apr.models.resolve import demo
from apr.providers.local import LocalModel
from apr.providers.openai_chat import OpenAIChat
from apr.terminal.commands.about import innermost
from apr.terminal.commands.models import end_engine, fits_beside
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.terminal.commands.conftest import Person, Sit


@pytest.fixture
def models(home: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of a home's models: one that works, one that is broken."""
    monkeypatch.setenv("APR_HOME", str(home / ".apr"))
    folder = home / ".apr/models"
    folder.mkdir(parents=True)
    shutil.copy(tiny, folder / "tiny.gguf")
    (folder / "broken.gguf").write_bytes(b"GGUF is not all of it")
    yield folder
    for _, engine in state.running(state.directory()):
        end(engine.pid, engine.started)


def shown_tools(person: Person) -> list[str]:
    return [t.name for t in person.desk.assembled.agent.request.tools]


@pytest.mark.usefixtures("models")
async def test_models_are_listed_with_what_they_need_here(sit: Sit) -> None:
    shown = await sit(width=200).type("/model list")
    tiny = next(line for line in shown.splitlines() if "tiny" in line)
    assert "on disk; fits: " in tiny
    assert "with a context of" in tiny
    assert "   broken  21 bytes on disk; broken: cannot be read" in shown
    assert "   demo    comes with apr" in shown


@pytest.mark.usefixtures("models")
async def test_a_session_goes_over_to_another_model_and_back(sit: Sit) -> None:
    person = sit({"hi": ["Hello."]})
    agent = person.desk.assembled.agent
    before = shown_tools(person)
    assert "Agent" in before
    shown = await person.type("/model demo")
    assert "The model is demo, from the next request on." in shown
    assert shown_tools(person) == before[:8]
    assert agent.session.model == "demo"
    wire = innermost(agent.provider)
    assert isinstance(wire, LocalModel)
    assert wire.path == demo()
    assert wire.endpoint is not None
    await person.type("/model tiny")
    assert shown_tools(person) == before
    assert agent.session.model == "tiny"
    await person.desk.assembled.close()


@pytest.mark.usefixtures("models")
async def test_a_model_that_cannot_be_loaded_leaves_the_one_before(sit: Sit, models: Path) -> None:
    person = sit({"hi": ["Hello."]})
    provider = person.desk.assembled.agent.provider
    for name in ("broken", "nobody-has-this"):
        assert "The model is m, as before." in await person.type(f"/model {name}")
    # Its header is sound, and its engine finds out that a tensor is not what it should be.
    data = bytearray((models / "tiny.gguf").read_bytes())
    (models / "cut.gguf").write_bytes(data[: len(data) // 2])
    assert "The model is m, as before." in await person.type("/model cut")
    assert person.desk.assembled.agent.provider is provider
    await person.prompt("hi")


def test_a_model_takes_the_place_of_another_where_there_is_no_room_for_both(tiny: Path) -> None:
    info = check(tiny)
    plenty, little = 1 << 33, 1 << 20
    assert fits_beside(info, held=plenty, free=plenty)
    assert not fits_beside(info, held=plenty, free=little)
    with pytest.raises(EngineError, match="Not enough memory"):
        fits_beside(info, held=little, free=little)


async def test_a_model_whose_engine_had_to_go_is_loaded_again_when_it_is_needed(
    models: Path,
) -> None:
    model = LocalModel(models / "tiny.gguf", "tiny", keep_alive=60)
    await model.load(lambda _text: None)
    assert model.endpoint is not None
    first = model.endpoint.pid
    end_engine(model)
    assert first not in [engine.pid for _, engine in state.running(state.directory())]
    await model.load(lambda _text: None)
    assert model.endpoint.pid != first
    await model.close()


def of_server(person: Person, url: str) -> Person:
    """Let the person talk to a server's model."""
    replace = msgspec.structs.replace
    person.desk.plan = replace(
        person.desk.plan,
        server=True,
        open_model=lambda name: (OpenAIChat(url, name or "m"), name or "m"),
    )
    person.desk.assembled.use(OpenAIChat(url, "m"), "m")
    return person


async def test_a_server_is_asked_for_another_of_its_models(sit: Sit) -> None:
    with serving(ScriptedModel([])) as url:
        person = of_server(sit(), url)
        assert await person.type("/model list") == "   scripted\n"
        shown = await person.type("/model scripted")
        assert shown == "The model is scripted, from the next request on.\n"
        await person.type("/model by-another-name")  # it lists one, and knows others
        assert person.desk.assembled.agent.session.model == "by-another-name"
        await person.desk.assembled.close()


async def test_a_server_without_a_model_is_not_asked_for_it(sit: Sit) -> None:
    listed = b'{"object": "list", "data": [{"id": "one"}]}'
    async with listing(listed) as url:
        person = of_server(sit(), url)
        shown = await person.type("/model two")
        assert shown == "The server has no model 'two'. It has: one\n"
        assert person.desk.assembled.agent.session.model == "m"
        await person.desk.assembled.close()


async def test_a_server_that_lists_nothing_is_taken_at_its_word(sit: Sit) -> None:
    async with listing(b"<html>") as url:
        person = of_server(sit(), url)
        shown = await person.type("/model two")
        assert "The server does not say which models it has" in shown
        assert person.desk.assembled.agent.session.model == "two"
        await person.desk.assembled.close()


@asynccontextmanager
async def listing(models: bytes) -> AsyncIterator[str]:
    """Serve a list of models, and nothing else."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = head.startswith(b"GET /v1/models HTTP")
        status, body = (b"200 OK", models) if found else (b"404 Not Found", b"{}")
        size = str(len(body)).encode()
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: " + size)
        writer.write(b"\r\nConnection: close\r\n\r\n" + body)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
