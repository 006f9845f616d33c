"""What is offered while somebody types."""

import shutil
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent, Completion
from prompt_toolkit.document import Document

from apr.assembly import Options
from apr.sessions.writer import SessionWriter
from apr.settings import Settings
from apr.terminal import file_index
from apr.terminal.arguments import ARGUMENTS
from apr.terminal.commands import COMMANDS, Desk, Plan
from apr.terminal.completion import InputCompleter
from apr.terminal.screen import Screen
from ccpa.trace import UserPrompt
from tests.apr.assembled import Voices, session
from tests.apr.program import says
from tests.apr.terminal.conftest import Begin

Complete = Callable[[str], Awaitable[list[Completion]]]


@pytest.fixture
def desk(project: Path) -> Desk:
    """What a session in the project works on, without a terminal."""
    assembled = session(project, Voices({}))

    def refuse(*_: object) -> object:
        raise AssertionError("a completion begins nothing")

    plan = Plan(
        options=Options(root=project.resolve()),
        begin=refuse,  # type: ignore[arg-type]
        keep=lambda _: [],
        open_model=refuse,  # type: ignore[arg-type]
        settings=Settings,
    )
    return Desk(
        assembled=assembled,
        screen=Screen(lambda _: None, lambda: 80, colour=False),
        plan=plan,
        sinks=[],
        submit=lambda _: None,
    )


@pytest.fixture
def complete(desk: Desk) -> Complete:
    completer = InputCompleter(desk)

    async def offered(typed: str) -> list[Completion]:
        found = completer.get_completions_async(Document(typed), CompleteEvent())
        return [completion async for completion in found]

    return offered


def taken(typed: str, completion: Completion) -> str:
    """Return what stands there when a completion was taken."""
    return typed[: len(typed) + completion.start_position] + completion.text


async def test_files_of_the_project_behind_an_at(complete: Complete) -> None:
    found = await complete("look at @calc")
    assert [taken("look at @calc", one) for one in found] == ["look at @src/calc.py"]


async def test_the_top_of_the_project_behind_an_at_alone(complete: Complete) -> None:
    assert [one.text for one in await complete("@")] == ["@src/", "@README.md", "@src/calc.py"]


async def test_names_with_spaces_are_quoted_and_typing_goes_on_behind_the_quote(
    complete: Complete, project: Path
) -> None:
    (project / "my notes").mkdir()
    (project / "my notes/a b.txt").write_text("x")
    assert [one.text for one in await complete("@myn")] == ['@"my notes/"', '@"my notes/a b.txt"']
    typed = 'see @"my notes/"a'
    assert [taken(typed, one) for one in await complete(typed)] == ['see @"my notes/a b.txt"']


async def test_what_the_agent_has_worked_on_comes_first(
    complete: Complete, desk: Desk, project: Path
) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (project / name).write_text(name)
    desk.assembled.agent.context.files.note(project.resolve() / "c.txt", b"")
    desk.assembled.agent.context.files.note(project.resolve() / "b.txt", b"")
    assert [one.text for one in await complete("@txt")] == ["@b.txt", "@c.txt", "@a.txt"]


async def test_what_is_known_is_offered_while_the_rest_is_still_listed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slowly(_root: Path, _hidden: Sequence[str]) -> Iterator[list[str]]:
        yield [f"early{number}.py" for number in range(1000)]
        go_on.wait()
        yield ["early_late77.py"]

    monkeypatch.setattr(file_index, "listed", slowly)
    completer = InputCompleter(desk)
    found = completer.get_completions_async(Document("@early77"), CompleteEvent())
    try:
        assert (await anext(found)).text == "@early77.py"
        await completer.answered()
    finally:
        go_on.set()
    assert "@early_late77.py" in [completion.text async for completion in found]


async def test_ignored_files_are_completed_where_their_directory_is_typed(
    complete: Complete, project: Path
) -> None:
    (project / "build").mkdir()
    (project / "build/out.log").write_text("x")
    (project / ".gitignore").write_text("build/\n")
    assert await complete("@out") == []
    assert [one.text for one in await complete("@build/o")] == ["@build/out.log"]


async def test_files_elsewhere_are_completed_by_their_path(
    complete: Complete, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere.txt").write_text("x")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [one.text for one in await complete("@../else")] == ["@../elsewhere.txt"]
    assert [one.text for one in await complete("@~/else")] == ["@~/elsewhere.txt"]
    assert [one.text for one in await complete(f"@{tmp_path}/else")] == [
        f"@{tmp_path}/elsewhere.txt"
    ]


async def test_a_directory_called_like_home_is_not_taken_for_it(
    complete: Complete, project: Path
) -> None:
    (project / "~").mkdir()
    (project / "~/in_project.txt").write_text("x")
    assert '@"./~/in_project.txt"' in [one.text for one in await complete("@in_project")]


async def test_a_completed_name_gives_the_model_that_file(
    project: Path, complete: Complete
) -> None:
    names = ["a b.txt", "ends.", "ünï.txt", "(x).md", "it's.txt", "@at.txt", "~tilde", "-dash"]
    for name in names:
        (project / name).write_text(f"content of {name}")
    for name in names:
        written = (await complete(f'@"{name[:-1]}'))[0].text
        assembled = session(project, Voices({}))
        assert assembled.agent.library is not None
        expansion = await assembled.agent.library.expand(written)
        await assembled.close()
        assert expansion is not None
        assert f"content of {name}" in str(expansion.text), written


async def test_commands_with_what_they_take_and_do(complete: Complete) -> None:
    mode = (await complete("/mode"))[0]
    assert mode.display_text == f"/mode {COMMANDS['mode'].usage}"
    assert mode.display_meta_text == COMMANDS["mode"].description
    assert taken("/mode", mode) == "/mode "


async def test_commands_that_begin_so_come_first(complete: Complete) -> None:
    found = [one.text.strip() for one in await complete("/st")]
    assert found[0].startswith("/st")
    assert "/status" in found


async def test_the_users_own_commands_with_the_hint_of_their_arguments(
    desk: Desk, project: Path
) -> None:
    folder = project / ".apr/commands"
    folder.mkdir(parents=True)
    (folder / "deploy.md").write_text(
        "---\ndescription: ship\x1b[2J it\nargument-hint: [place]\n---\nDeploy to $1.\n"
    )
    desk.assembled = session(project, Voices({}))
    completer = InputCompleter(desk)
    found = [
        one async for one in completer.get_completions_async(Document("/dep"), CompleteEvent())
    ]
    assert [one.text for one in found] == ["/deploy"]
    assert "place" in found[0].display_text
    assert found[0].display_meta_text == "ship\\x1b[2J it"


async def test_arguments_from_a_closed_set(complete: Complete) -> None:
    assert [one.text for one in await complete("/mode pl")] == ["plan"]
    assert "sandbox.enabled" in [one.text for one in await complete("/config sand")]
    assert [one.text for one in await complete("/add-dir s")] == ["src/"]
    assert (await complete("/permissions al"))[0].text == "allow"


async def test_models_and_sessions(
    desk: Desk, complete: Complete, home: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    (desk.root / "models").mkdir()
    shutil.copy(tiny, desk.root / "models/quite-tiny.gguf")
    assert [one.text for one in await complete("/model quite")] == ["quite-tiny"]
    store = SessionWriter(desk.root, "the-id", model="m", warn=print)
    store(UserPrompt(v=1, turn=0, text="mend the gate"))
    store.close()
    [found] = await complete("/resume mend")
    assert (found.text, found.display_meta_text) == ("the-id", "mend the gate")


async def test_rules_to_remove(desk: Desk, project: Path) -> None:
    desk.assembled = session(project, Voices({}), allow=("Bash(make:*)",))
    completer = InputCompleter(desk)
    document = Document("/permissions remove")
    found = [one.text async for one in completer.get_completions_async(document, CompleteEvent())]
    assert found == ["remove Bash(make:*)"]


def test_arguments_are_those_of_commands() -> None:
    assert set(ARGUMENTS) <= set(COMMANDS)


async def test_words_of_a_shell_line_are_files_where_the_shell_is(
    complete: Complete, project: Path
) -> None:
    (project / "my file").write_text("x")
    [found] = await complete("!cat my")
    line = taken("!cat my", found)
    assert line == "!cat 'my file'"
    ran = subprocess.run(
        ["sh", "-c", line[1:]], cwd=project, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "x"


async def test_other_text_is_not_completed(complete: Complete) -> None:
    assert await complete("look at calc") == []
    assert await complete("mail a@calc") == []
    assert await complete("") == []


def test_a_menu_opens_while_typing_and_tab_takes_the_first(begin: Begin, project: Path) -> None:
    (project / "zebra.txt").write_text("striped\n")
    terminal = begin(says("I see."))
    terminal.type("look at @zeb")
    terminal.until("(?m)^ *zebra\\.txt")
    terminal.type("\t")
    terminal.until("@zebra\\.txt")


def test_tab_counts_although_the_files_are_not_listed_yet(begin: Begin) -> None:
    terminal = begin(says("Hello."))
    terminal.type("look at @calc\t")
    terminal.until("@src/calc\\.py")


def test_enter_keeps_a_chosen_file_and_the_next_sends(begin: Begin) -> None:
    terminal = begin(says("I see."))
    terminal.type("look at @calc\t")
    terminal.until("@src/calc\\.py")
    terminal.type("\r")
    terminal.type("please\r")
    assert "look at @src/calc.py please" in terminal.until("I see\\.")


def test_names_never_reach_the_terminal_raw(begin: Begin, project: Path) -> None:
    (project / "zeb\x1b]0;owned\x07ra").write_text("x")
    (project / "zeb\u202era").write_text("x")
    (project / "zebra").write_text("x")
    terminal = begin(says("Hello."))
    terminal.type("@zeb")
    terminal.until("(?m)^ *zebra")
    assert b"owned" not in terminal.raw
    assert "\u202e".encode() not in terminal.raw
