"""`apr code` with MCP servers, end to end: real processes, a scripted model over real HTTP."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import SkillInvocation, ToolResult
from tests.apr.mcp.conftest import ODD
from tests.apr.mcp.test_servers import running
from tests.apr.program import APR, apr, calls, environment, records, says, start_apr

ECHO = calls(("mcp__odd__echo", {"text": "hi"}))
ALLOWED = ("--allowedTools", "mcp__odd")


def configure(project: Path, oddity: str = "none", **more: Any) -> None:
    server = {"command": sys.executable, "args": ["-S", str(ODD), oddity], **more}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"odd": server}}))
    settings = project / ".claude/settings.json"
    settings.parent.mkdir()
    settings.write_text('{"env": {"MCP_TIMEOUT": "60000"}}')  # a busy machine changes no result


def results(trace: Path) -> list[ToolResult]:
    return [record for record in records(trace) if isinstance(record, ToolResult)]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "run.ccpa-trace.jsonl"


def offered(model: ScriptedModel) -> list[str]:
    """Return the names of the tools of the first request that are a server's."""
    names = [tool["function"]["name"] for tool in model.requests[0]["tools"]]
    return [name for name in names if name.startswith("mcp__")]


def test_a_tool_of_the_projects_server_is_offered_and_used(
    home: Path, project: Path, trace: Path
) -> None:
    configure(project)
    model = ScriptedModel([ECHO, says("Done.")])
    with serving(model) as url:
        words = ("code", "--base-url", url, "--emit-trace", trace, *ALLOWED, "go")
        done = apr(*words, home=home, cwd=project)
    assert done.returncode == 0, done.stderr
    assert offered(model) == ["mcp__odd__echo", "mcp__odd__count"]
    (result,) = results(trace)
    assert (result.ok, result.content) == (True, "echo: hi")


def test_without_a_rule_it_is_denied(home: Path, project: Path, trace: Path) -> None:
    configure(project)
    with serving(ScriptedModel([ECHO, says("I could not.")])) as url:
        words = ("code", "--base-url", url, "--emit-trace", trace)
        apr(*words, "go", home=home, cwd=project)
    (result,) = results(trace)
    assert result.denied_by == "mode"
    assert "No rule allows mcp__odd__echo." in result.content


def test_a_rule_that_denies_a_server_hides_its_tools(
    home: Path, project: Path, trace: Path
) -> None:
    configure(project)
    model = ScriptedModel([says("Nothing to do.")])
    with serving(model) as url:
        words = ("code", "--base-url", url, "--disallowedTools", "mcp__odd__*", "go")
        apr(*words, home=home, cwd=project)
    assert offered(model) == []


def test_a_server_that_fails_is_told_once_and_the_run_goes_on(
    home: Path, project: Path, trace: Path
) -> None:
    configure(project, "dies-at-once")
    with serving(ScriptedModel([says("Hello.")])) as url:
        done = apr("code", "--base-url", url, "go", home=home, cwd=project)
    assert done.returncode == 0
    assert done.stderr.count("MCP server odd: cannot be used") == 1
    assert "\x1b" not in done.stderr


def test_a_prompt_of_a_server_is_a_command(home: Path, project: Path, trace: Path) -> None:
    configure(project)
    model = ScriptedModel([says("Hello.")])
    with serving(model) as url:
        words = ("code", "--base-url", url, "--emit-trace", trace, "/mcp__odd__greet Ada Lovelace")
        apr(*words, home=home, cwd=project)
    assert model.requests[0]["messages"][-1]["content"].endswith("Say hello to Ada Lovelace.")
    (invoked,) = (record for record in records(trace) if isinstance(record, SkillInvocation))
    assert (invoked.name, invoked.source) == ("mcp__odd__greet", "user_invoked")


def test_a_malformed_file_ends_the_run_before_it_begins(home: Path, project: Path) -> None:
    (project / ".mcp.json").write_text('{"mcpServers": {')
    done = apr("code", "--base-url", "http://127.0.0.1:9", "go", home=home, cwd=project)
    assert done.returncode == 2
    assert ".mcp.json:1:17: not valid JSON" in done.stderr


def test_no_process_of_a_server_outlives_the_run(home: Path, project: Path) -> None:
    configure(project, "leaves-children")
    with serving(ScriptedModel([says("Hello.")])) as url:
        done = apr("code", "--base-url", url, "go", home=home, cwd=project)
    assert done.returncode == 0
    assert not any(running(int(pid)) for pid in (project / "pids").read_text().split())


def test_ctrl_c_ends_a_call_and_its_server(home: Path, project: Path, trace: Path) -> None:
    configure(project, "hangs-when-called")
    with serving(ScriptedModel([ECHO])) as url:
        words = ("code", "--base-url", url, "--emit-trace", trace, *ALLOWED, "go")
        run = start_apr(*words, home=home, cwd=project)
        while not (project / "pids").exists():
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in said
    assert not running(int((project / "pids").read_text()))
    (result,) = results(trace)
    assert not result.ok


def test_servers_that_are_known_cost_no_import_and_no_process(home: Path, project: Path) -> None:
    configure(project)
    model = ScriptedModel([says("Known."), says("Hello.")])
    with serving(model) as url:
        words = ["code", "--base-url", url, "go"]
        apr(*words, home=home, cwd=project)
        model.requests.clear()
        done = subprocess.run(
            [sys.executable, "-X", "importtime", APR, *words],
            cwd=project,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert offered(model) == ["mcp__odd__echo", "mcp__odd__count"]
    assert "apr.mcp.servers" in imported
    assert not {name for name in imported if name.partition(".")[0] in {"mcp", "pydantic", "anyio"}}
