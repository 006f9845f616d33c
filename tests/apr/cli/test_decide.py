"""`apr decide`: a real process, asked with recorded sessions."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccpa.fixtures import load_fixture, materialise
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import apr, says

CORPUS = Path(__file__).parents[3] / "fixtures/canonical"
MEDIAN = CORPUS / "demo-fix-median/teacher.ccpa-trace.jsonl"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a home whose engine stays warm from test to test, and ends with the last."""
    home = tmp_path_factory.mktemp("home")
    yield home
    apr("engine", "stop", "--all", home=home, cwd=home)


@pytest.fixture(scope="module")
def own(warm: Path) -> Path:
    """Return the trace of a run of the demo model: it knows its own tools' words by heart."""
    project, trace = warm / "project", warm / "own.ccpa-trace.jsonl"
    fixture = load_fixture(MEDIAN.parent)
    materialise(fixture, project)
    words = ("--permission-mode", "bypassPermissions", "--emit-trace", trace)
    prompt = json.loads(MEDIAN.read_text().splitlines()[1])["text"]
    done = apr("code", "--model", "demo", *words, prompt, home=warm, cwd=project)
    assert done.returncode == 0, done.stderr
    return trace


def session(trace: Path, id_: str = "a", **more: Any) -> str:
    records = [json.loads(line) for line in trace.read_text().splitlines()]
    return json.dumps({"id": id_, "records": records, **more}) + "\n"


def answers(
    *requests: str, home: Path, options: tuple[str, ...] = ("--model", "demo")
) -> list[Any]:
    done = apr("decide", *options, home=home, cwd=home, stdin="".join(requests))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_says_what_the_model_would_do_at_every_decision(own: Path, warm: Path) -> None:
    found = answers(session(own, "one"), home=warm)
    assert [(one["id"], one["decision"]) for one in found] == [("one", n) for n in (2, 4, 6, 8)]
    names = [b["name"] for one in found for b in one["blocks"] if b["type"] == "tool_use"]
    assert names == ["Read", "Edit", "Bash"]
    assert [one["stop_reason"] for one in found] == ["tool_use"] * 3 + ["end_turn"]


def test_each_history_is_evaluated_once(own: Path, warm: Path) -> None:
    found = answers(session(own), home=warm)
    for before, after in itertools.pairwise(found):
        remembered = after["usage"]["cache_read_tokens"]
        # All of the last prompt, and most of what was answered to it: only the results are new.
        assert remembered >= before["usage"]["input_tokens"] - 1


def test_only_the_decisions_asked_for_are_made(warm: Path) -> None:
    found = answers(session(MEDIAN, decisions=[6]), session(MEDIAN, "b", decisions=[2]), home=warm)
    assert [(one["id"], one["decision"]) for one in found] == [("a", 6), ("b", 2)]


def test_a_history_longer_than_the_models_context_is_an_answer_of_its_own(warm: Path) -> None:
    long = CORPUS / "large-output-is-cut/teacher.ccpa-trace.jsonl"
    found = answers(session(long), session(MEDIAN, decisions=[2]), home=warm)
    assert any("context" in one.get("overflow", "") for one in found)
    assert "blocks" in found[-1]


def test_a_request_is_the_one_that_a_run_would_have_made(home: Path) -> None:
    model = ScriptedModel([says("one"), says("two"), says("three"), says("four")])
    with serving(model) as url:
        answers(session(MEDIAN), home=home, options=("--base-url", url, "--model", "m"))
    sent = [request["messages"] for request in model.requests]
    assert [len(messages) for messages in sent] == [2, 4, 6, 8]
    for before, after in itertools.pairwise(sent):
        assert after[: len(before)] == before
    assert "/workspace/" not in json.dumps([m for m in sent[-1] if m["role"] != "user"])
    (read,) = sent[1][2]["tool_calls"]
    assert json.loads(read["function"]["arguments"]) == {"file_path": "stats.py"}
    assert all(
        len(request["tools"]) == len(model.requests[0]["tools"]) for request in model.requests
    )


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("{", "standard input:1"),
        ('{"id": "a", "records": [{"kind": "nothing"}]}', "standard input:1"),
        ('{"id": "a", "records": [], "decisions": [0]}', "record 0 is no assistant_turn"),
        (session(MEDIAN, decisions=[1]), "record 1 is no assistant_turn"),
        (session(MEDIAN, decisions=[-1]), "record -1 is no assistant_turn"),
    ],
)
def test_a_request_that_makes_no_sense_is_named(request_: str, message: str, home: Path) -> None:
    done = apr("decide", "--model", "demo", home=home, cwd=home, stdin=request_)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_a_server_that_fails_ends_it(home: Path, tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_text(session(MEDIAN))
    done = apr("decide", "--base-url", "http://127.0.0.1:9/v1", requests, home=home, cwd=home)
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
