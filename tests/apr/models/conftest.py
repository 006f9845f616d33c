"""A tiny model with random weights: the real thing, in everything but wits."""

import subprocess
import sys
from pathlib import Path

import pytest

MAKE = Path(__file__).parents[3] / "tools" / "make_random_model.py"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    subprocess.run([sys.executable, MAKE, path], check=True, capture_output=True)
    return path
