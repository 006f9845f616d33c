"""What a run pays before its first request: modules, and bytes the model must read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import APR, environment, says

# All that is not the standard library. Each further package costs every user, on every run.
PACKAGES = {"apr", "ccpa", "httptools", "msgspec"}

# Imported, where they are there, by the interpreter (`sitecustomize`), by `copy` (it asks for
# Jython), and by msgspec.
NOT_OURS = {"sitecustomize", "usercustomize", "org", "typing_extensions"}

# Parts of the standard library that are slow to import and that no run needs before its answer.
SLOW = {
    "ctypes",
    "difflib",
    "email",
    "http",
    "importlib.metadata",
    "json",
    "multiprocessing",
    "shutil",
    "sqlite3",
    "tempfile",
    "unittest",
    "xml",
}


@pytest.fixture
def imported(home: Path, project: Path, tmp_path: Path) -> set[str]:
    """Every module that a whole run with a trace imports, as the interpreter reports it."""
    with serving(ScriptedModel([says("Hello.")])) as url:
        words = ["code", "--base-url", url, "--emit-trace", str(tmp_path / "run.jsonl"), "hi"]
        done = subprocess.run(
            [sys.executable, "-X", "importtime", APR, *words],
            cwd=project,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines[1:]}


def test_a_run_imports_its_own_code_and_two_packages(imported: set[str]) -> None:
    top = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    foreign = {name for name in top if not name.startswith("_")} - NOT_OURS
    assert foreign == PACKAGES


def test_a_run_imports_nothing_slow(imported: set[str]) -> None:
    assert imported & SLOW == set()


def test_an_unused_wire_sink_or_command_is_not_imported(imported: set[str]) -> None:
    unused = {"apr.cli.engine", "apr.engine.client", "apr.providers.local", "apr.ui.result"}
    assert "apr.agent.loop" in imported
    assert imported & unused == set()


def test_the_first_request_is_small(home: Path, project: Path) -> None:
    model = ScriptedModel([says("Hello.")])
    with serving(model) as url:
        subprocess.run(
            [APR, "code", "--base-url", url, "fix the failing test"],
            cwd=project,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
    request = model.requests[0]
    offered = {tool["function"]["name"] for tool in request["tools"]}
    assert offered >= {"Read", "Write", "Edit", "Glob", "Grep", "Bash"}
    assert len(json.dumps(request)) <= 8_000
