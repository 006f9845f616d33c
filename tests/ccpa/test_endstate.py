"""The files in the end: the same bytes, or notebooks that say the same."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccpa.consistency import apply_teacher
from ccpa.endstate import final_files, same_files
from ccpa.fixtures import Fixture, load_fixture

pytestmark = pytest.mark.usefixtures("own_python")
CANONICAL = Path(__file__).parents[2] / "fixtures/canonical"
NOTEBOOK = "notebook-insert-cells"


def left_by(fixture: Fixture, place: Path, change: Callable[[Any], object]) -> Path:
    """Return what the teacher left, after `change` was made to its notebook."""
    apply_teacher(fixture, place)
    path = next(place.glob("*.ipynb"))
    notebook = json.loads(path.read_text())
    change(notebook)
    path.write_text(json.dumps(notebook, indent=4, sort_keys=True))
    return place


def by_lines(notebook: Any) -> None:
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)


def other_ids(notebook: Any) -> None:
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"id-{number}"


def without_ids(notebook: Any) -> None:
    for cell in notebook["cells"]:
        del cell["id"]


def other_source(notebook: Any) -> None:
    notebook["cells"][0]["source"] += "\n"


def other_order(notebook: Any) -> None:
    notebook["cells"].reverse()


def other_kind(notebook: Any) -> None:
    notebook["cells"][0]["cell_type"] = "raw"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda _: None, True),
        (by_lines, True),
        (other_ids, True),
        (without_ids, True),
        (other_source, False),
        (other_order, False),
        (other_kind, False),
    ],
)
def test_a_notebook_is_what_its_cells_say(
    change: Callable[[Any], object], same: bool, tmp_path: Path
) -> None:
    fixture = load_fixture(CANONICAL / NOTEBOOK)
    place = left_by(fixture, tmp_path / "run", change)
    assert same_files(fixture, place, tmp_path / "teacher") is same
    shutil.rmtree(tmp_path / "teacher", ignore_errors=True)
    assert final_files(fixture, place, tmp_path / "teacher").same is same


def test_another_file_beside_the_notebook_counts(tmp_path: Path) -> None:
    fixture = load_fixture(CANONICAL / NOTEBOOK)
    place = left_by(fixture, tmp_path / "run", by_lines)
    (place / "more.txt").touch()
    assert same_files(fixture, place, tmp_path / "teacher") is False


def test_nothing_of_a_recording_that_runs_commands_is_run(tmp_path: Path) -> None:
    fixture = load_fixture(CANONICAL / "fix-failing-test-python")
    apply_teacher(fixture, tmp_path / "run")
    assert same_files(fixture, tmp_path / "run", tmp_path / "teacher") is True
    (tmp_path / "run" / "more.txt").touch()
    assert same_files(fixture, tmp_path / "run", tmp_path / "teacher") is False
    assert not (tmp_path / "teacher").exists()
