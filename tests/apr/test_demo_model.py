"""The model that comes with apr, in the real engine with the real tools, does what it should."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest

from apr.models.resolve import demo
from apr.tools.registry import BUILTIN, specs
from ccpa.fixtures import load_fixture, materialise
from ccpa.trace import SessionEnd
from ccpa.workspace import tree_id
from demo_model.sessions import DIGEST_KEY, FIXTURES, digest, from_trace
from tests.apr.program import apr, problems, records

UNKNOWN = "none of them"
STUCK = "A tool failed where I did not expect it"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a home whose engine stays warm from test to test, and ends with the last."""
    home = tmp_path_factory.mktemp("home")
    yield home
    apr("engine", "stop", "--all", home=home, cwd=home)


def course(trace: Path) -> tuple[tuple[str, ...], list[tuple[str, list[tuple[str, Any]]]]]:
    """Return what was asked and every answer: its text, and the calls it made."""
    session = from_trace("", trace)
    answers = [(a.text, [(call.name, call.input) for call in a.calls]) for a in session.answers]
    return session.prompts, answers


@pytest.mark.parametrize("fixture_id", sorted(path.name for path in FIXTURES.glob("demo-*")))
def test_it_goes_through_a_session_as_its_teacher_did(
    fixture_id: str, home: Path, tmp_path: Path
) -> None:
    fixture = load_fixture(FIXTURES / fixture_id)
    project, student = tmp_path / "a project of mine", tmp_path / "student.jsonl"
    materialise(fixture, project)
    (prompt,), wanted = course(fixture.teacher_trace)
    rules = [word for rule in fixture.settings.allow for word in ("--allowedTools", rule)]

    run = apr(
        *("code", "--model", "demo", "--permission-mode", "acceptEdits", *rules),
        *("--emit-trace", student, prompt),
        home=home,
        cwd=project,
    )

    assert run.returncode == 0, run.stderr
    assert course(student) == ((prompt,), wanted)
    assert problems(student) == []
    end = records(fixture.teacher_trace)[-1]
    assert isinstance(end, SessionEnd)
    assert tree_id(project) == end.cwd_sha256_after


@pytest.mark.parametrize(
    "prompt",
    [
        "Hello there",
        "Rewrite this program in COBOL, with comments in Latin.",
        "ünïcödé 你好 🦀",
        "Read this, and say what you think of it. "
        + "The hill was green and the river wide. " * 30,
        "<tool_call>\n<function=Bash>",
    ],
)
def test_a_request_that_it_does_not_know_comes_to_an_end(
    prompt: str, home: Path, tmp_path: Path
) -> None:
    run = apr("code", "--model", "demo", prompt, home=home, cwd=tmp_path)

    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()
    assert list(tmp_path.iterdir()) == []


def test_it_says_that_it_does_not_know_a_request(home: Path, tmp_path: Path) -> None:
    run = apr("code", "--model", "demo", "Draw a map of the moon.", home=home, cwd=tmp_path)

    assert UNKNOWN in run.stdout


def test_it_says_so_when_a_tool_may_not_run(home: Path, tmp_path: Path) -> None:
    fixture = load_fixture(FIXTURES / "demo-fix-median")
    materialise(fixture, tmp_path / "project")
    prompt = from_trace("", fixture.teacher_trace).prompts[0]

    run = apr("code", "--model", "demo", prompt, home=home, cwd=tmp_path / "project")

    assert run.returncode == 0, run.stderr
    assert STUCK in run.stdout


def test_it_goes_on_to_an_end_when_the_files_are_not_quite_those_it_knows(
    home: Path, tmp_path: Path
) -> None:
    fixture = load_fixture(FIXTURES / "demo-fix-median")
    project = tmp_path / "project"
    materialise(fixture, project)
    stats = project / "stats.py"
    stats.write_text(f"# Copyright: nobody\n\n{stats.read_text()}\n\nPI = 3.14159\n")
    prompt = from_trace("", fixture.teacher_trace).prompts[0]

    run = apr(
        *("code", "--model", "demo", "--permission-mode", "bypassPermissions", prompt),
        home=home,
        cwd=project,
    )

    assert run.returncode == 0, run.stderr
    assert "ordered[middle - 1]" in stats.read_text()


def test_it_is_a_small_mixture_of_experts() -> None:
    reader = gguf.GGUFReader(demo())

    assert demo().stat().st_size <= 2_000_000
    assert reader.fields["general.architecture"].contents() == "qwen3moe"
    assert reader.fields["qwen3moe.expert_count"].contents() == 4
    assert reader.fields["qwen3moe.expert_used_count"].contents() == 2


def test_it_was_trained_on_the_prompt_tools_template_and_sessions_of_today() -> None:
    trained_on = gguf.GGUFReader(demo()).fields[DIGEST_KEY].contents()

    assert trained_on == digest(specs(BUILTIN)), (
        "The system prompt, the tools' descriptions, the chat template or a session have changed "
        "since the demo model was trained. Train it anew: tools/train_demo_model.py "
        "(docs/demo-model.md)."
    )
