"""What docs/scripted-server.md shows really happens."""

import re
from pathlib import Path

import pytest

from ccpa.scripted.server import WIRES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "scripted-server.md").read_text(encoding="utf-8")


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/scripted-server.md", "exec"), {})


def test_every_wire_is_listed() -> None:
    listed = re.findall(r"^\| [^|]+ \| `/v1(/[^`]+)` \|", PAGE, re.MULTILINE)
    assert listed == list(WIRES)
