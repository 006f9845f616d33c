import os
import sys
from pathlib import Path

import pytest


@pytest.fixture
def own_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `python3` in fixtures' commands be this one: a version manager's shim takes 0.3 s."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
