"""The house's own rules: who may import whom, and how large a room may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MOST_LINES = 450


def imported(source: Path) -> Iterator[str]:
    """Yield the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def name(source: Path) -> str:
    return str(source.relative_to(ROOT))


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_the_meter_knows_nothing_of_the_agent_and_the_agent_little_of_the_meter(
    source: Path,
) -> None:
    modules = set(imported(source))
    if source.is_relative_to(ROOT / "src" / "ccpa"):
        assert not {module for module in modules if module.partition(".")[0] == "apr"}
    else:
        ours = {module for module in modules if module.partition(".")[0] == "ccpa"}
        assert ours <= {"ccpa.trace", "ccpa.workspace"}


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_a_module_is_one_thing_of_a_readable_size(source: Path) -> None:
    assert len(source.read_text().splitlines()) <= MOST_LINES
