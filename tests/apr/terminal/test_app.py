"""`apr code` at a terminal: a real pseudo-terminal, a scripted model, and somebody who types."""

import json
from pathlib import Path

from ccpa.scripted.chaos import Chaos
from ccpa.trace import SessionEnd
from tests.apr.program import calls, records, says
from tests.apr.terminal.conftest import Begin
from tests.apr.terminal.terminal import Terminal

READ = calls(("Read", {"file_path": "src/calc.py"}))
FIX = {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}
EDIT = calls(("Edit", FIX), first=2)
FIXED = "def add(a, b):\n    return a + b\n"


def test_a_person_asks_allows_and_leaves(begin: Begin, project: Path) -> None:
    terminal = begin(READ, EDIT, says("I **fixed** it."))
    terminal.enter("fix add")
    shown = terminal.until("allow\\?")
    assert "● Read src/calc.py" in shown
    assert "2 -    return a - b" in shown
    assert "2 +    return a + b" in shown
    terminal.enter("y")
    assert "**" not in terminal.until("I fixed it\\.")
    terminal.type("\x04")
    assert terminal.leave() == 0
    assert (project / "src/calc.py").read_text() == FIXED


def test_a_person_says_no_and_what_instead(begin: Begin, project: Path) -> None:
    terminal = begin(READ, EDIT, says("As you wish."))
    terminal.enter("fix add")
    terminal.until("allow\\?")
    terminal.enter("leave that file alone")
    shown = terminal.until("As you wish")
    assert "did not allow this use of Edit. They say: leave that file alone" in shown
    assert (project / "src/calc.py").read_text() != FIXED


def test_always_writes_the_narrowest_rule(begin: Begin, project: Path) -> None:
    terminal = begin(READ, EDIT, says("Done."))
    terminal.enter("fix add")
    terminal.until("allow\\?")
    terminal.enter("a")
    terminal.until("kept in")
    terminal.until("Done\\.")
    settings = json.loads((project / ".apr/settings.local.json").read_text())
    assert settings == {"permissions": {"allow": ["Edit(/src/calc.py)"]}}


def test_several_prompts_and_one_that_is_typed_ahead(begin: Begin) -> None:
    slow = Chaos(on_request=1, latency_s=1.0)
    terminal = begin(says("The first."), says("The second."), chaos=(slow,))
    terminal.enter("one")
    terminal.enter("two")
    terminal.until("1 waiting · two")
    terminal.until("The first\\.")
    terminal.until("The second\\.")


def test_escape_interrupts_and_the_session_goes_on(begin: Begin) -> None:
    stuck = Chaos(on_request=1, latency_s=600)
    terminal = begin(says("Never."), says("Here I am."), chaos=(stuck,))
    terminal.enter("one")
    terminal.until("reading")
    terminal.type("\x1b")
    terminal.until("interrupted")
    terminal.enter("two")
    terminal.until("Never\\.|Here I am\\.")


def test_control_c_twice_leaves(begin: Begin) -> None:
    terminal = begin(says("Hello."))
    terminal.until("m · default")
    terminal.type("\x03\x03")
    assert terminal.leave() == 0
    assert "Ctrl-C again leaves" in terminal.text()


def test_who_leaves_while_it_works_has_not_failed(begin: Begin) -> None:
    terminal = begin(says("Never."), chaos=(Chaos(on_request=1, latency_s=600),))
    terminal.enter("one")
    terminal.until("reading")
    terminal.enter("/quit")
    assert terminal.leave() == 0


def test_a_prompt_that_fails_shows_in_the_exit_code(begin: Begin) -> None:
    terminal = begin(chaos=(Chaos(on_request=1, status=400),))
    terminal.enter("one")
    terminal.until("400")
    terminal.enter("/quit")
    assert terminal.leave() == 1


def test_shift_tab_changes_the_mode(begin: Begin, project: Path) -> None:
    terminal = begin(READ, EDIT, says("Done."))
    terminal.until("m · default")
    terminal.type("\x1b[Z")
    terminal.until("m · acceptEdits")
    terminal.enter("fix add")
    terminal.until("Done\\.")
    assert (project / "src/calc.py").read_text() == FIXED
    assert "ExitPlanMode" not in tools(terminal)


def test_in_plan_mode_the_model_can_hand_in_a_plan(begin: Begin) -> None:
    terminal = begin(says("A plan."))
    terminal.type("\x1b[Z\x1b[Z")
    terminal.until("m · plan")
    terminal.enter("make a plan")
    terminal.until("A plan\\.")
    assert "ExitPlanMode" in tools(terminal)


def tools(terminal: Terminal) -> set[str]:
    """Return the names of the tools that the model was shown last."""
    return {tool["function"]["name"] for tool in terminal.model.requests[-1]["tools"]}


def test_a_shell_line_and_a_note(begin: Begin, project: Path) -> None:
    terminal = begin(says("Hello."))
    terminal.enter("!echo $((40 + 2)); exit 3")
    assert "42" in terminal.until("exit code 3")
    terminal.enter("why?")
    terminal.until("Hello\\.")
    assert "echo $((40 + 2)); exit 3` in the shell (exit code 3):\n42" in terminal.asked()
    terminal.enter("# tests are run with make check")
    terminal.until("noted in")
    assert (project / "APR.md").read_text() == "- tests are run with make check\n"


def test_a_file_is_completed(begin: Begin) -> None:
    terminal = begin(says("Hello."))
    terminal.type("look at @calc\t")
    terminal.until("@src/calc\\.py")


def test_a_window_that_is_closed_while_something_is_asked_ends_the_session_in_order(
    begin: Begin, tmp_path: Path
) -> None:
    trace = tmp_path / "run.jsonl"
    terminal = begin(READ, EDIT, options=("--emit-trace", str(trace)))
    terminal.enter("fix add")
    terminal.until("allow\\?")
    assert terminal.hang_up() == 130
    ended = records(trace)[-1]
    assert isinstance(ended, SessionEnd)
    assert ended.error == "interrupted"


def test_escape_sequences_of_a_model_never_reach_the_terminal(begin: Begin) -> None:
    terminal = begin(says("before \x1b]0;owned\x07\x1b[2J after\n\nend."))
    terminal.enter("hi")
    terminal.until("end\\.")
    assert b"\x1b]0;owned" not in terminal.raw
    assert "\\x1b" in terminal.text()


def test_without_colour_nothing_is_coloured(begin: Begin) -> None:
    terminal = begin(says("A **plain** answer."), env={"NO_COLOR": "1"})
    terminal.enter("hi")
    terminal.until("A \\*\\*plain\\*\\* answer\\.")
    assert b"\x1b[31m" not in terminal.raw
