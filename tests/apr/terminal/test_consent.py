"""What a person is asked, what is offered besides yes and no, and what becomes of the answer."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from apr.agent.asking import Answer, Question
from apr.agent.events import ToolStarted
from apr.agent.gate import Gate
from apr.agent.permissions import Mode, Policy, parse_rules
from apr.terminal import consent
from apr.terminal.consent import Consent
from apr.terminal.ink import said
from apr.terminal.screen import Screen
from ccpa.trace import AssistantTurn, ToolUseBlock
from tests.apr.agent.test_offers import command, edit, tool
from tests.apr.program import calls, says
from tests.apr.terminal.conftest import Begin


class Desk:
    """A person, who answers in turn what they are asked."""

    def __init__(self, root: Path, *, mode: Mode = "default", allow: tuple[str, ...] = ()) -> None:
        self.root = root.resolve()
        self.text = ""
        self.screen = Screen(self._write, lambda: 80, colour=False, root=self.root)
        self.screen.moves = True
        self.gate = Gate(Policy(root=self.root, mode=mode, allow=parse_rules(allow)))
        self.consent = Consent(self.screen, self.gate)

    def _write(self, text: str) -> None:
        self.text += text

    def panel(self) -> list[str]:
        return [said(line) for line in self.screen.frame(200, 50)]

    async def admit(self, question: Question) -> Answer:
        """Ask, and let the rules of the answer hold at once, as the gate does."""
        answer = await self.consent.ask(question)
        self.gate.policy = msgspec.structs.replace(
            self.gate.policy, allow=(*self.gate.policy.allow, *answer.rules)
        )
        return answer

    async def ask(self, question: Question, *typed: str) -> Answer:
        task = asyncio.create_task(self.consent.ask(question))
        for text in typed:
            while not self.consent.waits:
                await asyncio.sleep(0)
            self.consent.answer(text)
            await asyncio.sleep(0)
        return await task


async def test_yes_holds_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert await desk.ask(command("npm test"), "y") == Answer(allow=True)
    assert "$ npm test" in desk.text


async def test_for_the_session_gives_rules_and_says_them(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    answer = await desk.ask(command("npm test"), "s")
    assert [*map(str, answer.rules)] == ["Bash(npm test)"]
    assert "allowed for this session: Bash(npm test)" in desk.text
    assert not (tmp_path / ".apr").exists()


async def test_always_is_shown_before_it_is_chosen_and_kept_beside_what_is_there(
    tmp_path: Path,
) -> None:
    settings = tmp_path / ".apr" / "settings.local.json"
    settings.parent.mkdir()
    settings.write_text(
        '{"model": "m", "permissions": {"allow": ["Read(x)"], "deny": ["Bash(rm)"]}}'
    )
    desk = Desk(tmp_path)
    task = asyncio.create_task(desk.consent.ask(command("npm test")))
    while not desk.consent.waits:
        await asyncio.sleep(0)
    shown = "\n".join(desk.panel())
    assert "a  always (.apr/settings.local.json): Bash(npm test)" in shown
    assert "w  always, and wider: Bash(npm test:*)" in shown
    desk.consent.answer("w")
    assert [*map(str, (await task).rules)] == ["Bash(npm test:*)"]
    assert json.loads(settings.read_text()) == {
        "model": "m",
        "permissions": {"allow": ["Read(x)", "Bash(npm test:*)"], "deny": ["Bash(rm)"]},
    }
    assert f"kept in {settings}: Bash(npm test:*)" in desk.text


async def test_a_file_that_cannot_be_used_is_said_and_the_rule_holds_for_the_session(
    tmp_path: Path,
) -> None:
    (tmp_path / ".apr").mkdir()
    (tmp_path / ".apr" / "settings.local.json").write_text("{broken")
    desk = Desk(tmp_path)
    answer = await desk.ask(command("npm test"), "a")
    assert answer.allow
    assert "the rule could not be kept" in desk.text
    assert (tmp_path / ".apr" / "settings.local.json").read_text() == "{broken"


@pytest.mark.parametrize("link", [".apr", ".apr/settings.local.json"])
async def test_a_link_does_not_lead_a_rule_out_of_the_project(tmp_path: Path, link: str) -> None:
    own = tmp_path / "home" / "settings.local.json"
    own.parent.mkdir()
    own.write_text("{}")
    root = tmp_path / "project"
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(own if link.endswith("json") else own.parent)
    desk = Desk(root)
    assert (await desk.ask(command("npm test"), "a")).allow
    assert "the rule could not be kept" in desk.text
    assert "leads out of the project" in desk.text
    assert own.read_text() == "{}"


async def test_no_and_what_to_do_instead(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert await desk.ask(command("npm test"), "n") == Answer(allow=False)
    assert await desk.ask(command("npm test"), "No") == Answer(allow=False)
    instead = await desk.ask(command("npm test"), "use make")
    assert instead == Answer(allow=False, message="They say: use make")


async def test_enter_alone_and_slips_are_no_answers(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert await desk.ask(command("echo $X $(date)"), "", "  ", "s", "y") == Answer(allow=True)
    assert "There is no answer 's'." in desk.text


async def test_all_edits_can_be_accepted(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    answer = await desk.ask(edit(desk.root / "a.py"), "e")
    assert answer == Answer(allow=True, mode="acceptEdits")


async def test_an_edit_is_shown_before_it_is_made_and_all_of_it_on_demand(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    question = edit(desk.root / "a.py")
    question.call.input["content"] = "".join(f"line {n}\n" for n in range(100))
    task = asyncio.create_task(desk.consent.ask(question))
    while not desk.consent.waits:
        await asyncio.sleep(0)
    assert "new file · +100 -0" in desk.text
    assert "line 59\n" in desk.text
    assert "… +40 lines (Ctrl-O)" in desk.text
    assert "line 99" not in desk.text
    desk.screen.toggle_verbose()
    assert "line 99" in desk.text
    desk.consent.answer("y")
    assert (await task).allow


async def test_questions_wait_their_turn_and_are_not_asked_when_a_rule_answers_them(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    first = asyncio.create_task(desk.admit(command("npm test")))
    second = asyncio.create_task(desk.admit(command("npm test")))
    third = asyncio.create_task(desk.admit(command("make")))
    while not desk.consent.waits:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "2 more after this" in desk.panel()[0]
    desk.consent.answer("s")
    assert (await first).allow
    assert (await second).allow
    while not desk.consent.waits:
        await asyncio.sleep(0)
    assert "$ make" in desk.text
    assert desk.text.count("$ npm test") == 1
    desk.consent.answer("n")
    assert not (await third).allow


async def test_an_interrupt_withdraws_the_question(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    task = asyncio.create_task(desk.consent.ask(command("npm test")))
    while not desk.consent.waits:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not desk.consent.waits
    assert desk.panel() == []
    assert "the question is withdrawn" in desk.text
    assert (await desk.ask(command("npm test"), "y")).allow


async def test_a_subagents_question_says_who_asks(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    agent = ToolUseBlock("a1", "Agent", {"subagent_type": "Explore", "description": "look"})
    asked = command("npm test")
    for parent, call in ((None, agent), ("a1", asked.call)):
        desk.screen(
            AssistantTurn(
                v=1, turn=1, blocks=[call], stop_reason="tool_use", parent_tool_use_id=parent
            )
        )
        if parent is None:
            desk.screen(ToolStarted(agent))
    await desk.ask(asked, "y")
    assert "asked by a subagent (Explore: look)" in desk.text


async def test_the_input_of_other_tools_is_shown_readably_and_bounded(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    rows = "\n".join(f"row {n}" for n in range(50))
    await desk.ask(tool("mcp__db__query", sql=rows, options={"limit": 3}), "y")
    assert "? db · query (MCP)" in desk.text
    assert "sql: row 0\n" in desk.text
    assert "… +21 lines (Ctrl-O)" in desk.text


async def test_all_of_a_long_input_can_be_seen(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.ask(tool("mcp__db__query", sql=f"{'x' * 500} drop"), "y")
    assert "drop" not in desk.text
    assert "… +1 lines (Ctrl-O)" in desk.text
    desk.screen.toggle_verbose()
    assert " drop" in desk.text


async def test_the_end_of_a_long_command_is_shown_and_all_of_it_on_demand(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    hiding = f"npm test{' ' * 9000}&& echo middle{' ' * 9000}&& ./evil"
    await desk.ask(command(hiding, desk.root), "n")
    first, _, last = desk.text.partition(" rows (Ctrl-O)")
    assert "$ npm test" in first
    assert "&& ./evil" in last.partition("? asks")[0]
    assert desk.text.count("\n") < 50
    assert "echo middle" not in first + last.partition("? asks")[0]
    desk.screen.toggle_verbose()
    assert f"$ {hiding}" in desk.text


async def test_long_rules_are_shown_in_full_above_and_leave_room_for_the_answers(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    one, other = f"./run {'word ' * 60}one", f"./run {'word ' * 60}other"
    task = asyncio.create_task(desk.consent.ask(command(f"{one} && {other}", desk.root)))
    while not desk.consent.waits:
        await asyncio.sleep(0)
    assert f"  s, a: Bash({one}), Bash({other})\n" in desk.text
    shown = [said(line) for line in desk.screen.frame(40, 20)]
    assert shown[0].startswith("allow?")
    assert "(in full above)" in " ".join(shown)
    desk.consent.answer("n")
    await task
    before = len(desk.text)
    await desk.ask(command(one, desk.root), "n")
    assert desk.text[before:].count(one) == 1  # the rule is what the command says


async def test_where_a_command_runs_is_said(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.ask(command("./run", desk.root / "sub"), "n")
    assert "  in sub\n  $ ./run\n" in desk.text
    await desk.ask(command("./go", desk.root), "n")
    assert "  in " not in desk.text.partition("./go")[2]
    question = command("./serve", desk.root)
    question.call.input["run_in_background"] = True
    await desk.ask(question, "n")
    assert "  in the background\n  $ ./serve\n" in desk.text


async def test_no_question_opens_under_the_fingers_of_who_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "_PAUSE_S", 3600)
    desk = Desk(tmp_path)
    with create_pipe_input() as keys:
        session: PromptSession[str] = PromptSession(input=keys, output=DummyOutput())
        desk.consent.attach(session)
        line = asyncio.create_task(session.prompt_async())
        keys.send_text("use nump")
        while session.default_buffer.text != "use nump":
            await asyncio.sleep(0)
        asked = asyncio.create_task(desk.consent.ask(command("npm test")))
        keys.send_text("y\r")
        assert await line == "use numpy"
        assert not desk.consent.waits
        asked.cancel()


async def test_a_question_waits_for_the_input_to_be_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "_PAUSE_S", 0.01)
    desk = Desk(tmp_path)
    with create_pipe_input() as keys:
        session: PromptSession[str] = PromptSession(input=keys, output=DummyOutput())
        desk.consent.attach(session)
        asked = asyncio.create_task(desk.consent.ask(command("npm test")))
        keys.send_text("y\r")  # meant for a shell line that is running
        for _ in range(5):
            await asyncio.sleep(0)
        assert not desk.consent.waits
        monkeypatch.setattr(consent, "_PAUSE_S", 3600)
        assert await session.prompt_async() == "y"
        assert not desk.consent.waits
        asked.cancel()


def test_a_key_pressed_twice_answers_one_question(begin: Begin) -> None:
    both = (("Bash", {"command": "./first"}), ("Bash", {"command": "./second"}))
    terminal = begin(calls(*both), says("Done."), says("Again."))
    terminal.enter("go")
    terminal.until("first[\\s\\S]*allow\\?")
    terminal.type("y\ry\r")
    terminal.until("second[\\s\\S]*allow\\?")
    terminal.enter("n")
    terminal.until("Again\\.")
    results = [m for m in terminal.model.requests[1]["messages"] if m["role"] == "tool"]
    assert "did not allow" in results[1]["content"]


def test_a_draft_is_there_again_after_the_answer(begin: Begin) -> None:
    terminal = begin(calls(("Bash", {"command": "make it so"})), says("As you wish."))
    terminal.model.pause_after = 1
    terminal.enter("go")
    terminal.until("go\n")
    terminal.type("half a thou")
    terminal.until("> half a thou")
    terminal.model.go_on()
    terminal.until("allow\\?")
    assert "> half a thou" not in terminal.screen.display
    terminal.enter("n")
    terminal.until("As you wish\\.\n>? ?.*half a thou")


def test_a_plan_is_shown_and_agreed_to(begin: Begin, project: Path) -> None:
    plan = {"plan": "# Plan\n\n1. Write **a file**."}
    write = ("Write", {"file_path": "a.txt", "content": "x\n"})
    terminal = begin(
        calls(("ExitPlanMode", plan)),
        calls(write, first=2),
        says("Done."),
        options=("--permission-mode", "plan"),
    )
    terminal.enter("plan it")
    shown = terminal.until("accept edits without asking")
    assert "1. Write a file." in shown
    terminal.enter("e")
    terminal.until("Done\\.")
    assert (project / "a.txt").read_text() == "x\n"


def test_the_models_own_questions_are_answered(begin: Begin) -> None:
    questions = [
        {
            "question": "Which colour?",
            "options": [{"label": "red", "description": "warm"}, {"label": "blue"}],
        },
        {
            "question": "Which sizes?",
            "multiSelect": True,
            "options": [{"label": "small"}, {"label": "medium"}, {"label": "large"}],
        },
    ]
    terminal = begin(calls(("AskUserQuestion", {"questions": questions})), says("Thank you."))
    terminal.enter("go")
    assert "1  red — warm" in terminal.until("which\\?")
    terminal.enter("7")
    terminal.until("There are the options 1 to 2")
    terminal.type("\x1b[B\x1b[B\r")
    terminal.until("Which sizes")
    terminal.enter("1, 3")
    terminal.until("Thank you")
    told = json.dumps(terminal.model.requests[-1])
    assert "Which colour? blue" in told
    assert "Which sizes? small, large" in told
