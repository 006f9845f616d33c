"""The agent's wire to a local model survives the engine behind it."""

import os
import signal
from pathlib import Path

import pytest

from apr.agent.events import TextDelta
from apr.engine import state as engines
from apr.providers.base import Completion, ProviderError, Request, UserMessage
from apr.providers.local import LocalModel
from tests.apr.engine.processes import eventually, is_alive, only


async def ask(model: LocalModel) -> Completion:
    """Return what the model has to say."""
    request = Request(system="", messages=(UserMessage("hello"),), max_tokens=8)
    events = [event async for event in model.stream(request)]
    assert isinstance(events[-1], Completion)
    return events[-1]


async def test_requests_go_to_one_engine(tiny: Path, folder: Path) -> None:
    model = LocalModel(tiny, "tiny")
    await ask(model)
    first = only(folder)
    assert (await ask(model)).usage.cache_read_tokens > 0
    assert only(folder) == first
    await model.close()


async def test_an_engine_that_is_gone_between_requests_is_replaced(
    tiny: Path, folder: Path
) -> None:
    model = LocalModel(tiny, "tiny")
    await ask(model)
    pid = only(folder).pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid))
    await ask(model)
    assert only(folder).pid != pid
    await model.close()


async def test_an_engine_killed_in_the_middle_of_an_answer_is_an_error(
    tiny: Path, folder: Path
) -> None:
    model = LocalModel(tiny, "tiny")
    request = Request(system="", messages=(UserMessage("hello"),), max_tokens=4000, temperature=0)

    async def kill_at_the_first_word() -> None:
        async for event in model.stream(request):
            if isinstance(event, TextDelta):
                for _, engine in engines.running(folder):
                    os.kill(engine.pid, signal.SIGKILL)

    with pytest.raises(ProviderError):
        await kill_at_the_first_word()
    await model.close()


async def test_a_model_that_cannot_be_loaded_is_an_error_of_the_provider(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    with pytest.raises(ProviderError, match="cut short"):
        await ask(LocalModel(broken, "broken"))
