"""A command of the user's writes the status line: real processes, which may be anything."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.formatted_text import fragment_list_to_text
from prompt_toolkit.utils import get_cwidth

from apr.terminal.status_command import StatusCommand, facts, written
from tests.apr.terminal.commands.conftest import Person, Sit
from tests.apr.terminal.commands.conftest import sit as sit


class Shown:
    """What the command has written, and a way to wait for the next."""

    def __init__(self, person: Person, *, seconds: float = 60) -> None:
        self._drawn = asyncio.Event()
        self.command = StatusCommand(person.desk, self._drawn.set, seconds=seconds)

    def now(self) -> str | None:
        found = self.command.shown()
        return None if found is None else fragment_list_to_text(found)

    async def drawn(self) -> str | None:
        """Draw the line, and wait until the command has written it anew."""
        self.now()
        await self._drawn.wait()
        self._drawn.clear()
        return self.now()


def user(home: Path, command: str, **more: object) -> None:
    (home / ".apr").mkdir(exist_ok=True)
    wanted = {"type": "command", "command": command, **more}
    (home / ".apr/settings.json").write_text(json.dumps({"statusLine": wanted}))


async def test_it_is_given_the_session_and_its_first_lines_are_shown(
    sit: Sit, home: Path, project: Path
) -> None:
    user(home, 'cat > given.json; echo "one"; echo; echo "$APR_PROJECT_DIR"; echo three', padding=2)
    person = sit({"hi": ["Hello."]}, width=200, persist=True)
    person.desk.sinks.append(person.desk.screen)
    await person.prompt("hi")
    shown = Shown(person)
    assert await shown.drawn() == f"  one\n  {project.resolve()}"
    given = json.loads((project / "given.json").read_text())
    assert given["session_id"] == person.desk.assembled.agent.session.id
    assert given["model"] == {"id": "m", "display_name": "m"}
    assert given["workspace"]["project_dir"] == str(project.resolve())
    assert given["transcript_path"] == str(person.desk.assembled.store.path)  # type: ignore[union-attr]
    assert given["cost"]["total_cost_usd"] == 0.0
    assert given["context_window"]["current_usage"] == {
        "input_tokens": 40,
        "output_tokens": 10,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 60,
    }
    await shown.command.close()
    await person.desk.assembled.close()


async def test_it_is_run_again_when_something_has_changed(sit: Sit, home: Path) -> None:
    user(home, 'grep -o \'"permission_mode":"[a-zA-Z]*"\'')
    person = sit()
    shown = Shown(person)
    assert await shown.drawn() == '"permission_mode":"default"'
    await person.type("/mode plan")
    assert await shown.drawn() == '"permission_mode":"plan"'
    await shown.command.close()


async def test_it_is_run_again_by_the_clock_where_that_is_wanted(sit: Sit, home: Path) -> None:
    user(home, "echo x >> runs; grep -c x runs", refreshInterval=0.1)
    shown = Shown(sit())
    assert await shown.drawn() == "1"
    assert await shown.drawn() == "2"
    await shown.command.close()


async def test_one_that_is_superseded_is_ended(sit: Sit, home: Path, project: Path) -> None:
    user(home, 'echo $$ >> started; grep -q plan || exec sleep 600; echo "in plan mode"')
    person = sit()
    shown = Shown(person)
    assert shown.now() is None
    await until(lambda: (project / "started").exists())
    await person.type("/mode plan")
    assert await shown.drawn() == "in plan mode"
    first = int((project / "started").read_text().split()[0])
    assert not Path(f"/proc/{first}").exists()
    await shown.command.close()


async def test_what_fails_is_kept_for_debug_and_aprs_own_line_is_shown(
    sit: Sit, home: Path
) -> None:
    user(home, "echo oh no >&2; exit 3")
    person = sit()
    shown = Shown(person)
    assert await shown.drawn() is None
    assert "statusLine: exit code 3: oh no" in list(person.desk.ledger.notices)
    await shown.command.close()


async def test_one_that_takes_too_long_is_ended(sit: Sit, home: Path) -> None:
    user(home, "exec sleep 600")
    person = sit()
    shown = Shown(person, seconds=1)
    assert await shown.drawn() is None
    assert "statusLine: exit code 143: took longer than 1 s" in list(person.desk.ledger.notices)
    await shown.command.close()


async def test_a_projects_command_is_never_run(sit: Sit, project: Path) -> None:
    (project / ".claude").mkdir()
    theirs = {"statusLine": {"type": "command", "command": "touch fired"}}
    for name in ("settings.json", "settings.local.json"):
        (project / ".claude" / name).write_text(json.dumps(theirs))
    person = sit()
    assert person.desk.settings.status_line is None
    assert any("statusLine is not used" in text for text in person.notices)


async def test_who_turns_it_off_while_it_runs_gets_aprs_own_line(sit: Sit, home: Path) -> None:
    user(home, "echo mine")
    person = sit()
    shown = Shown(person)
    assert await shown.drawn() == "mine"
    await person.type("/statusline off")
    shown.now()
    await until(lambda: shown.now() is None)
    await shown.command.close()


async def test_closing_ends_it(sit: Sit, home: Path, project: Path) -> None:
    user(home, "echo $$ > started; exec sleep 600")
    shown = Shown(sit())
    shown.now()
    await until(lambda: (project / "started").exists() and (project / "started").read_text())
    await shown.command.close()
    pid = int((project / "started").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_colours_stay_and_all_else_that_drives_a_terminal_goes() -> None:
    hostile = "\x1b[31mred\x1b[0m\x1b]0;owned\x07\x1b[2J\x1b[6n\x1bc\x01\x02\x9b5m\u202eplain"
    (line,) = written(hostile, 200, colour=True)
    text = fragment_list_to_text(line)
    assert "red" in text
    assert any("ansired" in style for style, *_ in line)
    assert not {"\x1b", "\x07", "\x01", "\x9b", "\u202e"} & set(text)
    assert "owned" not in text
    assert not any("ZeroWidth" in style for style, *_ in line)


def test_without_colour_there_is_none() -> None:
    (line,) = written("\x1b[31mred\x1b[0m", 80, colour=False)
    assert {style for style, *_ in line} == {""}


@given(st.text(max_size=200), st.integers(1, 80))
def test_whatever_is_printed_two_lines_fit_and_no_control_is_left(text: str, width: int) -> None:
    lines = written(text, width, colour=True)
    assert len(lines) <= 2
    for line in lines:
        shown = fragment_list_to_text(line)
        assert get_cwidth(shown) <= width
        assert all(character.isprintable() or ord(character) >= 0xA0 for character in shown)


async def test_facts_say_the_mode_of_vims_keys_only_where_they_are_on(sit: Sit) -> None:
    person = sit()
    assert "vim" not in facts(person.desk)
    person.desk.vim_mode = lambda: "NORMAL"
    assert facts(person.desk)["vim"] == {"mode": "NORMAL"}


async def until(happened: Callable[[], object]) -> None:
    """Wait until something has happened."""
    while not happened():
        await asyncio.sleep(0.01)
