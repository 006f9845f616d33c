"""`python -m ccpa.scripted`, as a process of its own."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa import trace
from tests.ccpa.scripted.talk import calls, messages, prompt, results, said, says, text, user

RECORDS = [
    prompt("Read /workspace/a."),
    calls(("toolu_r", "Read", {"file_path": "/workspace/a"})),
    says("Read.", 3),
]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "run.ccpa-trace.jsonl"
    path.write_bytes(b"".join(map(trace.encode, RECORDS)))
    return path


def start(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ccpa.scripted", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(
    recording: Path, tmp_path: Path, number: signal.Signals
) -> None:
    log = tmp_path / "requests.jsonl"
    paths = ("--path", "/workspace=/tmp/x", "--tool", "Read=read_file", "--log", log)
    process = start(recording, *paths)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    first = messages(url, user("Read /tmp/x/a."), tools=("read_file",))
    again = [user("Read /tmp/x/a."), said(first), results("toolu_r")]
    assert text(messages(url, *again)) == "Read."
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    assert first["content"][0]["name"] == "read_file"
    assert first["content"][0]["input"] == {"file_path": "/tmp/x/a"}
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(entry["number"], entry["outcome"], entry["turn"]) for entry in logged] == [
        (1, "turn", 0),
        (2, "turn", 1),
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_what_cannot_be_logged_is_served_all_the_same(recording: Path) -> None:
    process = start(recording, "--log", "/dev/full")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert messages(url, user("Read /workspace/a."))["stop_reason"] == "tool_use"
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert err.startswith("ccpa.scripted: request 1 is not logged: ")


def test_findings_are_told_and_gate(recording: Path) -> None:
    process = start(recording)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    messages(url, user("Something else."))
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert [json.loads(line)["category"] for line in out.splitlines()] == [
        "extraneous_llm_call",
        "missing_llm_call",
        "missing_llm_call",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nowhere.jsonl",), "cannot be read"),
        (("{}", "--path", "/workspace"), "needs the form RECORDED=ACTUAL"),
        (("{}", "--path", "/workspace=/a b"), "a shell would take it apart"),
        (("{}", "--log", "/nowhere/log"), "cannot serve"),
        (("{}", "--port", "99999"), "port"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(
    recording: Path, words: tuple[str, ...], told: str
) -> None:
    process = start(*(word.format(recording) for word in words))
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1
