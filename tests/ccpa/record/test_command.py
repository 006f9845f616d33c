"""`ccpa record` as a user runs it: a process, another one for the agent, a trace in the end."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa.fixtures import read_trace
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import AssistantTurn, Record, SessionEnd, UserPrompt, encode
from ccpa.validate import check
from tests.ccpa.scripted.talk import calls, prompt, says

CCPA = [sys.executable, "-P", "-m", "ccpa.cli.main", "record"]
ASK = """
import json, os, sys, urllib.request
TOOLS = [{"type": "function", "function": {"name": "Bash", "parameters": {"type": "object"}}}]
def ask(messages):
    body = {"model": "m", "messages": messages, "tools": TOOLS}
    headers = {"content-type": "application/json", "authorization": "Bearer " + os.environ["KEY"]}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request))["choices"][0]["message"]
history = [{"role": "user", "content": sys.argv[1]}]
answer = ask(history)
"""
"""The beginning of an agent that asks once."""
AGENT = [sys.executable, "-c", ASK, "go"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    (made / "a.txt").write_text("a")
    return made


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "run.ccpa-trace.jsonl"


def run(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CCPA, *map(str, words)],
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def valid(trace: Path, *, prefix: bool = False) -> list[Record]:
    with trace.open("rb") as stream:
        assert check(stream, version=None, prefix=prefix).problems == []
    return read_trace(trace)


def test_an_agent_is_recorded_against_a_server_that_the_user_names(
    project: Path, trace: Path
) -> None:
    model = ScriptedModel([says("done")])
    with serving(model) as url:
        done = run(
            *("-o", trace, "-C", project, "--json", "--name", "My Agent"),
            *("--upstream", url, "--upstream-key-env", "REAL", "--env", "KEY=own-key-1234"),
            *("--", *AGENT),
            REAL="sk-the-real-one",
        )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["traces"] == [{"path": str(trace), "records": 4}]
    assert (summary["model_calls"], summary["agent_exit_status"]) == (1, 0)
    assert model.headers[0]["authorization"] == "Bearer sk-the-real-one"
    records = valid(trace)
    assert [type(record).__name__ for record in records[1:]] == [
        "UserPrompt",
        "AssistantTurn",
        "SessionEnd",
    ]
    assert json.loads(trace.read_text().splitlines()[0])["actor"] == "my-agent"


def test_no_key_gets_into_the_trace_even_if_the_agent_says_it(project: Path, trace: Path) -> None:
    agent = ASK.replace('"content": sys.argv[1]', '"content": "my key is " + os.environ["KEY"]')
    with serving(ScriptedModel([says("the key sk-the-real-one is wrong")])) as url:
        run(
            *("-o", trace, "-C", project, "--upstream", url, "--upstream-key-env", "REAL"),
            *("--env", "KEY=own-key-1234", "--", sys.executable, "-c", agent),
            REAL="sk-the-real-one",
        )
    asked, answer = valid(trace)[1:3]
    assert asked == UserPrompt(v=1, turn=0, text="my key is (removed)")
    assert "sk-the-real-one" not in trace.read_text()
    assert isinstance(answer, AssistantTurn)


def test_the_agent_has_a_clean_environment_and_a_home_of_its_own(
    project: Path, trace: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen.json"
    agent = f"import json, os; json.dump(dict(os.environ), open({str(seen)!r}, 'w'))"
    command = (sys.executable, "-c", agent)
    script = written(tmp_path, says("x"))
    run("-o", trace, "-C", project, "--script", script, "--", *command, SECRET="x")
    environment = json.loads(seen.read_text())
    assert "SECRET" not in environment
    assert not Path(environment["HOME"]).exists()
    base_url = environment["OPENAI_BASE_URL"]
    assert base_url.startswith("http://127.0.0.1:")
    assert base_url.endswith("/v1")
    assert environment["ANTHROPIC_BASE_URL"] + "/v1" == base_url
    theirs = ("--keep-home", "--env", "SECRET")
    run("-o", trace, "-C", project, "--script", script, *theirs, "--", *command, SECRET="x")
    environment = json.loads(seen.read_text())
    assert environment["HOME"] == str(Path.home())
    assert environment["SECRET"] == "x"


def test_the_base_url_can_be_told_in_the_arguments(
    project: Path, trace: Path, tmp_path: Path
) -> None:
    command = ("echo", "{base_url}", "--url={root_url}/x")
    done = run("-o", trace, "-C", project, "--script", written(tmp_path, says("x")), "--", *command)
    base_url, _, root = done.stdout.strip().partition(" --url=")
    assert base_url.endswith("/v1")
    assert root == base_url.removesuffix("/v1") + "/x"


def test_only_the_agent_may_use_the_proxy(project: Path, trace: Path, tmp_path: Path) -> None:
    agent = ASK.replace('"OPENAI_BASE_URL"]', '"OPENAI_BASE_URL"].rsplit("/", 2)[0] + "/v1"')
    done = run(
        *("-o", trace, "-C", project, "--script", written(tmp_path, says("x"))),
        *("--env", "KEY=k", "--", sys.executable, "-c", agent, "go"),
    )
    assert "404" in done.stderr
    assert done.returncode == 1


def test_calls_that_the_script_does_not_have_are_findings(
    project: Path, trace: Path, tmp_path: Path
) -> None:
    script = written(tmp_path, calls(("t1", "Bash", {"command": "ls"})), says("done", 3))
    done = run(
        *("-o", trace, "-C", project, "--script", script, "--json"),
        *("--env", "KEY=k", "--", *AGENT),
    )
    assert done.returncode == 1
    assert [one["category"] for one in json.loads(done.stdout)["findings"]] == ["missing_llm_call"]
    end = valid(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert (end.stop_reason, end.error) == ("error", "the agent ended before its model did")


def test_the_exit_status_of_the_agent_is_the_sessions_error(
    project: Path, trace: Path, tmp_path: Path
) -> None:
    done = run(
        *("-o", trace, "-C", project, "--script", written(tmp_path, says("x"))),
        *("--", "bash", "-c", "echo out; exit 3"),
    )
    assert (done.returncode, done.stdout) == (1, "out\n")
    end = valid(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert end.error == "the agent exited with status 3"


def test_a_killed_recording_leaves_a_valid_beginning(
    project: Path, trace: Path, tmp_path: Path
) -> None:
    with hanging(project, trace, tmp_path) as process:
        process.kill()
    records = valid(trace, prefix=True)
    assert isinstance(records[-1], AssistantTurn)


def test_a_recording_that_is_told_to_stop_ends_its_session(
    project: Path, trace: Path, tmp_path: Path
) -> None:
    with hanging(project, trace, tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
    end = valid(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert (end.stop_reason, end.error) == ("error", "interrupted")


def hanging(project: Path, trace: Path, folder: Path) -> "subprocess.Popen[str]":
    """Start a recording; return when its agent has had an answer, and hangs."""
    told = folder / "told"
    os.mkfifo(told)
    agent = ASK + f"open({str(told)!r}, 'w').close(); import time; time.sleep(60)"
    script = written(folder, says("x"))
    words = ["-o", trace, "-C", project, "--script", script, "--env", "KEY=k"]
    process = subprocess.Popen(
        [*CCPA, *map(str, words), "--", sys.executable, "-c", agent, "go"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    told.open().close()  # waits for the agent
    return process


def test_help_shows_an_example_for_each_kind_of_model() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(f"ccpa record {option} " in done.stdout for option in ("--engine", "--upstream"))


def test_an_agent_on_a_terminal_reads_the_keyboard(
    project: Path, trace: Path, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    script = written(tmp_path, says("x"))
    words = [
        "-o",
        trace,
        "-C",
        project,
        "--script",
        script,
        "--",
        "bash",
        "-c",
        "read a; echo $a$a",
    ]
    process = subprocess.Popen(
        [*CCPA, *map(str, words)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    os.write(ours, b"typed\n")
    assert process.communicate(timeout=30)[0] == "typedtyped\n"
    os.close(ours)
    os.close(theirs)
    assert isinstance(valid(trace)[-1], SessionEnd)


def test_a_trace_inside_the_project_is_no_part_of_it(project: Path, tmp_path: Path) -> None:
    trace = project / "run.ccpa-trace.jsonl"
    run("-o", trace, "-C", project, "--script", written(tmp_path, says("x")), "--", "true")
    start, end = map(json.loads, trace.read_text().splitlines())
    assert start["cwd_sha256"] == end["cwd_sha256_after"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--upstream", "nonsense", "--", "true"), "--upstream nonsense: needs the form"),
        (("--upstream", "http://x/v1", "--upstream-key-env", "NOT_SET", "--", "true"), "NOT_SET"),
        (("--script", "missing.jsonl", "--", "true"), "missing.jsonl"),
        (("--script", "missing.jsonl", "--upstream-key-env", "X", "--", "true"), "goes with"),
        (("--engine", "no-such-model", "--", "true"), "--engine no-such-model"),
        (("--upstream", "http://127.0.0.1:9", "--", "no-such-program-here"), "no such program"),
        (("--upstream", "http://127.0.0.1:9", "--agent", "nobody", "--", "x"), "no agent"),
        (("--upstream", "http://127.0.0.1:9", "--env", "NOT_SET", "--", "true"), "NOT_SET"),
        (("--upstream", "http://127.0.0.1:9", "-C", "/no/dir", "--", "true"), "/no/dir"),
        (("--upstream", "http://127.0.0.1:9", "-o", "/no/dir/t", "--", "true"), "/no/dir/t"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], message: str, project: Path) -> None:
    done = subprocess.run(
        [*CCPA, *words], cwd=project, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in project.iterdir()] == ["a.txt"]


def test_a_local_engine_can_be_the_model(project: Path, trace: Path, tmp_path: Path) -> None:
    home = tmp_path / "apr"
    done = run(
        *("-o", trace, "-C", project, "--engine", "demo", "--env", "KEY=k", "--"),
        *AGENT,
        APR_HOME=str(home),
    )
    assert done.returncode in (0, 1), done.stderr  # the demo model may want to use a tool
    answers = [record for record in valid(trace) if isinstance(record, AssistantTurn)]
    assert len(answers) == 1
    assert answers[0].usage is not None
    assert list((home / "engine").glob("*.json")) == []  # it has ended


def written(folder: Path, *turns: AssistantTurn) -> Path:
    path = folder / "script.jsonl"
    path.write_bytes(b"".join(map(encode, [prompt("go"), *turns])))
    return path
