"""An agent of OpenAI's wire goes through its sessions on a served model as on its own engine."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccpa.fixtures import load_fixture, materialise
from ccpa.trace import AssistantTurn, SessionEnd
from ccpa.workspace import tree_id
from demo_model.sessions import FIXTURES, from_trace
from tests.apr.program import apr, records
from tests.apr.serve.servers import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.mark.parametrize("fixture_id", ["demo-fix-median", "demo-failing-test", "demo-find-port"])
def test_it_does_what_its_teacher_did(
    fixture_id: str, server: Server, home: Path, tmp_path: Path
) -> None:
    fixture = load_fixture(FIXTURES / fixture_id)
    project, student = tmp_path / "project", tmp_path / "student.jsonl"
    materialise(fixture, project)
    prompt = from_trace("", fixture.teacher_trace).prompts[0]
    rules = [word for rule in fixture.settings.allow for word in ("--allowedTools", rule)]

    run = apr(
        *("code", "--base-url", server.url, "--model", "demo", "--temperature", "0"),
        *("--permission-mode", "acceptEdits", *rules),
        *("--emit-trace", student, prompt),
        home=home,
        cwd=project,
    )

    assert run.returncode == 0, run.stderr
    end = records(fixture.teacher_trace)[-1]
    assert isinstance(end, SessionEnd)
    assert tree_id(project) == end.cwd_sha256_after
    usages = [turn.usage for turn in records(student) if isinstance(turn, AssistantTurn)]
    for before, after in itertools.pairwise(usages):
        assert before
        assert after
        known = before.input_tokens + before.output_tokens
        assert after.cache_read_tokens >= known - 2
