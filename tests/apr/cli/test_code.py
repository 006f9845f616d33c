"""`apr code` end to end: a real process, a scripted model over real HTTP, a real project."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import (
    AssistantTurn,
    SessionEnd,
    SessionStart,
    ToolResult,
    UserPrompt,
)
from tests.apr.program import apr, calls, environment, problems, records, says, start_apr

READ = calls(("Read", {"file_path": "src/calc.py"}), text="I read the file first.")
FIX = {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}
EDIT = calls(("Edit", FIX), first=2)
TASK = [READ, EDIT, says("Fixed: add now adds.")]
ACCEPT = ("--permission-mode", "acceptEdits")
FOREVER = f"sleep 1000.{os.getpid()}"  # told apart from those of other test runs


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "run.ccpa-trace.jsonl"


def test_a_task_is_done_and_every_action_is_in_the_trace(
    home: Path, project: Path, trace: Path
) -> None:
    model = ScriptedModel(TASK)
    with serving(model) as url:
        done = apr(
            *("code", "--base-url", url, "--model", "m", "--emit-trace", trace, *ACCEPT, "fix add"),
            home=home,
            cwd=project,
        )
    assert done.returncode == 0, done.stderr
    assert (project / "src/calc.py").read_text() == "def add(a, b):\n    return a + b\n"
    assert done.stdout == "I read the file first.\nFixed: add now adds.\n"
    start, prompt, read, read_result, edit, edit_result, answer, end = records(trace)
    assert isinstance(start, SessionStart)
    assert (start.actor, start.model, start.permission_mode) == ("apr-code", "m", "acceptEdits")
    assert prompt == UserPrompt(v=1, turn=0, text="fix add")
    assert isinstance(read, AssistantTurn)
    assert read.blocks == READ.blocks
    assert read.usage == READ.usage
    assert isinstance(read_result, ToolResult)
    assert read_result.content == "1\tdef add(a, b):\n2\t    return a - b"
    assert read_result.side_effects is not None
    assert read_result.side_effects.files_read == ["src/calc.py"]
    assert isinstance(edit, AssistantTurn)
    assert isinstance(edit_result, ToolResult)
    assert edit_result.ok
    assert edit_result.side_effects is not None
    assert edit_result.side_effects.files_written == ["src/calc.py"]
    assert isinstance(answer, AssistantTurn)
    assert answer.stop_reason == "end_turn"
    assert isinstance(end, SessionEnd)
    assert (end.turn, end.stop_reason, end.tokens_in, end.tokens_out) == (5, "end_turn", 300, 30)
    assert end.elapsed_ms is not None
    assert end.elapsed_ms > 0
    assert problems(trace) == []


def test_the_working_tree_is_named_as_git_names_it(home: Path, project: Path, trace: Path) -> None:
    before = git_tree(project, home)
    with serving(ScriptedModel(TASK)) as url:
        apr(
            *("code", "--base-url", url, "--emit-trace", trace, *ACCEPT, "fix add"),
            home=home,
            cwd=project,
        )
    start, *_, end = records(trace)
    assert isinstance(start, SessionStart)
    assert isinstance(end, SessionEnd)
    assert start.cwd_sha256 == before
    assert end.cwd_sha256_after == git_tree(project, home) != before


def git_tree(project: Path, home: Path) -> str:
    """Ask git itself, in a repository of its own over the same files."""
    repository = home / f"repository-{time.monotonic_ns()}"
    env = environment(home) | {"GIT_DIR": str(repository), "GIT_WORK_TREE": str(project)}

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=project, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "--quiet", "--object-format=sha256")
    git("add", "-A")
    return git("write-tree")


def test_a_trace_inside_the_project_is_no_part_of_it(home: Path, project: Path) -> None:
    before = git_tree(project, home)
    with serving(ScriptedModel([says("Nothing to do.")])) as url:
        apr("code", "--base-url", url, "--emit-trace", "run.jsonl", "hi", home=home, cwd=project)
    start, *_, end = records(project / "run.jsonl")
    assert isinstance(start, SessionStart)
    assert isinstance(end, SessionEnd)
    assert start.cwd_sha256 == end.cwd_sha256_after == before


def test_the_prompt_may_come_through_standard_input(home: Path, project: Path) -> None:
    model = ScriptedModel([says("one"), says("two")])
    with serving(model) as url:
        apr("code", "--base-url", url, home=home, cwd=project, stdin="from the pipe")
        apr("code", "-p", "look at", "--base-url", url, home=home, cwd=project, stdin="a diff")
    prompts = [request["messages"][-1]["content"] for request in model.requests]
    assert prompts[0].endswith("\n\nfrom the pipe")
    assert prompts[1].endswith("\n\nlook at\n\na diff")


def test_a_pipe_that_nothing_comes_through_does_not_hang_the_run(home: Path, project: Path) -> None:
    receiving, _sending = os.pipe()
    with serving(ScriptedModel([says("Hello.")])) as url:
        done = subprocess.run(
            [*("apr", "code", "--base-url", url, "hi")],
            cwd=project,
            env=environment(home),
            stdin=receiving,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.stdout == "Hello.\n"
    assert "nothing came through standard input" in done.stderr


@pytest.mark.parametrize("stdin", [None, "", " \n"])
def test_a_run_without_a_task_says_how_to_give_one(
    home: Path, project: Path, stdin: str | None
) -> None:
    done = apr("code", "--model", "demo", home=home, cwd=project, stdin=stdin)
    assert done.returncode == 2
    assert "what is the task?" in done.stderr


def test_a_result_as_json(home: Path, project: Path) -> None:
    with serving(ScriptedModel(TASK)) as url:
        done = apr(
            *("code", "--base-url", url, "--model", "m", *ACCEPT, "--output-format", "json", "fix"),
            home=home,
            cwd=project,
        )
    result = json.loads(done.stdout)
    assert result["type"] == "result"
    assert result["subtype"] == "success"
    assert result["is_error"] is False
    assert result["result"] == "Fixed: add now adds."
    assert result["num_turns"] == 3
    assert result["usage"] == {
        "input_tokens": 120,
        "output_tokens": 30,
        "cache_read_input_tokens": 180,
        "cache_creation_input_tokens": 0,
    }
    assert result["permission_denials"] == []


def test_what_needs_consent_is_denied_told_to_the_model_and_listed(
    home: Path, project: Path, trace: Path
) -> None:
    outside = {"file_path": "/etc/hostname"}
    script = [
        calls(("Bash", {"command": "touch made"}), ("Read", outside)),
        READ,
        calls(("Edit", FIX), first=3),
        says("I may not."),
    ]
    model = ScriptedModel(script)
    with serving(model) as url:
        done = apr(
            *("code", "--base-url", url, "--emit-trace", trace, "--output-format", "json", "fix"),
            home=home,
            cwd=project,
        )
    assert done.returncode == 0
    denials = json.loads(done.stdout)["permission_denials"]
    assert [denial["tool_name"] for denial in denials] == ["Bash", "Read", "Edit"]
    assert not (project / "made").exists()
    results = [record for record in records(trace) if isinstance(record, ToolResult)]
    assert [result.denied_by for result in results] == ["mode", "mode", None, "mode"]
    assert model.requests[1]["messages"][-1]["content"].startswith("Permission denied.")


def test_a_link_inside_the_project_does_not_lead_out_of_it(home: Path, project: Path) -> None:
    secret = home / "secret.txt"
    secret.write_text("hunter2")
    (project / "innocent.txt").symlink_to(secret)
    script = [
        calls(("Read", {"file_path": "innocent.txt"})),
        calls(("Write", {"file_path": "innocent.txt", "content": "x"}), first=2),
        calls(("Grep", {"pattern": "hunter", "path": "."}), first=3),
        says("No."),
    ]
    model = ScriptedModel(script)
    with serving(model) as url:
        apr("code", "--base-url", url, *ACCEPT, "go", home=home, cwd=project)
    said = json.dumps(model.requests[-1]["messages"])
    assert "hunter2" not in said
    assert secret.read_text() == "hunter2"


def test_a_search_does_not_tell_what_may_not_be_read(home: Path, project: Path) -> None:
    (project / "src" / "secrets").mkdir()
    (project / "src" / "secrets" / "key.txt").write_text("hunter2\n")
    (project / "src" / "open.txt").write_text("hunter gatherers\n")
    searches: list[tuple[str, dict[str, object]]] = [
        ("Grep", {"pattern": "hunter", "output_mode": "content"}),
        ("Grep", {"pattern": "hunter", "path": "src", "glob": "*.txt"}),
        ("Glob", {"pattern": "**/*.txt"}),
        ("Glob", {"pattern": "*.txt", "path": "src"}),
        ("Glob", {"pattern": "*.txt", "path": "src/secrets"}),
        ("Read", {"file_path": "src/secrets/key.txt"}),
    ]
    model = ScriptedModel([calls(*searches), says("No.")])
    with serving(model) as url:
        words = ("--disallowedTools", "Read(./src/secrets/**)", "go")
        apr("code", "--base-url", url, *words, home=home, cwd=project)
    told = [m["content"] for m in model.requests[1]["messages"] if m["role"] == "tool"]
    assert all("open.txt" in text for text in told[:4])
    assert not any("hunter2" in text or "key.txt" in text for text in told)


def test_rules_allow_and_forbid(home: Path, project: Path) -> None:
    script = [
        calls(("Bash", {"command": "echo one > one"}), ("Bash", {"command": "touch two"})),
        says("Done."),
    ]
    with serving(ScriptedModel(script)) as url:
        apr(
            *("code", "--base-url", url, "--allowedTools", "Bash", "--disallowedTools"),
            *("Bash(touch:*)", "go"),
            home=home,
            cwd=project,
        )
    assert (project / "one").exists()
    assert not (project / "two").exists()


def test_a_tool_that_is_forbidden_altogether_is_not_offered(home: Path, project: Path) -> None:
    model = ScriptedModel([says("Hello.")])
    with serving(model) as url:
        apr(
            "code",
            "--base-url",
            url,
            "--disallowedTools",
            "Bash,Write",
            "hi",
            home=home,
            cwd=project,
        )
    offered = [tool["function"]["name"] for tool in model.requests[0]["tools"]]
    assert "Read" in offered
    assert not {"Bash", "Write"} & set(offered)


def test_calls_that_cannot_run_are_told_to_the_model_and_the_run_goes_on(
    home: Path, project: Path
) -> None:
    script = [
        calls(("Compile", {}), ("Read", {"path": "x"}), ("Read", {"file_path": "missing.py"})),
        says("I see."),
    ]
    model = ScriptedModel(script)
    with serving(model) as url:
        done = apr("code", "--base-url", url, "go", home=home, cwd=project)
    assert done.returncode == 0
    told = [m["content"] for m in model.requests[1]["messages"] if m["role"] == "tool"]
    assert all(text.startswith("<tool_use_error>") for text in told)
    assert "no tool named 'Compile'" in told[0]
    assert "file_path" in told[1]
    assert "missing.py" in told[2]


def test_a_run_ends_after_its_last_allowed_turn(home: Path, project: Path, trace: Path) -> None:
    with serving(ScriptedModel(TASK)) as url:
        done = apr(
            *("code", "--base-url", url, "--max-turns", "2", "--output-format", "json"),
            *("--emit-trace", trace, "fix"),
            home=home,
            cwd=project,
        )
    assert done.returncode == 1
    assert json.loads(done.stdout)["subtype"] == "error_max_turns"
    end = records(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert end.stop_reason == "error"
    assert problems(trace) == []


def test_an_answer_cut_at_the_token_limit_ends_the_session_so(
    home: Path, project: Path, trace: Path
) -> None:
    with serving(ScriptedModel([says("Once upon a ti", stop="max_tokens")])) as url:
        apr("code", "--base-url", url, "--emit-trace", trace, "tell", home=home, cwd=project)
    end = records(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert end.stop_reason == "max_tokens"


def test_a_server_that_fails_is_an_error_of_the_run(home: Path, project: Path, trace: Path) -> None:
    with serving(ScriptedModel([READ])) as url:
        done = apr("code", "--base-url", url, "--emit-trace", trace, "go", home=home, cwd=project)
    assert done.returncode == 1
    assert "not in the recording" in done.stderr
    assert "Traceback" not in done.stderr
    end = records(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert end.stop_reason == "error"
    assert "not in the recording" in (end.error or "")


def test_a_server_that_is_not_there_is_named(home: Path, project: Path) -> None:
    done = apr("code", "--base-url", "http://127.0.0.1:9/v1", "go", home=home, cwd=project)
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr


@pytest.mark.parametrize("model", [("--model", "no-such-model"), ("--model", "/no/such.gguf"), ()])
def test_a_missing_model_has_its_own_exit_code_and_says_what_to_do(
    home: Path, project: Path, model: tuple[str, ...]
) -> None:
    done = apr("code", *model, "go", home=home, cwd=project)
    assert done.returncode == 3
    assert "--model demo" in done.stderr
    assert "--base-url" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--api-key-env", "NOT_SET", "--base-url", "http://127.0.0.1:9", "go"),
        ("--api-key-env", "HOME", "--model", "demo", "go"),
        ("--base-url", "localhost:80", "go"),
        ("--base-url", "ftp://127.0.0.1/v1", "go"),
        ("--base-url", "http://127.0.0.1:99999/v1", "go"),
        ("--project", "/no/such/folder", "go"),
        ("--allowedTools", "Bash(", "--model", "demo", "go"),
        ("--max-turns", "0", "go"),
        ("--no-such-option",),
    ],
)
def test_wrong_usage_exits_with_2_and_no_traceback(
    home: Path, project: Path, words: tuple[str, ...]
) -> None:
    done = apr("code", *words, home=home, cwd=project)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_the_key_is_taken_from_the_named_variable_alone(home: Path, project: Path) -> None:
    model = ScriptedModel([says("Hello."), says("Hello.")])
    with serving(model) as url:
        words = ["apr", "code", "--base-url", url, "hi"]
        for extra in ([], ["--api-key-env", "MY_KEY"]):
            env = environment(home) | {"MY_KEY": "k-123", "OPENAI_API_KEY": "not this"}
            subprocess.run(
                words + extra, cwd=project, env=env, stdin=subprocess.DEVNULL, check=True
            )
    assert [headers.get("authorization") for headers in model.headers] == [None, "Bearer k-123"]


def test_the_key_is_out_of_reach_of_what_the_model_runs(home: Path, project: Path) -> None:
    model = ScriptedModel([calls(("Bash", {"command": "echo key=$MY_KEY"})), says("Done.")])
    with serving(model) as url:
        words = ["apr", "code", "--base-url", url, "--api-key-env", "MY_KEY"]
        subprocess.run(
            [*words, "--allowedTools", "Bash", "hi"],
            cwd=project,
            env=environment(home) | {"MY_KEY": "k-123"},
            stdin=subprocess.DEVNULL,
            check=True,
        )
    assert model.requests[1]["messages"][-1]["content"] == "key="


def test_a_trace_that_cannot_be_written_is_a_warning(home: Path, project: Path) -> None:
    with serving(ScriptedModel([says("Hello.")])) as url:
        done = apr(
            "code", "--base-url", url, "--emit-trace", "no/such/dir/t", "hi", home=home, cwd=project
        )
    assert done.returncode == 0
    assert done.stdout == "Hello.\n"
    assert "no/such/dir/t" in done.stderr


def test_version_2_holds_nothing_of_version_3(home: Path, project: Path, trace: Path) -> None:
    with serving(ScriptedModel(TASK)) as url:
        apr(
            *("code", "--base-url", url, "--emit-trace", trace, "--trace-version", "2", "fix"),
            home=home,
            cwd=project,
        )
    assert len(records(trace)) == 8
    assert problems(trace, version=2) == []


def wait_for_lines(trace: Path, wanted: int) -> None:
    deadline = time.monotonic() + 30
    while not trace.exists() or trace.read_bytes().count(b"\n") < wanted:
        assert time.monotonic() < deadline, f"{trace} never had {wanted} lines"
        time.sleep(0.002)


@pytest.mark.parametrize("at", range(1, 9))
def test_killed_at_any_record_the_trace_is_a_valid_prefix(
    home: Path, project: Path, trace: Path, at: int
) -> None:
    with serving(ScriptedModel(TASK)) as url:
        words = ("code", "--base-url", url, "--emit-trace", trace, *ACCEPT, "fix")
        process = start_apr(*words, home=home, cwd=project)
        wait_for_lines(trace, at)
        process.kill()
        process.communicate()
    assert len(records(trace)) >= at
    assert problems(trace, prefix=True) == []


def test_ctrl_c_ends_a_running_command_and_the_trace_in_order(
    home: Path, project: Path, trace: Path
) -> None:
    script = [calls(("Bash", {"command": f"echo $$ > pid; {FOREVER}"})), says("unreached")]
    with serving(ScriptedModel(script)) as url:
        process = start_apr(
            *("code", "--base-url", url, "--emit-trace", trace, "--allowedTools", "Bash", "go"),
            home=home,
            cwd=project,
        )
        wait_until(lambda: (project / "pid").exists() and (project / "pid").read_text() != "")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "apr: interrupted"
    assert stderr.count("apr: interrupted") == 1
    wait_until(lambda: not alive(int((project / "pid").read_text())))
    result, end = records(trace)[-2:]
    assert isinstance(result, ToolResult)
    assert not result.ok
    assert isinstance(end, SessionEnd)
    assert (end.stop_reason, end.error) == ("error", "interrupted")
    assert problems(trace) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_model_speaks_ends_the_session(
    home: Path, project: Path, trace: Path, number: signal.Signals
) -> None:
    model = ScriptedModel([says("a long answer that is never said to its end")])
    with serving(model) as url:
        model.pause_after = 2
        words = ("code", "--base-url", url, "--emit-trace", trace, "go")
        process = start_apr(*words, home=home, cwd=project)
        assert process.stdout is not None
        assert process.stdout.read(6) == "a long"
        process.send_signal(number)
        rest = process.stdout.read()
        process.communicate(timeout=30)
        model.go_on()
    assert process.returncode == 130
    assert rest.endswith("\n")
    assert [type(record).__name__ for record in records(trace)] == [
        "SessionStart",
        "UserPrompt",
        "SessionEnd",
    ]
    assert problems(trace) == []


def test_a_background_shell_does_not_outlive_the_run(home: Path, project: Path) -> None:
    command = {"command": f"echo $$ > pid; {FOREVER}", "run_in_background": True}
    script = [
        calls(("Bash", command)),
        calls(("Bash", {"command": "until [ -s pid ]; do sleep 0.01; done"}), first=2),
        says("Started."),
    ]
    with serving(ScriptedModel(script)) as url:
        done = apr(
            "code", "--base-url", url, "--allowedTools", "Bash", "go", home=home, cwd=project
        )
    assert done.returncode == 0
    wait_until(lambda: not alive(int((project / "pid").read_text())))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_text_appears_while_it_is_generated(home: Path, project: Path) -> None:
    """The model stops in mid-answer until we have seen the first half."""
    model = ScriptedModel([says("first half, second half")])
    with serving(model) as url:
        model.pause_after = 2
        process = start_apr("code", "--base-url", url, "go", home=home, cwd=project)
        assert process.stdout is not None
        seen = process.stdout.read(10)
        assert seen == "first half"
        model.go_on()
        rest = process.stdout.read()
        process.communicate(timeout=30)
    assert seen + rest == "first half, second half\n"


def test_escape_sequences_of_a_model_stay_out_of_the_notes(home: Path, project: Path) -> None:
    script = [calls(("Bash", {"command": "\x1b]0;owned\x07ls"})), says("Done.")]
    with serving(ScriptedModel(script)) as url:
        done = apr(
            "code", "--base-url", url, "--allowedTools", "Bash", "go", home=home, cwd=project
        )
    assert "\x1b" not in done.stderr
    assert "\\x1b]0;owned" in done.stderr


def test_the_reader_of_our_output_may_leave(home: Path, project: Path) -> None:
    with serving(ScriptedModel([says("word " + " ".join(map(str, range(50_000))))])) as url:
        command = f"apr code --base-url {url} go | head -c 5"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=project,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "word "
    assert done.stderr == ""


@pytest.fixture(autouse=True)
def _nobody_left_behind() -> Iterator[None]:
    yield
    done = subprocess.run(["pgrep", "-f", FOREVER], capture_output=True, check=False)
    assert done.returncode == 1, done.stdout
