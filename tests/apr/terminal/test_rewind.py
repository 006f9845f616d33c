"""Back to an earlier prompt: somebody at a real terminal, real files, a scripted model."""

import json
import os
import signal
from pathlib import Path

from tests.apr.conftest import CALC
from tests.apr.program import calls, problems, records, says
from tests.apr.terminal.conftest import Begin
from tests.apr.terminal.terminal import Terminal

READ = calls(("Read", {"file_path": "src/calc.py"}))
FIX = {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}
EDIT = calls(("Edit", FIX), first=2)
NEW = calls(("Write", {"file_path": "docs/new.md", "content": "New.\n"}), first=3)
FIXED = CALC.replace("a - b", "a + b")
ACCEPT = ("--permission-mode", "acceptEdits")
IDLE = "\n(?!.*…)m · .*\\s*\\Z"
"""The status line, when no work is going on and no picker is open."""
ANYTHING = ("--permission-mode", "bypassPermissions")


def said(terminal: Terminal, pattern: str) -> None:
    """Wait until something was said and the work is over: the status line says of none."""
    terminal.until(pattern)
    terminal.until(IDLE)


def go_back(terminal: Terminal, down: int = 0) -> None:
    """Press Esc Esc and choose a prompt: the last one, or one further up the conversation."""
    terminal.type("\x1b")
    terminal.type("\x1b")
    terminal.until("Back to before which prompt\\?(?s:.*)Enter takes it")
    terminal.type("\x1b[B" * down + "\r")


def choose(terminal: Terminal, question: str, down: int = 0) -> None:
    """Answer a question with the choice that is so far down."""
    terminal.until(f"{question}(?s:.*)Enter takes it")
    terminal.type("\x1b[B" * down + "\r")


def messages(terminal: Terminal) -> str:
    """What the model was asked last, in full."""
    return json.dumps(terminal.model.requests[-1]["messages"])


def test_the_conversation_and_the_files_go_back_and_the_prompt_is_typed_again(
    begin: Begin, project: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "run.ccpa-trace.jsonl"
    terminal = begin(
        says("Hello."), READ, EDIT, NEW, says("I fixed it."), says("Nothing done."),
        options=(*ACCEPT, "--emit-trace", str(trace)),
    )  # fmt: skip
    terminal.enter("greet me")
    said(terminal, "Hello\\.")
    terminal.enter("fix add")
    said(terminal, "I fixed it\\.")
    assert (project / "src/calc.py").read_text() == FIXED
    go_back(terminal)
    choose(terminal, "What is to be as it was\\?")
    terminal.until("as it was before that prompt\\.\n> fix add\nm · acceptEdits · 110 tokens")
    assert (project / "src/calc.py").read_text() == CALC
    assert not (project / "docs").exists()
    terminal.enter(" no more")
    terminal.until("Nothing done\\.")
    assert terminal.asked() == "fix add no more"
    assert "Hello." in messages(terminal)
    assert "I fixed it." not in messages(terminal)
    terminal.enter("/quit")
    assert terminal.leave() == 0
    assert problems(trace) == []
    told = [getattr(record, "text", "") for record in records(trace)]
    assert [text for text in told if text] == [
        "greet me",
        "fix add",
        "/rewind 2",
        "fix add no more",
    ]


def test_the_conversation_alone_goes_back_and_the_model_has_to_look_again(
    begin: Begin, project: Path
) -> None:
    again = calls(("Edit", {**FIX, "old_string": "a + b", "new_string": "b"}), first=4)
    terminal = begin(
        READ, says("I know it."), EDIT, says("I fixed it."), again, says("As you wish."),
        options=ACCEPT,
    )  # fmt: skip
    terminal.enter("look at add")
    said(terminal, "I know it\\.")
    terminal.enter("fix it")
    said(terminal, "I fixed it\\.")
    go_back(terminal)
    choose(terminal, "What is to be as it was\\?", down=1)
    terminal.until("as it was before that prompt\\.\n> fix it")
    assert (project / "src/calc.py").read_text() == FIXED
    terminal.enter("")
    terminal.until("As you wish\\.")
    assert "What was changed since stays so: src/calc.py" in messages(terminal)
    assert "has changed since it was read" in messages(terminal)


def test_files_may_be_called_what_no_text_can_be(begin: Begin, project: Path) -> None:
    """Bytes that are no characters: a model gets at such a name by a link."""
    odd = project / os.fsdecode(b"n\xffme")
    odd.mkdir()
    (project / "link").symlink_to(odd)
    new = calls(("Write", {"file_path": "link/new.md", "content": "New.\n"}))
    terminal = begin(new, says("I wrote it."), says("As you wish."), options=ACCEPT)
    terminal.enter("write it")
    said(terminal, "I wrote it\\.")
    go_back(terminal)
    choose(terminal, "What is to be as it was\\?", down=1)
    terminal.until("as it was before that prompt\\.\n> write it")
    terminal.enter("")
    terminal.until("As you wish\\.")
    assert "What was changed since stays so: n\ufffdme/new.md" in terminal.asked()


def test_the_files_alone_go_back_and_the_model_is_told(begin: Begin, project: Path) -> None:
    terminal = begin(READ, EDIT, says("I fixed it."), says("I see."), options=ACCEPT)
    terminal.enter("fix add")
    said(terminal, "I fixed it\\.")
    go_back(terminal)
    choose(terminal, "What is to be as it was\\?", down=2)
    terminal.until("As before: src/calc\\.py")
    assert (project / "src/calc.py").read_text() == CALC
    terminal.enter("what now?")
    terminal.until("I see\\.")
    assert "I fixed it." in messages(terminal)
    assert "put these files back" in terminal.asked()


def test_what_the_person_has_changed_is_not_overwritten_unasked(
    begin: Begin, project: Path
) -> None:
    terminal = begin(READ, EDIT, NEW, says("I fixed it."), options=ACCEPT)
    terminal.enter("fix add")
    said(terminal, "I fixed it\\.")
    (project / "src/calc.py").write_text("mine\n")
    go_back(terminal)
    choose(terminal, "What is to be as it was\\?", down=2)
    choose(terminal, "Not only the agent's tools have changed src/calc\\.py")
    terminal.until("As before: docs/new\\.md")
    assert (project / "src/calc.py").read_text() == "mine\n"
    go_back(terminal)
    choose(terminal, "What is to be as it was\\?", down=2)
    choose(terminal, "Not only the agent's tools have changed src/calc\\.py", down=1)
    terminal.until("As before: src/calc\\.py")
    assert (project / "src/calc.py").read_text() == CALC


def test_it_goes_back_after_the_program_was_killed_and_resumed(begin: Begin, project: Path) -> None:
    first = begin(READ, EDIT, says("I fixed it."), options=ACCEPT)
    first.enter("fix add")
    first.until("I fixed it\\.")
    first.process.send_signal(signal.SIGKILL)
    first.leave()
    second = begin(says("Again."), options=("--continue",))
    second.until("I fixed it\\.")
    go_back(second)
    choose(second, "What is to be as it was\\?")
    second.until("as it was before that prompt\\.\n> fix add\nm · default · 0 tokens")
    assert (project / "src/calc.py").read_text() == CALC
    second.enter("")
    second.until("Again\\.")
    assert "I fixed it." not in messages(second)
    assert "Working directory" in second.asked()


def test_what_subagents_wrote_goes_back_too_and_commands_are_said_not_to(
    begin: Begin, project: Path
) -> None:
    task = {"description": "d", "prompt": "p", "subagent_type": "general-purpose"}
    command = calls(("Bash", {"command": "echo x > by-command.txt"}), first=8)
    terminal = begin(
        calls(("Agent", task)), NEW, says("Written."), command, says("All done."),
        options=ANYTHING,
    )  # fmt: skip
    terminal.enter("delegate")
    said(terminal, "All done\\.")
    assert (project / "docs/new.md").exists()
    terminal.enter("/rewind")
    terminal.until("1 file changed since · 1 command ran")
    terminal.type("\r")
    choose(terminal, "What is to be as it was\\?")
    terminal.until("What 1 command may have changed is not known")
    assert not (project / "docs").exists()
    assert (project / "by-command.txt").exists()


def test_the_list_of_tasks_goes_back_with_the_conversation(begin: Begin) -> None:
    listing = calls(("TaskList", {}), first=3)
    terminal = begin(
        calls(("TaskCreate", {"subject": "kept", "description": "d"})), says("One."),
        calls(("TaskCreate", {"subject": "gone", "description": "d"}), first=2), says("Two."),
        listing, says("Listed."),
    )  # fmt: skip
    terminal.enter("first")
    said(terminal, "One\\.")
    terminal.enter("second")
    said(terminal, "Two\\.")
    go_back(terminal)
    terminal.until("as it was before that prompt\\.\n> second")
    terminal.enter("")
    said(terminal, "Listed\\.")
    (*_, asked) = terminal.model.requests[-1]["messages"]
    assert "kept" in asked["content"]
    assert "gone" not in asked["content"]


def test_escape_changes_nothing_and_without_a_prompt_there_is_nothing_to_choose(
    begin: Begin, project: Path
) -> None:
    terminal = begin(READ, EDIT, says("I fixed it."), says("Yes."), options=ACCEPT)
    terminal.enter("/rewind")
    terminal.until("There is no prompt yet")
    terminal.enter("fix add")
    said(terminal, "I fixed it\\.")
    go_back(terminal)
    terminal.until("What is to be as it was\\?(?s:.*)Enter takes it")
    terminal.type("\x1b")
    terminal.until(IDLE)
    terminal.enter("still there?")
    terminal.until("Yes\\.")
    assert (project / "src/calc.py").read_text() == FIXED
    assert "I fixed it." in messages(terminal)


def test_a_session_that_is_not_stored_cannot_go_back(begin: Begin) -> None:
    terminal = begin(says("Hello."), options=("--no-session-persistence",))
    terminal.enter("greet me")
    said(terminal, "Hello\\.")
    terminal.enter("/rewind")
    terminal.until("This session is not stored")
