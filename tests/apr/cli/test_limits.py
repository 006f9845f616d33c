"""`apr code` with limits: each ends the run with its own stop reason, and exit code 1."""

import json
from pathlib import Path

from apr.engine.process import started
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import SessionEnd, ToolResult
from tests.apr.program import apr, calls, problems, records, says

READ = calls(("Read", {"file_path": "src/calc.py"}))


def test_the_tokens_of_a_run(home: Path, project: Path, tmp_path: Path) -> None:
    """Each answer takes 100 tokens in, 60 of them cached, and 10 out: 50 that count."""
    trace = tmp_path / "run.jsonl"
    model = ScriptedModel(
        [READ, calls(("Read", {"file_path": "README.md"}), first=2), says("late")]
    )
    with serving(model) as url:
        words = ("--max-tokens-total", "100", "--emit-trace", trace, "--output-format", "json")
        done = apr("code", "--base-url", url, *words, "go", home=home, cwd=project)
    assert len(model.requests) == 2
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert (result["is_error"], result["stop_reason"]) == (True, "max_tokens")
    end = records(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert end.stop_reason == "max_tokens"
    assert end.error == "max_tokens: the session has used 100 tokens"
    assert problems(trace) == []


def test_the_time_of_a_run_ends_a_command_that_runs(
    home: Path, project: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "run.jsonl"
    model = ScriptedModel([calls(("Bash", {"command": "echo $$ > pid; sleep 1000"})), says("late")])
    with serving(model) as url:
        words = ("--timeout", "6s", "--emit-trace", trace, "--allowedTools", "Bash", "go")
        done = apr("code", "--base-url", url, *words, home=home, cwd=project)
    assert done.returncode == 1
    assert "timeout: the session has used the time it was given" in done.stderr
    assert started(int((project / "pid").read_text())) is None
    result, end = records(trace)[-2:]
    assert isinstance(result, ToolResult)
    assert result.content == "The time of the session was up before it was done."
    assert isinstance(end, SessionEnd)
    assert end.stop_reason == "error"
    assert problems(trace) == []
