"""What the tests of `apr` share: a small project and an empty home."""

from pathlib import Path

import pytest

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
