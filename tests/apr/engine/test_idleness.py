"""When an engine counts as idle, told by the counters of the native server."""

import os
from pathlib import Path

import pytest

from apr.engine.serve import _Idleness, _retire
from apr.engine.state import try_lock

QUIET = "llamacpp:tokens_predicted_total 7\nllamacpp:requests_processing 0\n"


class Server:
    """The one method of the native server that is asked."""

    metrics = QUIET

    def handle_metrics(self) -> str:
        return self.metrics


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "model.1.json"
    path.touch()
    return path


@pytest.fixture
def idle(server: Server, file: Path) -> _Idleness:
    """Return an idleness that is over as soon as nothing has changed since the last look."""
    idle = _Idleness(server, file, 0)
    assert not idle.is_over(), "nothing to compare with yet"
    assert idle.is_over()
    return idle


def test_a_request_in_work_is_no_idleness(idle: _Idleness, server: Server) -> None:
    server.metrics = QUIET.replace("processing 0", "processing 1")
    assert [idle.is_over() for _ in range(3)] == [False] * 3


def test_a_request_that_came_and_went_between_two_looks_counts(
    idle: _Idleness, server: Server
) -> None:
    server.metrics = QUIET.replace("7", "9")
    assert not idle.is_over()
    assert idle.is_over()


def test_attaching_counts_as_use(idle: _Idleness, file: Path) -> None:
    os.utime(file, (1, 1))
    assert not idle.is_over()
    assert idle.is_over()


def test_it_is_never_over_without_a_limit(server: Server, file: Path) -> None:
    idle = _Idleness(server, file, None)
    assert [idle.is_over() for _ in range(3)] == [False] * 3


def test_an_engine_does_not_retire_while_somebody_attaches(idle: _Idleness, file: Path) -> None:
    with try_lock(file.parent, "model") as held:
        assert held
        assert not _retire(idle)
    assert file.exists()
    assert _retire(idle)
    assert not file.exists()
