"""A home for engines of one test, none of which outlives the test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from apr.engine import state as engines
from tests.apr.engine.processes import end_engines, eventually, of_home
from tests.apr.random_model import make


@pytest.fixture(autouse=True)
def apr_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test an `APR_HOME`; afterwards end its engines, and see that nothing is left."""
    home = tmp_path / "apr-home"
    monkeypatch.setenv("APR_HOME", str(home))
    yield home
    end_engines(home)
    eventually(lambda: not of_home(home))


@pytest.fixture
def folder(apr_home: Path) -> Path:
    """Return the directory that the engines announce themselves in."""
    assert os.environ["APR_HOME"] == str(apr_home)
    return engines.directory()


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that takes longer for a prompt than an engine between two looks for work."""
    sizes = ("--width", "256", "--layers", "12", "--hidden", "256", "--experts", "0")
    return make(tmp_path_factory.mktemp("models") / "slow.gguf", *sizes)
