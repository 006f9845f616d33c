"""The whole way: `ccpa measure` starts `apr`, with the demo model in the real engine."""

import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ccpa.actions import read_views
from ccpa.cli.main import main
from ccpa.fixtures import load_fixture, read_trace
from ccpa.measure.forced import compared, decided
from ccpa.measure.store import open_store
from ccpa.pairs import text_reader
from ccpa.sandbox import unavailable
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.validate import check
from tests.apr.program import calls, says
from tests.ccpa.sessions import bash, say, trace_bytes

CORPUS = Path(__file__).parents[3] / "fixtures/canonical"
OWN = ["demo-find-port", "demo-write-editorconfig"]
OTHERS = ["crlf-file-keeps-its-line-ends", "large-output-is-cut"]
DEMO = "--agent-arg=--model=demo"

Measure = Callable[..., Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return an `APR_HOME` whose engine stays warm from test to test, and ends with the last."""
    home = tmp_path_factory.mktemp("home")
    yield home
    subprocess.run(
        [sys.executable, "-m", "apr", "engine", "stop", "--all"],
        env={**os.environ, "APR_HOME": str(home)},
        check=True,
        capture_output=True,
    )


@pytest.fixture
def measure(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Measure:
    """Return a function that runs `ccpa measure` on fixtures of the corpus: its JSON and status."""
    monkeypatch.setenv("APR_HOME", str(home))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)

    def run(*fixtures: str | Path, options: tuple[str, ...] = ()) -> Any:
        places = [str(CORPUS / fixture) for fixture in fixtures]
        capsys.readouterr()
        status = main(["measure", *places, DEMO, *options, "--json"])
        return json.loads(capsys.readouterr().out) | {"status": status}

    return run


def scores(measured: Any) -> dict[str, float]:
    return {one["id"]: one["score"] for one in measured["fixtures"]}


def trace_of_run(fixture: str) -> bytes:
    with open_store(Path("ccpa-runs.sqlite")) as store:
        return store.trace(1, fixture, 1)


def test_the_demo_model_is_as_good_as_its_teachers_and_far_from_all_others(
    measure: Measure,
) -> None:
    measured = measure(*OWN, *OTHERS)
    found = scores(measured)
    assert [found[name] for name in OWN] == [1.0, 1.0]
    assert max(found[name] for name in OTHERS) < 0.3
    success = {one["id"]: one["task_success"]["rate"] for one in measured["fixtures"]}
    assert success == {**dict.fromkeys(OWN, 1.0), **dict.fromkeys(OTHERS, 0.0)}
    assert measured["task_success"]["rate"] == 0.5
    assert (measured["verdict"], measured["status"]) == ("fail", 1)


def test_it_decides_as_it_did_itself_and_hardly_ever_as_others_did(
    measure: Measure, tmp_path: Path
) -> None:
    """Its own sessions are those that it had with its own tools: it knows their words by heart."""
    measure(*OWN)
    own = [own_teacher(name, tmp_path / "own" / name) for name in OWN]

    measured = measure(*own, *OTHERS, options=("--mode", "forced"))

    found = scores(measured)
    assert [found[name] for name in OWN] == [1.0, 1.0]
    assert max(found[name] for name in OTHERS) < 0.4
    agreement = measured["agreement"]
    assert agreement["confusion"]["Glob"] == {"Glob": 1}
    assert agreement["by_position"]["1"]["total"] == 4
    assert agreement["decisions"]["same"] < agreement["decisions"]["total"]
    # What was evaluated for one decision was remembered for the next.
    sent, cached = measured["tokens"]["sent"], measured["tokens"]["cached"]
    assert sent - cached < sent / 4


def own_teacher(name: str, place: Path) -> Path:
    """Make a fixture whose teacher is the model's own first run of another."""
    shutil.copytree(CORPUS / name, place)
    data = trace_of_run(name)
    assert check(io.BytesIO(data)).problems == []
    (place / "teacher.ccpa-trace.jsonl").write_bytes(data)
    return place


def test_a_fork_begins_with_the_recordings_answers_really_carried_out(measure: Measure) -> None:
    measured = measure(
        "demo-fix-median", "crlf-file-keeps-its-line-ends", options=("--mode", "fork", "--at", "2")
    )
    found = scores(measured)
    assert found["demo-fix-median"] == 1.0
    assert found["crlf-file-keeps-its-line-ends"] < 0.5
    records = [json.loads(line) for line in trace_of_run("demo-fix-median").splitlines()]
    models = [record["model"] for record in records if record["kind"] == "assistant_turn"]
    assert models == ["recording", "recording", "demo", "demo"]
    edited = [record for record in records if record["kind"] == "tool_result"][1]
    assert edited["side_effects"] == {"files_written": ["stats.py"]}


def test_a_fork_beyond_the_recordings_end_is_no_evidence(measure: Measure) -> None:
    measured = measure("demo-write-editorconfig", options=("--mode", "fork", "--at", "2"))
    (only,) = measured["fixtures"][0]["runs"]
    assert "has 2 answers" in only["error"]
    assert (measured["verdict"], measured["status"]) == ("inconclusive", 1)


def test_a_measurement_that_was_killed_goes_on_where_it_stopped(
    home: Path, tmp_path: Path, measure: Measure
) -> None:
    database = tmp_path / "killed.sqlite"
    words = [str(CORPUS / "demo-explain-mutex"), DEMO, "--runs", "6", "--db", str(database)]
    command = [sys.executable, "-m", "ccpa.cli.main", "measure", *words, "--jobs", "1"]
    with subprocess.Popen(command, env={**os.environ, "APR_HOME": str(home)}) as killed:
        while not (kept := sessions(database)):
            assert killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    assert len(kept := sessions(database)) < 6

    options = ("--runs", "6", "--db", str(database), "--resume")
    measured = measure("demo-explain-mutex", options=options)

    assert measured["status"] == 0
    assert measured["measurement"] == 1
    assert len(measured["fixtures"][0]["runs"]) == 6
    assert kept.items() <= sessions(database).items()
    assert len(set(sessions(database).values())) == 6


def sessions(database: Path) -> dict[int, bytes]:
    """Return the traces that are kept, by run."""
    if not database.exists():
        return {}
    with sqlite3.connect(database) as connection:
        try:
            return dict(connection.execute("SELECT run, trace FROM run"))
        except sqlite3.OperationalError:  # not yet
            return {}


def test_a_server_that_is_not_there_is_no_evidence_against_the_model(measure: Measure) -> None:
    options = ("--base-url", "http://127.0.0.1:9/v1")
    measured = measure("demo-explain-mutex", options=options)
    (only,) = measured["fixtures"][0]["runs"]
    assert only["score"] is None
    assert "127.0.0.1:9" in only["error"]
    assert (measured["verdict"], measured["status"]) == ("inconclusive", 1)
    measured = measure("demo-explain-mutex", options=(*options, "--mode", "forced"))
    assert "0 of 1 decisions" in measured["fixtures"][0]["runs"][0]["error"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mode", "fork"], "--at N"),
        (["--at", "2"], "--at N"),
        (["--timeout", "0"], "more than 0"),
        (["--timeout", "inf"], "more than 0"),
        (["--runs", "0"], "'0' is not a whole number above zero"),
        (["--runs", "x"], "'x' is not a whole number above zero"),
        (["--base-url", "ftp://example.org"], "http://HOST:PORT/v1"),
        (["--base-url", "https://api.anthropic.com/v1"], "never contacted"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_run(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "none.sqlite"
    try:
        status = main(["measure", str(CORPUS / OWN[0]), *words, "--db", str(database)])
    except SystemExit as exited:  # argparse has spoken
        status = int(exited.code or 0)
    assert status == 2
    assert message in capsys.readouterr().err
    assert not database.exists()


def test_decisions_are_compared_by_what_they_mean() -> None:
    fixture = load_fixture(CORPUS / "demo-fix-median")
    assert fixture.workspace is not None
    lines = [
        _answer(2, "Read", file_path="stats.py", offset=1),
        _answer(
            4,
            "Edit",
            file_path="./stats.py",
            old_string="// 2\n    return ordered[middle]",
            new_string="// 2\n    if len(ordered) % 2:\n        return ordered[middle]\n"
            "    return (ordered[middle - 1] + ordered[middle]) / 2",
        ),
        _answer(6, "Bash", command="python3 -m unittest"),
        {"decision": 8, "blocks": [{"type": "text", "text": "Other words."}]}
        | {"stop_reason": "end_turn"},
    ]
    answers = decided(b"\n".join(json.dumps(line).encode() for line in lines))
    found = compared(
        read_trace(fixture.teacher_trace),
        read_views(fixture.teacher_trace),
        answers,
        text_reader(fixture.workspace),
    )
    assert [one.same for one in found] == [True, True, False, True]
    assert [one.position for one in found] == [1, 2, 3, 4]


def _answer(decision: int, tool: str, **given: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": "x", "name": tool, "input": given}
    return {"decision": decision, "blocks": [block], "stop_reason": "tool_use"}


def test_an_agent_that_tries_to_reach_another_host_fails_the_gate(
    measure: Measure, tmp_path: Path
) -> None:
    if reason := unavailable():
        pytest.skip(f"no sandbox here: {reason}")
    command = "python3 -c 'import socket; socket.create_connection((\"example.org\", 443))'"
    fixture = tmp_path / "corpus" / "curious"
    (fixture / "workspace").mkdir(parents=True)
    (fixture / "fixture.toml").write_text(
        'id = "curious"\ncovers = []\ndescription = "x"\n'
        '[settings]\npermission_mode = "bypassPermissions"\n'
        '[settings.managed]\ncompanyAnnouncements = ["hello"]\n'
    )
    (fixture / "teacher.ccpa-trace.jsonl").write_bytes(trace_bytes(bash(command), say()))
    model = ScriptedModel([calls(("Bash", {"command": command})), says("It cannot be reached.")])
    with serving(model) as url:
        options = ("--base-url", url, "--require-sandbox", "--mean-min", "0", "--each-min", "0")
        measured = measure(fixture, options=options)
    (only,) = measured["fixtures"][0]["runs"]
    assert (only["error"], only["confined"]) == (None, True)
    assert any(attempt.endswith("tcp example.org port 443") for attempt in only["attempts"])
    assert (measured["verdict"], measured["status"]) == ("fail", 1)


def test_a_required_sandbox_that_cannot_be_is_no_evidence(measure: Measure) -> None:
    measured = measure("demo-explain-mutex", options=("--require-sandbox",))
    (only,) = measured["fixtures"][0]["runs"]
    assert "no sandbox, and it is required" in only["error"]
    assert measured["verdict"] == "inconclusive"
