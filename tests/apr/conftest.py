"""What the tests of `apr` share: a small project, an empty home, a tiny model."""

from pathlib import Path

import pytest

from tests.apr.random_model import make

CALC = "def add(a, b):\n    return a - b\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "calc.py").write_text(CALC)
    (folder / "README.md").write_text("# Calc\n\nIt adds.\n")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model with random weights: the real thing, in everything but wits."""
    return make(tmp_path_factory.mktemp("models") / "tiny.gguf")
