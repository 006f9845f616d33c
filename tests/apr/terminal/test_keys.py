"""What the keys do at a terminal."""

import os
import re
import signal
import stat
from pathlib import Path

from ccpa.scripted.chaos import Chaos
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import APR, calls, says
from tests.apr.terminal.conftest import Begin
from tests.apr.terminal.terminal import Terminal

ESC, ENTER, UP, BACKSPACE = "\x1b", "\r", "\x1b[A", "\x7f"
CTRL_C, CTRL_D, CTRL_G, CTRL_J, CTRL_L = "\x03", "\x04", "\x07", "\n", "\x0c"
READ = calls(("Read", {"file_path": "src/calc.py"}))
EDIT = calls(
    ("Edit", {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}), first=2
)
STUCK = Chaos(on_request=1, latency_s=600)


def typed(terminal: Terminal) -> str:
    """What stands in the input line, on the screen."""
    return terminal.text().rpartition("\n> ")[2]


def test_a_users_keys_hold_and_help_shows_them(begin: Begin, home: Path) -> None:
    (home / ".apr").mkdir()
    (home / ".apr/keys.toml").write_text('[mode]\nkeys = ["F2", "Ctrl-X m"]\n')
    terminal = begin()
    terminal.until("m · default")
    terminal.type("\x1bOQ")
    terminal.until("m · acceptEdits")
    terminal.type("\x18m")
    terminal.until("m · plan")
    terminal.type("\x1b[Z\x18m")  # Shift+Tab does nothing any more
    terminal.until("m · default")
    terminal.enter("/help")
    assert re.search(r"F2, Ctrl-X m +changes the permission mode", terminal.until("of a command"))


def test_a_file_of_keys_with_a_mistake_is_told_and_changes_nothing(
    begin: Begin, home: Path
) -> None:
    (home / ".apr").mkdir()
    (home / ".apr/keys.toml").write_text('[mode]\nkeys = ["F2"]\n\n[undo]\nkeys = ["Ctlr-Z"]\n')
    terminal = begin(size=(300, 24))
    text = terminal.until("The built-in keys are used")
    assert "keys.toml:5: undo: there is no key 'Ctlr-Z'" in text
    terminal.type("\x1b[Z")
    terminal.until("m · acceptEdits")


def test_new_lines_are_typed_in_three_ways(begin: Begin) -> None:
    terminal = begin(says("Read."))
    terminal.type(f"a{CTRL_J}b")
    terminal.type(f"{ESC}{ENTER}c")
    terminal.type(f"\\{ENTER}d")
    terminal.until(r"> a\n… b\n… c\n… d")
    terminal.type(ENTER)
    terminal.until("Read\\.")
    assert terminal.asked().endswith("a\nb\nc\nd")


def test_alt_enter_does_not_interrupt(begin: Begin) -> None:
    terminal = begin(says("Read."), chaos=(STUCK,))
    terminal.enter("one")
    terminal.until("reading")
    terminal.type(f"two{ESC}{ENTER}three")
    assert "interrupted" not in terminal.until(r"> two\n… three")
    terminal.type(ENTER)
    terminal.until("1 waiting · two three")


def test_escape_interrupts_and_gives_back_what_waits(begin: Begin) -> None:
    terminal = begin(says("Never."), says("Here I am."), chaos=(STUCK,))
    terminal.enter("one")
    terminal.until("reading")
    terminal.enter("two")
    terminal.enter("three")
    terminal.until("2 waiting · two · three")
    terminal.type(ESC)
    terminal.until("interrupted")
    assert "waiting" not in typed(terminal)
    terminal.until(r"> two\n… three")
    terminal.type(ENTER)
    terminal.until("Never\\.|Here I am\\.")
    assert terminal.asked().endswith("two\nthree")


def test_escape_closes_the_menu_first_and_control_c_does_not_wait_for_that(begin: Begin) -> None:
    terminal = begin(says("Never."), chaos=(STUCK,))
    terminal.enter("one")
    terminal.until("reading")
    terminal.type("/sta")
    terminal.until("/statusline")
    terminal.type(ESC)
    terminal.until(r"(?s)> /sta\n(?!.*/status)")
    assert "interrupted" not in terminal.text()
    terminal.type(f"{BACKSPACE}a")
    terminal.until("/statusline")
    terminal.type(CTRL_C)
    terminal.until("interrupted")


def test_a_draft_and_what_waits_come_back_when_a_question_is_interrupted(begin: Begin) -> None:
    terminal = begin(READ, EDIT, says("Never."))
    terminal.model.pause_after = 1
    terminal.enter("one")
    terminal.enter("two")
    terminal.type("a draft")
    terminal.until("1 waiting · two")
    terminal.until("> a draft")
    terminal.model.go_on()
    terminal.until("allow\\?")
    terminal.until("1 waiting · two\n")  # Up would choose an answer
    terminal.type(ESC)
    terminal.until(r"> two\n… a draft")


def test_up_takes_the_last_prompt_that_waits_back(begin: Begin) -> None:
    terminal = begin(says("Never."), chaos=(STUCK,))
    terminal.enter("one")
    terminal.until("reading")
    terminal.enter("two")
    terminal.enter("three")
    terminal.until("2 waiting")
    terminal.type(UP)
    terminal.until(r"> three")
    terminal.until("1 waiting · two \\(Up: edit the last\\)")
    terminal.type(f" and more{ENTER}")
    terminal.until("2 waiting · two · three and more")


def test_escape_twice_clears_what_is_typed_and_up_has_it_back(begin: Begin) -> None:
    terminal = begin(says("Read."))
    terminal.type("a draft")
    terminal.until("> a draft")
    terminal.type(ESC)
    terminal.type(ESC)
    terminal.until(r"\n>\n")
    terminal.type(UP)
    terminal.until("> a draft")


def test_control_c_clears_what_is_typed_and_then_does_not_leave(begin: Begin) -> None:
    terminal = begin(says("Read."))
    terminal.type("a draft")
    terminal.until("> a draft")
    terminal.type(CTRL_C)
    terminal.until("Ctrl-C again leaves")
    terminal.type("hello")  # something was typed between: it leaves not
    terminal.until("> hello")
    terminal.type(CTRL_C)
    terminal.until(r"again leaves\.\n.*again leaves\.\n>\n")
    terminal.type(UP)
    terminal.until("> hello")
    terminal.type(ENTER)
    terminal.until("Read\\.")


def test_the_terminal_is_as_before_also_when_apr_is_ended_from_outside(begin: Begin) -> None:
    terminal = begin()
    terminal.until("m · default")
    assert not terminal.echoes()
    os.kill(terminal.process.pid, signal.SIGTERM)
    terminal.leave()
    assert terminal.echoes()


def test_a_shell_line_is_not_looked_through_for_pictures(begin: Begin) -> None:
    terminal = begin(options=("--vision",))
    terminal.enter("!echo @a.png")
    terminal.until("\n@a\\.png")


def test_a_dumb_terminal_has_the_keys_too(begin: Begin) -> None:
    terminal = begin(says("Read."), env={"TERM": "dumb"})
    terminal.until("\n>")
    terminal.type("a")
    terminal.until("> a")
    terminal.type(CTRL_C)
    terminal.until("Ctrl-C again leaves")
    terminal.type(f"b{CTRL_J}c{ENTER}")
    terminal.until("Read\\.")
    assert terminal.asked().endswith("b\nc")
    terminal.type(CTRL_D)
    assert terminal.leave() == 0


def test_the_signal_does_what_control_c_does(begin: Begin) -> None:
    terminal = begin()
    terminal.until("m · default")
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.until("Ctrl-C again leaves")
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.leave() == 0


def test_control_c_before_the_first_prompt_does_not_end_the_session(begin: Begin) -> None:
    terminal = begin(says("Read."))
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.until("Ctrl-C again leaves")
    terminal.enter("hello")
    terminal.until("Read\\.")


def test_escape_twice_leaves_no_prompt_behind(begin: Begin) -> None:
    terminal = begin()
    terminal.type(ESC)
    terminal.type(ESC)
    text = terminal.until(r"There is no prompt yet to go back to\.\n>\n")
    assert text.split("\n").count(">") == 1


def test_a_shell_line_is_heard_as_it_speaks(begin: Begin, project: Path) -> None:
    terminal = begin()
    terminal.enter(r"!printf 'one\r\n 10%%\r100%%\ntwo'; until test -e go; do sleep 0.01; done")
    terminal.until("\none\n100%\n")
    (project / "go").touch()
    terminal.until("\none\n100%\ntwo\n>")


def test_control_c_ends_a_shell_line_and_no_more(begin: Begin, project: Path) -> None:
    terminal = begin()
    terminal.enter("!echo begun; sleep 600")
    terminal.until("\nbegun\n")
    terminal.type(CTRL_C)
    terminal.until("begun\ninterrupted")
    terminal.enter("!echo $((40 + 2))")
    terminal.until("42")


def test_control_d_leaves_only_where_nothing_is_typed(begin: Begin) -> None:
    terminal = begin()
    terminal.type(f"ab\x01{CTRL_D}")
    terminal.until("> b")
    terminal.type(f"{CTRL_D}{CTRL_D}")
    assert terminal.leave() == 0


def test_undo_and_a_clear_screen(begin: Begin) -> None:
    terminal = begin()
    terminal.type("one two\x17")
    terminal.until("> one\n")
    terminal.type("\x1f")
    terminal.until("> one two")
    terminal.type(CTRL_L)
    terminal.until("^> one two")


def editor(folder: Path, script: str) -> dict[str, str]:
    path = folder / "my editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"EDITOR": f"'{path}' --wait"}


def test_control_z_stops_and_the_shell_goes_on_with_it(home: Path, project: Path) -> None:
    model = ScriptedModel([says("Read.")])
    with serving(model) as url:
        shell = Terminal("--norc", "-i", home=home, cwd=project, program="/bin/bash")
        shell.enter(f"{APR} code --base-url {url} --model m")
        shell.until("m · default")
        shell.type("a draft")
        shell.until("> a draft")
        shell.type("\x1a")
        shell.until("Stopped")
        shell.enter("echo $((40 + 2))")
        shell.until("\n42\n")
        shell.enter("fg")
        shell.until("(?s)fg.*> a draft")
        shell.type(ENTER)
        shell.until("Read\\.")
        shell.close()


def test_what_is_typed_is_opened_in_an_editor(begin: Begin, tmp_path: Path) -> None:
    env = editor(tmp_path, 'test "$1" = --wait && echo "and lines" >> "$2"')
    terminal = begin(says("Read."), env=env)
    terminal.type(f"see \x1b[200~{'word ' * 400}\x1b[201~")
    terminal.type(CTRL_G)
    terminal.until(r"> see \[Pasted text #1 2,000 characters\]\n… and lines")
    terminal.type(ENTER)
    terminal.until("Read\\.")
    assert terminal.asked().endswith(f"see {'word ' * 400}\nand lines")


def test_an_editor_that_fails_changes_nothing(begin: Begin, tmp_path: Path) -> None:
    terminal = begin(env=editor(tmp_path, 'echo gone > "$2"; exit 3'), size=(400, 24))
    terminal.type("a draft\x18\x05")
    terminal.until("my editor ended with exit code 3; what was typed is as it was\n")
    terminal.until("> a draft")


def test_vim_keys_by_setting(begin: Begin, home: Path) -> None:
    (home / ".apr").mkdir()
    (home / ".apr/settings.json").write_text('{"editorMode": "vim"}')
    terminal = begin(says("Never."), says("Here I am."), chaos=(STUCK,))
    terminal.until("INSERT · m · default")
    terminal.type(f"onez{ESC}")
    terminal.until("NORMAL · ")
    terminal.type("x")
    terminal.until("> one\n")
    terminal.type(ENTER)
    terminal.until("reading")
    terminal.type(f"ab{ESC}")
    assert "interrupted" not in terminal.until("NORMAL · ")
    terminal.type(ESC)
    terminal.until("interrupted")


def test_vim_keys_by_command(begin: Begin) -> None:
    terminal = begin()
    terminal.enter("/vim")
    terminal.until("INSERT · m")
    terminal.type(f"{ESC}:")
    terminal.until("NORMAL · m")
    terminal.type("i")
    terminal.enter("/vim")
    terminal.until("No longer vim's keys")


def test_keys_pressed_before_there_is_a_prompt_are_not_lost(begin: Begin) -> None:
    terminal = begin(says("One."), says("Two."))
    terminal.type(f"one{ENTER}two{ENTER}")  # the second comes while the first is being taken
    terminal.until("One\\.")
    terminal.until("Two\\.")
    assert terminal.asked() == "two"


def test_a_paste_of_ten_megabytes_does_not_hold_the_program_up(begin: Begin) -> None:
    terminal = begin()
    terminal.until("m · default")
    pasted = "a line of text\n" * 700_000
    terminal.type(f"\x1b[200~{pasted}\x1b[201~ok")
    terminal.until(r"> \[Pasted text #1 \+700001 lines\]ok")
