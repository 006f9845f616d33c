"""Whatever goes wrong, wherever: no broken call runs, and the run ends as it should."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ccpa.trace import TextBlock
from tests.apr.faults import (
    AFTER,
    BEFORE,
    FAULTS,
    TURNS,
    Cell,
    Fault,
    Where,
    in_page,
    run_all,
    table,
)

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
ROWS = {fault.name: fault for fault in FAULTS}
Cells = Mapping[tuple[str, Where], Cell]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    return run_all(tmp_path_factory.mktemp("faults"))


each = pytest.mark.parametrize(
    ("fault", "where"),
    [pytest.param(ROWS[name], where, id=f"{name}-{where}") for name in ROWS for where in TURNS],
)


@each
def test_the_run_ends_as_it_should(cells: Cells, fault: Fault, where: Where) -> None:
    cell = cells[fault.name, where]
    assert "Traceback" not in cell.stderr
    if fault.ends is None:
        assert (cell.exit_code, cell.end.stop_reason, cell.end.error) == (0, "end_turn", None)
        assert cell.stdout.endswith("Fixed: add now adds, as its name says.\n")
    else:
        assert (cell.exit_code, cell.end.stop_reason) == (1, "error")
        assert fault.ends in (cell.end.error or "")
        assert fault.ends in cell.stderr


@each
def test_nothing_of_a_broken_call_ran(cells: Cells, fault: Fault, where: Where) -> None:
    """The edit would fail the second time, and there would be two results."""
    cell = cells[fault.name, where]
    done = fault.ends is None or where == "last"
    assert cell.file == (AFTER if done else BEFORE)
    assert cell.results.get("toolu_102", []) == ([True] if done else [])


@each
def test_every_call_has_one_result_and_the_trace_is_valid(
    cells: Cells, fault: Fault, where: Where
) -> None:
    cell = cells[fault.name, where]
    assert cell.problems == []
    assert list(cell.results) == cell.calls
    assert all(len(results) == 1 for results in cell.results.values())


@each
def test_retries_are_as_many_as_are_of_use(cells: Cells, fault: Fault, where: Where) -> None:
    cell = cells[fault.name, where]
    if fault.gone:
        assert cell.retries == (0 if where == "first" else 5)
        return
    assert cell.retries == fault.retries
    failed = fault.ends is not None and not fault.ends.startswith(("answered", "going"))
    assert cell.requests == len(cell.turns) + fault.retries + failed


def test_the_page_has_these_results(cells: Cells) -> None:
    assert in_page(PAGE.read_text()) == table(cells)


def test_what_was_shown_of_a_broken_answer_is_no_part_of_the_trace(cells: Cells) -> None:
    cell = cells["connection closed in the middle of a call or text", "last"]
    assert cell.stdout.count("Fixed: add") == 2
    texts = [
        block.text for turn in cell.turns for block in turn.blocks if isinstance(block, TextBlock)
    ]
    assert texts.count("Fixed: add now adds, as its name says.") == 1
