"""Sessions taken up at a terminal: chosen, shown where they stopped, also after a crash."""

import fcntl
import json
import os
import signal
import time
from pathlib import Path

import pytest

from apr.agent.events import Remembered
from apr.providers.base import AssistantMessage, UserMessage
from apr.sessions.writer import SessionWriter
from ccpa.trace import AssistantTurn, TextBlock, UserPrompt
from tests.apr.program import apr, calls, problems, says
from tests.apr.terminal.conftest import Begin
from tests.apr.terminal.terminal import PATIENCE_S, Terminal

IDLE = "\n(?!.*…)m · .*\\s*\\Z"
OTHER = "01980f3a-5c9e-7b21-9d3c-0242ac120002"
PICKER = "Which session\\?(?s:.*)Enter takes it"


def stored(home: Path) -> list[Path]:
    """The files of the sessions, the oldest first."""
    return sorted((home / ".apr/projects").glob("*/*.jsonl"))


def keep(
    home: Path, root: Path, id_: str, prompt: str, answer: str, *, name: str | None = None
) -> Path:
    """Store a session as the program does."""
    os.environ["APR_HOME"] = str(home / ".apr")
    try:
        writer = SessionWriter(root, id_, model="m", warn=lambda _text: None)
        writer(UserPrompt(v=1, turn=0, text=prompt))
        writer(Remembered(UserMessage(prompt)))
        said = TextBlock(answer)
        writer(AssistantTurn(v=1, turn=1, blocks=[said], stop_reason="end_turn"))
        writer(Remembered(AssistantMessage((said,))))
        if name is not None:
            writer.call(name)
        writer.close()
    finally:
        del os.environ["APR_HOME"]
    return writer.path


def kill(terminal: Terminal) -> None:
    """End the program as a crash does."""
    terminal.process.send_signal(signal.SIGKILL)
    terminal.leave()


def until_there(path: Path) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.01)


def asked(terminal: Terminal) -> str:
    """What the model was asked last, in full."""
    return json.dumps(terminal.model.requests[-1]["messages"])


def test_a_session_is_searched_for_looked_at_and_gone_on_with(begin: Begin, project: Path) -> None:
    first = begin(says("It **adds**."))
    first.enter("what does add do?")
    first.until("It adds\\.")
    first.enter("/rename arithmetic")
    first.enter("/quit")
    first.leave()
    other = begin(says("Good day."))
    other.enter("greet me")
    other.until("Good day\\.")
    other.enter("/quit")
    other.leave()
    again = begin(says("And multiplies."), options=("--resume",), ready=PICKER)
    assert again.text().index("greet me") < again.text().index("arithmetic")
    again.type("arith")
    shown = again.until("1 of 1")
    assert "greet me" not in shown
    assert "> what does add do?" in shown
    assert "It **adds**." in shown
    again.type("\r")
    assert "It stopped" not in again.until("> what does add do\\?\\s+It adds\\.(?s:.*)\nm · ")
    again.enter("what else?")
    again.until("And multiplies\\.")
    assert "It **adds**." in asked(again)


def test_what_was_said_in_a_session_finds_it(begin: Begin, home: Path, project: Path) -> None:
    keep(home, project, "one", "a question", "an answer about walruses")
    keep(home, project, "two", "another question", "an answer")
    terminal = begin(options=("--resume",), ready=PICKER)
    terminal.type("walrus")
    terminal.until("nothing like that")
    terminal.type("\t")
    shown = terminal.until("1 of 1")
    assert "> a question" in shown


@pytest.mark.parametrize(
    ("key", "term"),
    [("\x1b", "xterm"), ("\x03", "xterm"), ("\x04", "xterm"), ("\r", "dumb")],
)
def test_who_wants_none_leaves_the_picker_and_the_program(
    begin: Begin, home: Path, project: Path, key: str, term: str
) -> None:
    keep(home, project, "one", "a question", "an answer")
    terminal = begin(options=("--resume",), env={"TERM": term}, ready="a question(?s:.*)leaves")
    terminal.type(key)
    assert terminal.leave() == 0
    assert "Traceback" not in terminal.text()


def test_without_a_session_there_is_nothing_to_choose(begin: Begin) -> None:
    terminal = begin(options=("--resume",), ready="there is no session of")
    assert terminal.leave() == 2


@pytest.mark.parametrize(
    ("size", "env"),
    [((80, 24), {}), ((80, 24), {"NO_COLOR": "1"}), ((30, 8), {}), ((12, 5), {})],
)
def test_names_of_strangers_are_shown_on_one_line_on_any_terminal(
    begin: Begin, home: Path, project: Path, size: tuple[int, int], env: dict[str, str]
) -> None:
    hostile = "a\x1b]0;owned\x07\x1b[2Jb\u202e" + "x" * 200 + "c\nd\r\te"
    for number in range(30):
        keep(
            home, project, f"s{number}", f"{number} {hostile}", hostile, name=f"{number} {hostile}"
        )
    terminal = begin(options=("--resume",), size=size, env=env, ready="Which sessi(?s:.*)> \\d+ a")
    assert b"\x1b]0;owned" not in terminal.raw
    assert b"\x1b[2J" not in terminal.raw
    assert "\u202e".encode() not in terminal.raw
    if size[0] == 80:
        assert "…  just now · 1 answer" in terminal.text()
    if "NO_COLOR" in env:
        assert b"\x1b[3" not in terminal.raw.replace(b"\x1b[39m", b"")
        assert b";9" not in terminal.raw
    terminal.type("\x1b[B\r")
    terminal.until("apr · m")


def test_a_dumb_terminal_is_asked_for_a_number(begin: Begin, home: Path, project: Path) -> None:
    keep(home, project, "one", "a question", "an answer")
    keep(home, project, "two", "something else", "an answer")
    terminal = begin(
        options=("--resume",), env={"TERM": "dumb"}, ready="1  something else(?s:.*)2  a question"
    )
    terminal.enter("question")
    terminal.until("1 in all")
    terminal.enter("1")
    terminal.until("> a question\\s+an answer")


def test_the_answer_that_was_being_given_when_it_crashed_is_asked_for_again(
    begin: Begin, home: Path
) -> None:
    first = begin(says("Once upon a time there was " + "a very long story " * 40))
    first.model.pause_after = 9
    first.enter("tell me a story")
    first.until("Once")
    kill(first)
    second = begin(says("In short: all is well."), options=("--continue",))
    second.until("> tell me a story(?s:.*)It stopped here")
    second.enter("go on")
    second.until("all is well\\.")
    assert "tell me a story" in second.asked()
    assert "go on" in second.asked()


def test_a_call_that_was_running_when_it_crashed_has_a_result_that_says_so(
    begin: Begin, home: Path, project: Path
) -> None:
    command = "touch started; sleep 600"
    hanging = calls(("Read", {"file_path": "README.md"}), ("Bash", {"command": command}))
    first = begin(hanging, options=("--permission-mode", "bypassPermissions"))
    first.enter("wait")
    until_there(project / "started")
    kill(first)
    second = begin(says("I see."), options=("--continue",))
    second.until("> wait(?s:.*)The session ended before this was done")
    second.enter("go on")
    second.until("I see\\.")
    second.until(IDLE)
    assert "It adds." in asked(second), "what was read before is known"
    assert "The session ended before this was done." in asked(second)
    kill(second)
    third = begin(says("I still see."), options=("--continue",))
    third.enter("go on")
    third.until("I still see\\.")
    assert asked(third).count("The session ended before this was done.") == 1
    third.enter("/quit")
    third.leave()
    (session,) = stored(home)
    exported = apr("sessions", "export", session.stem, home=home, cwd=project)
    trace = project / "run.ccpa-trace.jsonl"
    trace.write_text(exported.stdout)
    assert problems(trace) == []


def test_a_line_that_was_being_written_when_it_crashed_is_left_out(
    begin: Begin, home: Path
) -> None:
    first = begin(says("First answer."), says("Second answer."))
    first.enter("first question")
    first.until("First answer\\.")
    first.enter("second question")
    first.until("Second answer\\.")
    first.until(IDLE)
    kill(first)
    (session,) = stored(home)
    whole = session.read_bytes()
    session.write_bytes(whole[: whole.rindex(b"Second answer") + 3])
    second = begin(says("Third answer."), options=("--continue",))
    second.until("> second question(?s:.*)Second answer\\.")  # its record had come before
    second.enter("third question")
    second.until("Third answer\\.")
    assert "First answer." in asked(second)


def test_another_session_is_gone_on_with_without_leaving(
    begin: Begin, home: Path, project: Path, tmp_path: Path
) -> None:
    log = tmp_path / "hooks.txt"
    hooks = {
        event: [{"hooks": [{"type": "command", "command": f"echo {event} >> {log}"}]}]
        for event in ("SessionStart", "SessionEnd")
    }
    settings = json.dumps({"hooks": hooks})
    other = keep(home, project, OTHER, "an older question", "an older answer")
    trace = tmp_path / "run.ccpa-trace.jsonl"
    terminal = begin(
        says("Here."), says("There."),
        options=("--settings", settings, "--emit-trace", str(trace)),
    )  # fmt: skip
    terminal.enter("where are you?")
    terminal.until("Here\\.")
    terminal.until(IDLE)
    terminal.enter("/resume")
    terminal.until("Which session\\?(?s:.*)an older question(?s:.*)Enter takes it")
    assert "where are you" not in terminal.text().partition("Which session")[2]
    terminal.type("\r")
    terminal.until(IDLE)
    second = terminal.text().rpartition("what can be typed here")[2]
    assert "> an older question an older answer" in " ".join(second.split())
    terminal.enter("and now?")
    terminal.until("There\\.")
    assert "an older question" in asked(terminal)
    assert "where are you?" not in asked(terminal)
    terminal.enter("/quit")
    assert terminal.leave() == 0
    assert log.read_text().split() == ["SessionStart", "SessionEnd"] * 2
    assert problems(trace) == []
    assert problems(tmp_path / "run-2.ccpa-trace.jsonl") == []
    assert "There." in other.read_text()


def test_a_session_that_another_process_works_on_is_refused_and_this_one_goes_on(
    begin: Begin, home: Path, project: Path
) -> None:
    path = keep(home, project, OTHER, "an older question", "an older answer")
    terminal = begin(says("Here."))
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        terminal.enter(f"/resume {OTHER}")
        terminal.until("another process works on the session 01980f3a")
    terminal.enter("/resume nobody")
    terminal.until("there is no session 'nobody'")
    terminal.enter("where are you?")
    terminal.until("Here\\.")


def test_where_another_session_cannot_begin_the_one_before_goes_on(
    begin: Begin, home: Path, project: Path
) -> None:
    other = keep(home, project, OTHER, "an older question", "an older answer")
    damage = {"type": "command", "command": f"echo damage >> '{other}'"}
    settings = json.dumps({"hooks": {"SessionEnd": [{"hooks": [damage]}]}})
    terminal = begin(says("Here."), says("Still here."), options=("--settings", settings))
    terminal.enter("where are you?")
    terminal.until("Here\\.")
    terminal.until(IDLE)
    terminal.enter(f"/resume {OTHER}")
    terminal.until("not a session's line(?s:.*)Back in the session before(?s:.*)> where are you\\?")
    terminal.until(IDLE)
    terminal.enter("and now?")
    terminal.until("Still here\\.")
    assert "Here." in asked(terminal)


def test_a_damaged_session_is_not_offered(begin: Begin, home: Path, project: Path) -> None:
    path = keep(home, project, OTHER, "an older question", "an older answer")
    path.write_bytes(path.read_bytes() + b"{}\n")
    terminal = begin(says("Here."), size=(400, 24))
    terminal.enter("/resume")
    terminal.until("there is no other session")
    terminal.enter(f"/resume {OTHER}")
    terminal.until("not a session's line")
    terminal.enter("where are you?")
    terminal.until("Here\\.")
