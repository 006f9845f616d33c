"""A home for engines of one test, none of which outlives the test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apr.engine.processes import end_engines, eventually, of_home

from apr.engine import state as engines


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
    path = tmp_path_factory.mktemp("models") / "slow.gguf"
    make = Path(__file__).parents[3] / "tools" / "make_random_model.py"
    sizes = ["--width", "256", "--layers", "12", "--hidden", "256", "--experts", "0"]
    subprocess.run([sys.executable, make, path, *sizes], check=True, capture_output=True)
    return path
