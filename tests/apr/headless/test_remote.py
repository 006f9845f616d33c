"""The lines in and out, by hand: what programs send that no SDK would, and how runs end."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import SessionEnd
from tests.apr.headless.speaking import FLAGS, Talk, encoded, prompt, request, run
from tests.apr.program import APR, apr, calls, environment, problems, records, says

ASK = ("--permission-prompt-tool", "stdio")
WRITE = {"file_path": "new.txt", "content": "hello\n"}


def kinds(lines: list[dict[str, Any]]) -> list[str]:
    return [line["type"] for line in lines]


def test_prompts_are_worked_on_until_the_input_ends(home: Path, project: Path) -> None:
    with serving(ScriptedModel([says("one"), says("two")])) as url:
        code, lines, err = run(url, home, project, encoded([prompt("first"), prompt("second")]))
    assert (code, err) == (0, "")
    assert kinds(lines) == ["system", "assistant", "result"] * 2
    assert [line["result"] for line in lines if line["type"] == "result"] == ["one", "two"]
    assert len({line["uuid"] for line in lines}) == len(lines)


def test_the_meter_reads_what_is_written_as_what_has_happened(
    home: Path, project: Path, tmp_path: Path
) -> None:
    script = [calls(("Read", {"file_path": "README.md"}), text="Let me see."), says("It adds.")]
    own, imported = tmp_path / "own.jsonl", tmp_path / "imported.jsonl"
    with serving(ScriptedModel(script)) as url:
        words = ("--replay-user-messages", "--emit-trace", str(own))
        _, lines, _ = run(url, home, project, encoded([prompt("what is it?")]), *words)
    (tmp_path / "stream.jsonl").write_bytes(encoded(lines))
    ccpa = Path(APR).with_name("ccpa")
    given: list[str | Path] = [
        "import",
        "claude-stream-json",
        tmp_path / "stream.jsonl",
        "-o",
        imported,
    ]
    subprocess.run([ccpa, *given], check=True, capture_output=True, env=environment(home))
    told, happened = records(imported), records(own)
    assert [type(record) for record in told] == [type(record) for record in happened]
    for one, other in zip(told[1:-1], happened[1:-1], strict=True):
        for field in ("text", "blocks", "usage", "content", "ok"):
            assert getattr(one, field, None) == getattr(other, field, None)


def test_a_program_that_leaves_while_it_is_asked_ends_the_run_in_order(
    home: Path, project: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "run.jsonl"
    script = [calls(("Write", WRITE)), says("I could not ask."), says("never")]
    with serving(ScriptedModel(script)) as url:
        talk = Talk(url, home, project, *ASK, "--emit-trace", str(trace))
        talk.say(prompt("write"))
        talk.until("control_request")
        assert talk.process.stdout is not None
        talk.process.stdout.close()
        talk.say(request("mcp_status"))
        assert talk.process.wait(timeout=30) == 1
        assert talk.process.stderr is not None
        assert talk.process.stderr.read() == b""
    assert isinstance(records(trace)[-1], SessionEnd)
    assert problems(trace) == []
    assert not (project / "new.txt").exists()


def test_no_prompt_is_no_error(home: Path, project: Path) -> None:
    with serving(ScriptedModel([])) as url:
        assert run(url, home, project, b"\n \n") == (0, [], "")


def test_a_last_line_that_is_whole_counts_without_its_line_break(home: Path, project: Path) -> None:
    with serving(ScriptedModel([says("one")])) as url:
        code, lines, _ = run(url, home, project, encoded([prompt("first")]).rstrip())
    assert code == 0
    assert lines[-1]["result"] == "one"


def test_half_a_line_at_the_end_is_left_out(home: Path, project: Path) -> None:
    given = encoded([prompt("first")]) + b'{"type": "user", "message": {"role": "us'
    with serving(ScriptedModel([says("one")])) as url:
        code, lines, err = run(url, home, project, given)
    assert (code, err) == (0, "")
    assert [line["result"] for line in lines if line["type"] == "result"] == ["one"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "malformed"),
        (b'{"type": "user", "message": {"role": "user", "content": ""}}', "empty"),
    ],
)
def test_a_line_that_is_none_ends_the_run_and_is_shown(
    home: Path, project: Path, line: bytes, reason: str
) -> None:
    with serving(ScriptedModel([])) as url:
        code, lines, err = run(url, home, project, line + b"\n")
    assert (code, lines) == (2, [])
    assert err.startswith("apr: ")
    assert reason in err
    assert len(err) < 400
    assert "Traceback" not in err


def test_a_bad_line_ends_the_work_that_is_going_on(
    home: Path, project: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "run.jsonl"
    model = ScriptedModel([says("a long answer that is never said to its end")])
    with serving(model) as url:
        model.pause_after = 2
        talk = Talk(url, home, project, "--include-partial-messages", "--emit-trace", str(trace))
        talk.say(prompt("tell"))
        talk.until("stream_event")
        talk.say("not a message")
        lines, err = talk.end()
        model.go_on()
    assert talk.process.returncode == 2
    assert "was not understood" in err
    assert lines[-1]["type"] == "result"
    assert lines[-1]["is_error"] is True
    end = records(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert problems(trace) == []


def test_prompts_are_repeated_where_that_is_wanted(home: Path, project: Path) -> None:
    mark = "11111111-1111-4111-8111-111111111111"
    with serving(ScriptedModel([says("one")])) as url:
        given = encoded([prompt("first", uuid=mark)])
        _, lines, _ = run(url, home, project, given, "--replay-user-messages")
    assert kinds(lines) == ["system", "user", "assistant", "result"]
    replayed = lines[1]
    assert replayed["message"] == {"role": "user", "content": "first"}
    assert (replayed["isReplay"], replayed["uuid"]) == (True, mark)
    assert replayed["session_id"] == lines[0]["session_id"]


def test_whether_it_works_is_told_where_that_is_wanted(home: Path, project: Path) -> None:
    script = [calls(("Write", WRITE)), says("one")]
    with serving(ScriptedModel(script)) as url:
        talk = Talk(url, home, project, *ASK, CLAUDE_CODE_SDK_READS_SESSION_STATE="1")
        talk.say(prompt("write"))
        asked = talk.until("control_request")
        allowed = {"behavior": "allow", "updatedInput": asked[-1]["request"]["input"]}
        answer = {"subtype": "success", "request_id": asked[-1]["request_id"], "response": allowed}
        talk.say({"type": "control_response", "response": answer})
        told = [*asked, *talk.until("result"), talk.hear()]
        rest, _ = talk.end()
    states = [line["state"] for line in told if line.get("subtype") == "session_state_changed"]
    assert states == ["running", "requires_action", "running", "idle"]
    assert told[-1]["sdk_host_only"] is True
    assert rest == []


def test_a_prompt_that_waits_keeps_the_session_running(home: Path, project: Path) -> None:
    with serving(ScriptedModel([says("one"), says("two")])) as url:
        _, lines, _ = run(
            url,
            home,
            project,
            encoded([prompt("first"), prompt("second")]),
            CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS="1",
        )
    states = [line for line in lines if line.get("subtype") == "session_state_changed"]
    assert [line["state"] for line in states] == ["running", "idle"]
    assert not any("sdk_host_only" in line for line in states)


def test_every_request_is_answered_and_an_unknown_one_refused(home: Path, project: Path) -> None:
    with serving(ScriptedModel([])) as url:
        talk = Talk(url, home, project)
        talk.say(request("initialize", "a"), request("initialize", "b"), request("dance", "c"))
        talk.say(request("set_model", "d", model=5), {"type": "keep_alive"})
        talk.say(request("interrupt", "e"))
        answers = [talk.hear()["response"] for _ in range(5)]
        rest, err = talk.end()
    assert [answer["request_id"] for answer in answers] == ["a", "b", "c", "d", "e"]
    subtypes = [answer["subtype"] for answer in answers]
    assert subtypes == ["success", "error", "error", "error", "success"]
    assert "'dance' cannot be asked for here" in answers[2]["error"]
    assert (talk.process.returncode, rest, err) == (0, [], "")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"hooks": 5}, "hooks"),
        ({"agents": {"a": {"prompt": "p"}}}, "description"),
    ],
)
def test_a_session_that_cannot_be_is_refused(
    home: Path, project: Path, wanted: dict[str, Any], reason: str
) -> None:
    with serving(ScriptedModel([])) as url:
        code, lines, err = run(url, home, project, encoded([request("initialize", **wanted)]))
    (answer,) = lines
    assert reason in answer["response"]["error"]
    assert code == 2
    assert reason in err


def test_nobody_is_asked_who_has_closed_their_side(home: Path, project: Path) -> None:
    model = ScriptedModel([calls(("Write", WRITE)), says("I may not.")])
    with serving(model) as url:
        code, lines, _ = run(url, home, project, encoded([prompt("write")]), *ASK)
    assert code == 0
    assert lines[-1]["result"] == "I may not."
    assert "could not be asked" in model.requests[1]["messages"][-1]["content"]
    assert not (project / "new.txt").exists()


def test_a_question_that_is_waited_for_in_vain_is_withdrawn(home: Path, project: Path) -> None:
    with serving(ScriptedModel([calls(("Write", WRITE))])) as url:
        talk = Talk(url, home, project, *ASK)
        talk.say(prompt("write"))
        asked = talk.until("control_request")[-1]
        talk.say(request("interrupt"))
        lines = talk.until("result")
        late = {"behavior": "allow", "updatedInput": WRITE}
        answer = {"subtype": "success", "request_id": asked["request_id"], "response": late}
        talk.say({"type": "control_response", "response": answer})
        rest, err = talk.end()
    withdrawn = [line for line in lines if line["type"] == "control_cancel_request"]
    assert [line["request_id"] for line in withdrawn] == [asked["request_id"]]
    assert not (project / "new.txt").exists()
    assert (rest, err) == ([], "")


@pytest.mark.parametrize(
    "answer",
    [
        {"behavior": "perhaps"},
        {
            "behavior": "allow",
            "updatedPermissions": [{"type": "setMode", "destination": "session", "mode": "auto"}],
        },
    ],
)
def test_an_answer_that_is_not_understood_is_no_consent(
    home: Path, project: Path, answer: dict[str, Any]
) -> None:
    with serving(ScriptedModel([calls(("Write", WRITE)), says("No.")])) as url:
        talk = Talk(url, home, project, *ASK)
        talk.say(prompt("write"))
        asked = talk.until("control_request")[-1]
        said = {"subtype": "success", "request_id": asked["request_id"], "response": answer}
        talk.say({"type": "control_response", "response": said})
        result = talk.until("result")[-1]
        talk.end()
    assert len(result["permission_denials"]) == 1
    assert not (project / "new.txt").exists()


def test_who_reads_no_more_ends_the_run_quietly_and_in_order(
    home: Path, project: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "run.jsonl"
    script = [says("a"), calls(("Bash", {"command": "true"})), says("never")]
    with serving(ScriptedModel(script)) as url:
        words = ("--emit-trace", str(trace), "--allowedTools", "Bash")
        talk = Talk(url, home, project, *words)
        talk.say(prompt("first"))
        talk.until("result")
        assert talk.process.stdout is not None
        talk.process.stdout.close()
        talk.say(prompt("second"))
        assert talk.process.wait(timeout=30) == 1
        assert talk.process.stderr is not None
        assert talk.process.stderr.read() == b""
    end = records(trace)[-1]
    assert isinstance(end, SessionEnd)
    assert end.error == "interrupted"
    assert problems(trace) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_session_with_a_result(
    home: Path, project: Path, number: signal.Signals
) -> None:
    model = ScriptedModel([says("a long answer that is never said to its end")])
    with serving(model) as url:
        model.pause_after = 2
        talk = Talk(url, home, project, "--include-partial-messages")
        talk.say(prompt("tell"))
        talk.until("stream_event")
        talk.process.send_signal(number)
        result = talk.until("result")[-1]
        _, err = talk.end()
        model.go_on()
    assert result["terminal_reason"] == "aborted_streaming"
    assert talk.process.returncode == 130
    assert err == "apr: interrupted\n"


def test_killed_in_the_middle_every_line_but_the_last_is_whole(home: Path, project: Path) -> None:
    model = ScriptedModel([says("word " * 200), says("unreached")])
    with serving(model) as url:
        model.pause_after = 100
        talk = Talk(url, home, project, "--include-partial-messages")
        talk.say(prompt("tell"))
        for _ in range(20):
            talk.hear()
        talk.process.kill()
        assert talk.process.stdout is not None
        out = talk.process.stdout.read()
        talk.end()
        model.go_on()
    assert all(json.loads(line) for line in out.split(b"\n")[:-1])


def test_input_may_be_a_file(home: Path, project: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_bytes(encoded([prompt("first"), prompt("second")]))
    with (
        serving(ScriptedModel([says("one"), says("two")])) as url,
        (tmp_path / "prompts.jsonl").open("rb") as given,
    ):
        done = subprocess.run(
            [APR, *FLAGS, "--base-url", url],
            cwd=project,
            env=environment(home),
            stdin=given,
            capture_output=True,
            check=True,
            timeout=30,
        )
    assert done.stdout.count(b'"type":"result"') == 2


def test_a_run_without_standard_input_ends(home: Path, project: Path) -> None:
    with serving(ScriptedModel([])) as url:
        command = f"exec {APR} {' '.join(FLAGS)} --base-url {url} <&-"
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=project,
            env=environment(home),
            capture_output=True,
            check=False,
            timeout=30,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_result_of_a_tool_is_cut_to_the_length_of_a_line(home: Path, project: Path) -> None:
    big = project / ".claude" / "settings.json"
    big.parent.mkdir()
    say = "import json; print(json.dumps({'decision': 'block', 'reason': 'x' * 3_000_000}))"
    hook = {"hooks": [{"type": "command", "command": f'python3 -c "{say}"'}]}
    big.write_text(json.dumps({"hooks": {"UserPromptSubmit": [hook]}}))
    with serving(ScriptedModel([says("Hello.")])) as url:
        words = ("--include-hook-events",)
        env = {"PATH": os.environ["PATH"]}
        _, lines, _ = run(url, home, project, encoded([prompt("hi")]), *words, **env)
    assert all(len(json.dumps(line)) <= 1 << 20 for line in lines)
    assert lines[-1]["type"] == "result"


def test_options_alone_are_those_of_apr_code(home: Path, project: Path) -> None:
    with serving(ScriptedModel([says("Hello.")])) as url:
        done = apr("--base-url", url, "-p", "hi", home=home, cwd=project)
    assert (done.returncode, done.stdout) == (0, "Hello.\n")


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_the_version_is_told_as_the_sdk_reads_it(home: Path, project: Path, flag: str) -> None:
    done = apr(flag, home=home, cwd=project)
    assert done.returncode == 0
    assert done.stdout.startswith("apr 0.")


@pytest.mark.parametrize("words", [("nonsense",), ("--model", "x", "--nonsense")])
def test_wrong_words_are_still_wrong(home: Path, project: Path, words: tuple[str, ...]) -> None:
    done = apr(*words, home=home, cwd=project)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
