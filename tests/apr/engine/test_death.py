"""An engine that dies in the middle of an answer is started again once, and the answer repeated."""

import os
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from apr.agent.events import Notice, Retracted, TextDelta
from apr.engine import state as engines
from apr.home import private_directory
from apr.providers.base import Completion, ModelEvent, ProviderError, Request, UserMessage
from apr.providers.local import LocalModel
from apr.providers.retrying import Patience, Retrying
from ccpa.fixtures import load_fixture, materialise
from ccpa.trace import SessionEnd, TextBlock, UserPrompt
from demo_model.sessions import FIXTURES
from tests.apr.program import apr, problems, records, start_apr

AT_ONCE = Patience(first_s=0.0)
REQUEST = Request(
    system="", messages=(UserMessage("hello"),), temperature=0, max_tokens=2000, options={"seed": 1}
)


async def listen(events: AsyncGenerator[ModelEvent, None], kill: int) -> list[ModelEvent]:
    """Return what a model says, whose engine is killed at the first word, so many times."""
    seen: list[ModelEvent] = []
    killed: set[int] = set()
    async for event in events:
        seen.append(event)
        if isinstance(event, TextDelta) and len(killed) < kill:
            for _, engine in engines.running(engines.directory()):
                if engine.pid not in killed:
                    killed.add(engine.pid)
                    os.kill(engine.pid, signal.SIGKILL)
    return seen


async def broken_off(model: LocalModel) -> list[ModelEvent]:
    """Return what a model says whose engine is killed once, in the middle of the answer.

    A kill that came too late, when all of the answer was on its way already, has shown nothing.
    """
    for _ in range(50):
        events = await listen(Retrying(model, AT_ONCE).stream(REQUEST), kill=1)
        if Retracted() in events:
            return events
    pytest.fail("no answer was broken off")


async def with_engines_that_die(model: LocalModel) -> None:
    """Listen to a model whose engines are killed, each in the middle of the answer."""
    for _ in range(50):
        await listen(Retrying(model, AT_ONCE).stream(REQUEST), kill=9)


def text(events: list[ModelEvent]) -> str:
    last = events[-1]
    assert isinstance(last, Completion)
    return "".join(block.text for block in last.blocks if isinstance(block, TextBlock))


async def test_it_is_started_again_once_and_the_answer_comes_from_its_start(tiny: Path) -> None:
    model = LocalModel(tiny, "tiny")
    whole = text(await listen(Retrying(model, AT_ONCE).stream(REQUEST), kill=0))
    events = await broken_off(model)
    await model.close()
    assert whole
    assert text(events) == whole
    at = events.index(Retracted())
    assert any(isinstance(event, Notice) for event in events[at:])
    assert "".join(event.text for event in events[at:] if isinstance(event, TextDelta)) == whole


async def test_one_that_dies_again_ends_the_run_and_names_its_log(tiny: Path) -> None:
    model = LocalModel(tiny, "tiny")
    with pytest.raises(ProviderError, match="2 times in a row") as raised:
        await with_engines_that_die(model)
    await model.close()
    assert not raised.value.retryable
    assert Path(str(raised.value).rpartition(" ")[2]).is_file()


async def test_an_answer_in_between_makes_it_the_first_time_again(tiny: Path) -> None:
    model = LocalModel(tiny, "tiny")
    said = [text(await broken_off(model)) for _ in range(2)]
    await model.close()
    assert said[0] == said[1]


@pytest.fixture
def home(home: Path) -> Iterator[Path]:
    private_directory(home / ".apr" / "engine")
    yield home
    apr("engine", "stop", "--all", home=home, cwd=home)


def started(home: Path, tmp_path: Path) -> tuple[subprocess.Popen[str], Path, set[int]]:
    """Start a task of the demo model, and kill its engine when the first tool runs."""
    fixture = load_fixture(FIXTURES / "demo-find-port")
    project, trace = tmp_path / "project", tmp_path / "run.jsonl"
    materialise(fixture, project)
    words = ("--model", "demo", "--emit-trace", trace, "--permission-mode", "acceptEdits")
    prompt = next(r.text for r in records(fixture.teacher_trace) if isinstance(r, UserPrompt))
    process = start_apr("code", *words, prompt, home=home, cwd=project)
    assert process.stderr is not None
    while (line := process.stderr.readline()) and "●" not in line:
        pass
    return process, trace, kill_engines(home)


def kill_engines(home: Path) -> set[int]:
    pids = {engine.pid for _, engine in engines.running(home / ".apr" / "engine")}
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return pids


def test_a_run_goes_on_with_another_engine(home: Path, tmp_path: Path) -> None:
    process, trace, killed = started(home, tmp_path)
    out, err = process.communicate(timeout=60)
    assert len(killed) == 1
    assert process.returncode == 0, err
    assert "8041" in out
    assert problems(trace) == []


def test_a_run_whose_engines_all_die_ends_with_the_reason(home: Path, tmp_path: Path) -> None:
    process, trace, killed = started(home, tmp_path)
    while process.poll() is None:
        killed |= kill_engines(home)
        time.sleep(0.005)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "engine" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert 2 <= len(killed) <= 3
    end = records(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert end.stop_reason == "error"
    assert problems(trace) == []
