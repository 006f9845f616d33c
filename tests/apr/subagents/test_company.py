"""Subagents at work, in whole sessions: real tools, real hooks, a model whose answers are given."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from apr.agent.events import Event, Notice, PromptDone
from apr.agent.limits import Limits
from apr.errors import AprError
from apr.providers.base import ProviderError
from apr.subagents.company import MOST, MOST_AT_ONCE, Company, Task
from apr.subagents.kinds import BUILTIN
from ccpa.trace import AssistantTurn, HookEvent, SessionEnd, TextBlock, ToolResult
from tests.apr.assembled import Answer, Use, Voices, events, last_text, results, session


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))


def agent(prompt: str, **more: object) -> tuple[str, dict[str, object]]:
    return ("Agent", {"description": "look", "prompt": prompt, **more})


def kind(project: Path, name: str, head: str = "", body: str = "You help.") -> None:
    path = project / f".claude/agents/{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"---\nname: {name}\ndescription: Helps.\n{head}\n---\n{body}\n")


def settings(project: Path, **data: object) -> None:
    path = project / ".claude/settings.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data))


def theirs(happened: list[Event], kind: type[ToolResult] = ToolResult) -> list[ToolResult]:
    return [e for e in happened if isinstance(e, kind) and e.parent_tool_use_id]


async def test_the_chief_hears_the_last_words_alone(project: Path) -> None:
    read: Use = ("Read", {"file_path": "src/calc.py"})
    voices = Voices({"go": [agent("Find it."), "Done."], "Find it.": [read, "It subtracts."]})
    happened = await events(session(project, voices), "go")
    (result,) = results(happened)
    assert (result.ok, result.content) == (True, "It subtracts.")
    assert [r.parent_tool_use_id for r in theirs(happened)] == ["toolu_1"]
    assert "def add" not in str(voices.asked[-1].messages)
    assert voices.asked[1].system == voices.asked[0].system
    assert (
        voices.asked[1].tools == voices.asked[0].tools
    )  # so that the evaluated prefix serves both


async def test_each_has_a_list_of_tasks_of_its_own(project: Path) -> None:
    add: Use = ("TaskCreate", {"subject": "Look"})
    voices = Voices(
        {
            "go": [add, agent("Find it."), ("TaskList", {}), "Done."],
            "Find it.": [("TaskList", {}), ("TaskCreate", {"subject": "Theirs"}), "Found."],
        }
    )
    happened = await events(session(project, voices), "go")
    assert [r.content for r in theirs(happened)] == [
        "The list is empty.",
        "Added 1. pending: Theirs",
    ]
    assert results(happened)[-1].content == "1. pending: Look"


async def test_several_of_one_turn_work_at_the_same_time(project: Path) -> None:
    barrier = asyncio.Barrier(MOST_AT_ONCE)
    now, most = 0, 0

    async def meet(which: str) -> None:
        nonlocal now, most
        if which.startswith("task"):
            now += 1
            most = max(most, now)
            await barrier.wait()
            now -= 1

    tasks = [f"task {n}" for n in range(2 * MOST_AT_ONCE)]
    said: dict[str, list[Answer]] = {task: [f"{task} done"] for task in tasks}
    voices = Voices({"go": [[agent(task) for task in tasks], "Done."], **said}, meet)
    happened = await events(session(project, voices), "go")
    assert [result.content for result in results(happened)] == [f"{task} done" for task in tasks]
    assert most == MOST_AT_ONCE


async def test_there_is_a_bound_to_their_number(project: Path) -> None:
    tasks = [f"task {n}." for n in range(MOST + 1)]
    said: dict[str, list[Answer]] = {task: ["ok"] for task in tasks}
    voices = Voices({"go": [[agent(task) for task in tasks], "Done."], **said})
    contents = [result.content for result in results(await events(session(project, voices), "go"))]
    assert contents[:MOST] == ["ok"] * MOST
    assert f"this session has had {MOST} agents" in contents[MOST]


async def test_a_subagent_has_no_subagents(project: Path) -> None:
    voices = Voices({"go": [agent("Deep."), "Done."], "Deep.": [agent("Deeper."), "No."]})
    (refused,) = theirs(await events(session(project, voices), "go"))
    assert "There is no tool named 'Agent'" in refused.content


async def test_one_that_fails_is_an_error_with_its_last_words(project: Path) -> None:
    voices = Voices(
        {
            "go": [agent("Try."), "Done."],
            "Try.": [("Glob", {"pattern": "*"}), ProviderError("the server is gone")],
        }
    )
    (result,) = results(await events(session(project, voices), "go"))
    assert not result.ok
    assert "could not finish: the server is gone" in result.content


async def test_who_is_not_known_is_named_with_those_who_are(project: Path) -> None:
    voices = Voices({"go": [agent("x", subagent_type="Nobody"), "Done."]})
    (result,) = results(await events(session(project, voices), "go"))
    assert "there is no agent 'Nobody'. There are: general-purpose, Explore, Plan" in result.content


@pytest.mark.parametrize("called", ["Explore", "explore"])
@pytest.mark.parametrize(
    ("rule", "ok"), [("Agent(Explore)", False), ("Task(Explore)", False), ("Agent(Plan)", True)]
)
async def test_a_rule_can_forbid_a_kind_however_it_is_called(
    project: Path, called: str, rule: str, ok: bool
) -> None:
    settings(project, permissions={"deny": [rule]})
    voices = Voices({"go": [agent("x.", subagent_type=called), "Done."], "x.": ["Found."]})
    (result,) = results(await events(session(project, voices), "go"))
    assert result.ok is ok


async def test_task_is_another_name_of_it(project: Path) -> None:
    voices = Voices({"go": [("Task", agent("x.")[1]), "Done."], "x.": ["Found."]})
    (result,) = results(await events(session(project, voices), "go"))
    assert result.content == "Found."


async def test_a_kind_has_its_own_prompt_and_tools(project: Path) -> None:
    kind(project, "reader", "tools: Read, Gr*\ndisallowedTools: Grep", "You only read.")
    write: Use = ("Write", {"file_path": "x", "content": "x"})
    voices = Voices(
        {"go": [agent("Look.", subagent_type="reader"), "Done."], "Look.": [write, "No."]}
    )
    (refused,) = theirs(await events(session(project, voices, mode="bypassPermissions"), "go"))
    assert "There is no tool named 'Write'. The tools are: Read." in refused.content
    assert voices.asked[1].system == "You only read."
    assert [tool.name for tool in voices.asked[1].tools] == ["Read"]


async def test_a_kind_can_be_bounded_in_its_turns(project: Path) -> None:
    kind(project, "short", "maxTurns: 1")
    voices = Voices(
        {
            "go": [agent("x.", subagent_type="short"), "Done."],
            "x.": [("Glob", {"pattern": "*"}), "never said"],
        }
    )
    (result,) = results(await events(session(project, voices), "go"))
    assert "max_turns" in result.content


async def test_plan_mode_stays_plan_mode(project: Path) -> None:
    kind(project, "writer", "permissionMode: bypassPermissions")
    write: Use = ("Write", {"file_path": "x.txt", "content": "x"})
    voices = Voices(
        {"go": [agent("Do.", subagent_type="writer"), "Done."], "Do.": [write, "I cannot."]}
    )
    (refused,) = theirs(await events(session(project, voices, mode="plan"), "go"))
    assert (refused.ok, refused.denied_by) == (False, "mode")
    assert not (project / "x.txt").exists()


async def test_the_limit_on_tokens_is_one_for_all(project: Path) -> None:
    glob: Use = ("Glob", {"pattern": "*"})
    voices = Voices({"go": [agent("x."), "never said"], "x.": [glob, glob, glob, "never said"]})
    happened = await events(session(project, voices, limits=Limits(tokens=150)), "go")
    assert len(voices.asked) == 3
    (end,) = [e for e in happened if isinstance(e, SessionEnd)]
    assert end.stop_reason == "max_tokens"
    assert (end.tokens_in, end.tokens_out) == (300, 30)


async def test_it_reads_the_instruction_files_and_those_of_the_directories_it_enters(
    project: Path,
) -> None:
    (project / "CLAUDE.md").write_text("Say please.")
    (project / "src/CLAUDE.md").write_text("Use tabs here.")
    kind(project, "bare", "omitClaudeMd: true")
    read: Use = ("Read", {"file_path": "src/calc.py"})
    voices = Voices(
        {
            "go": [[agent("one."), agent("two.", subagent_type="bare")], read, "Done."],
            "one.": [read, "1"],
            "two.": [read, "2"],
        }
    )
    await events(session(project, voices), "go")
    assert "Say please." in voices.first_prompt("one.")
    assert "Say please." not in voices.first_prompt("two.")
    histories = [str(request.messages) for request in voices.asked]
    assert any("Use tabs here." in text and "one." in text for text in histories)
    assert "Use tabs here." in histories[-1]  # the chief is told, too, when it goes there


async def test_skills_can_be_read_before_the_task(project: Path) -> None:
    skill = project / ".claude/skills/house/SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("---\ndescription: Rules.\n---\nNo tabs.")
    kind(project, "styler", "skills: house, nothing")
    voices = Voices({"go": [agent("x.", subagent_type="styler"), "Done."], "x.": ["ok"]})
    await events(session(project, voices), "go")
    assert "No tabs." in voices.first_prompt("x.")


async def test_hooks_are_told_who_it_is(project: Path) -> None:
    seen = project / "seen.jsonl"
    note = {"type": "command", "command": f"cat >> {seen}"}
    says = {"type": "command", "command": f"cat >> {seen}; echo "
            "'{\"hookSpecificOutput\": {\"additionalContext\": \"Mind the gap.\"}}'"}  # fmt: skip
    settings(
        project,
        hooks={
            "SubagentStart": [{"matcher": "Explore", "hooks": [says]}],
            "SubagentStop": [
                {"matcher": "Explore", "hooks": [note]},
                {"matcher": "Plan", "hooks": [{"type": "command", "command": "touch wrong"}]},
            ],
            "PreToolUse": [{"matcher": "Glob", "hooks": [note]}],
            "UserPromptSubmit": [{"hooks": [note]}],
            "Stop": [{"hooks": [note]}],
        },
    )
    voices = Voices(
        {
            "go": [agent("x.", subagent_type="explore"), "Done."],
            "x.": [("Glob", {"pattern": "*"}), "Found."],
        }
    )
    happened = await events(session(project, voices), "go")
    told = [json.loads(line) for line in seen.read_text().splitlines()]
    assert [(one["hook_event_name"], one.get("agent_type")) for one in told] == [
        ("UserPromptSubmit", None),
        ("SubagentStart", "Explore"),
        ("PreToolUse", "Explore"),
        ("SubagentStop", "Explore"),
        ("Stop", None),
    ]
    assert told[1]["agent_id"] == told[2]["agent_id"] == "agent-1"
    assert "Mind the gap." in voices.first_prompt("x.")
    assert not (project / "wrong").exists()
    ran = [(e.event, bool(e.parent_tool_use_id)) for e in happened if isinstance(e, HookEvent)]
    assert ran[1:4] == [("SubagentStart", False), ("PreToolUse", True), ("SubagentStop", True)]


async def test_a_hook_can_keep_it_at_work(project: Path) -> None:
    stop = "test -f done || { touch done; echo 'Look again.' >&2; exit 2; }"
    settings(project, hooks={"SubagentStop": [{"hooks": [{"type": "command", "command": stop}]}]})
    voices = Voices({"go": [agent("x."), "Done."], "x.": ["Nothing.", "Something."]})
    (result,) = results(await events(session(project, voices), "go"))
    assert result.content == "Something."


async def test_in_the_background_the_run_waits_for_it_at_its_end(project: Path) -> None:
    gate = asyncio.Event()

    async def wait(which: str) -> None:
        if which == "slow.":
            await gate.wait()

    voices = Voices(
        {
            "go": [
                agent("slow.", run_in_background=True),
                ("TaskOutput", {"task_id": "agent-1"}),
                "I wait.",
                ("TaskOutput", {"task_id": "agent-1"}),
                ("TaskOutput", {"task_id": "bash_9"}),
                "All done.",
            ],
            "slow.": [("Glob", {"pattern": "*"}), "It is slow."],
        },
        wait,
    )
    assembled = session(project, voices)
    happened: list[Event] = []
    async for event in assembled.agent.converse(["go"], preface=assembled.preface):
        happened.append(event)
        if isinstance(event, AssistantTurn) and event.blocks == [TextBlock("I wait.")]:
            gate.set()
    await assembled.close()
    contents = [result.content for result in results(happened)]
    assert contents[0].startswith("agent-1 works in the background.")
    assert contents[1] == "[running]\n[it has said nothing yet]"
    assert contents[2] == "[done]\nIt is slow."
    assert "No background shell bash_9" in contents[3]
    assert [r.parent_tool_use_id for r in theirs(happened)] == ["toolu_1"]
    assert "agent-1 (look) is done:\\nIt is slow." in str(voices.asked[-1].messages)
    assert last_text(happened) == "All done."


async def test_one_in_the_background_can_be_stopped(project: Path) -> None:
    never = asyncio.Event()

    async def wait(which: str) -> None:
        if which == "slow.":
            await never.wait()

    stop: Use = ("TaskStop", {"task_id": "agent-1"})
    voices = Voices(
        {
            "go": [
                agent("slow.", run_in_background=True),
                stop,
                ("TaskOutput", {"task_id": "agent-1"}),
                stop,
                "Done.",
            ],
            "slow.": [],
        },
        wait,
    )
    happened = await events(session(project, voices), "go")
    contents = [result.content for result in results(happened)]
    assert contents[1:] == [
        "Killed agent-1.",
        "[killed]\nIt was stopped.",
        "agent-1 had ended.",
    ]


async def test_one_that_is_stopped_before_it_has_begun_is_stopped(project: Path) -> None:
    assembled = session(project, Voices({}))
    company = assembled.agent.background
    assert isinstance(company, Company)
    task = Task(kind=BUILTIN[0], description="d", prompt="slow.")
    company.start(task, assembled.agent.context)
    await company.stop("agent-1")
    outcome = company.background["agent-1"].outcome
    assert outcome is not None
    assert (outcome.ok, outcome.content) == (False, "It was stopped.")
    assert [event async for event in company.news()] == []
    await assembled.close()


async def test_one_in_the_background_that_cannot_begin_is_told_of(project: Path) -> None:
    kind(project, "later", "background: true\nisolation: worktree")
    voices = Voices({"go": [agent("x.", subagent_type="later"), "I wait.", "I see."]})
    happened = await events(session(project, voices), "go")
    assert last_text(happened) == "I see."
    assert "agent-1 (look) has failed:" in str(voices.asked[-1].messages)
    assert "not a git repository" in str(voices.asked[-1].messages)


async def test_an_interrupt_ends_them_and_the_records_are_whole(project: Path) -> None:
    voices = Voices(
        {
            "go": [agent("x."), "never said"],
            "x.": [("Bash", {"command": "sleep 600"}), "never said"],
        }
    )
    assembled = session(project, voices, mode="bypassPermissions")
    happened: list[Event] = []
    async for event in assembled.agent.converse(["go"], preface=assembled.preface):
        happened.append(event)
        if isinstance(event, AssistantTurn) and event.parent_tool_use_id:
            asyncio.get_running_loop().call_soon(assembled.agent.interrupt)
    await assembled.close()
    (cut,) = theirs(happened)
    assert (cut.ok, "Interrupted" in cut.content) == (False, True)
    (result,) = results(happened)
    assert "Interrupted" in result.content
    assert PromptDone("error", "interrupted") in happened


async def test_the_end_of_the_session_ends_those_in_the_background_with_whole_records(
    project: Path,
) -> None:
    voices = Voices(
        {
            "go": [agent("slow.", run_in_background=True), ProviderError("the server is gone")],
            "slow.": [("Bash", {"command": "touch begun; sleep 600"}), "never said"],
        },
    )

    async def begun(which: str) -> None:
        while which == "go" and len(voices.asked) > 1 and not (project / "begun").exists():
            await asyncio.sleep(0.01)

    voices.before = begun
    happened = await events(session(project, voices, mode="bypassPermissions"), "go")
    (cut,) = theirs(happened)
    assert (cut.ok, "Interrupted" in cut.content) == (False, True)
    assert isinstance(happened[-1], SessionEnd)


async def test_the_shells_of_its_chief_go_on_without_it(project: Path) -> None:
    (project / "src/x.py").write_text("")
    begin: Use = ("Bash", {"command": "sleep 600", "run_in_background": True})
    voices = Voices(
        {
            "go": [begin, agent("x."), ("BashOutput", {"bash_id": "bash_1"}), "Done."],
            "x.": [begin, "I have one, too."],
        }
    )
    happened = await events(session(project, voices, mode="bypassPermissions"), "go")
    assert results(happened)[2].content.startswith("[running]")


async def test_it_works_in_a_worktree_of_its_own(project: Path) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    (project / "CLAUDE.md").write_text("Say please.")
    (project / "src/CLAUDE.md").write_text("Use tabs here.")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], cwd=project, check=True)
    write: Use = ("Write", {"file_path": "new.py", "content": "x = 1\n"})
    read: Use = ("Read", {"file_path": "src/calc.py"})
    outside: Use = ("Read", {"file_path": str(project / "README.md")})
    voices = Voices(
        {
            "go": [agent("Try.", isolation="worktree"), "Done."],
            "Try.": [[write, read, outside], "Tried."],
        }
    )
    happened = await events(session(project, voices, mode="acceptEdits"), "go")
    (result,) = results(happened)
    assert result.content.startswith("Tried.\n\nWorktree: ")
    (tree,) = (project / ".claude/worktrees").iterdir()
    assert (tree / "new.py").read_text() == "x = 1\n"
    assert not (project / "new.py").exists()
    assert [one.ok for one in theirs(happened)] == [True, True, False]
    assert f"Working directory: {tree}" in voices.first_prompt("Try.")
    assert voices.first_prompt("Try.").count("Say please.") == 1
    told = str(voices.asked[2].messages)
    assert told.count("Use tabs here.") == 1
    assert told.count("Say please.") == 1
    assert any(isinstance(e, Notice) and str(tree) in e.text for e in happened)


async def test_a_kind_works_with_the_model_that_it_names(project: Path) -> None:
    kind(project, "other", head="model: small")
    ask = agent("Find it.", subagent_type="other")
    chief = Voices({"go": [ask, "Once more.", ask, "Done."]})
    small, opened = Voices({"Find it.": ["Found.", "Found again."]}), []

    def open_model(name: str) -> tuple[Voices, str]:
        opened.append(name)
        return small, name

    happened = await events(session(project, chief, open_model=open_model), "go", "again")
    assert [result.content for result in results(happened)] == ["Found.", "Found again."]
    assert opened == ["small"]


async def test_a_kind_whose_model_is_not_here_works_with_the_sessions(project: Path) -> None:
    kind(project, "other", head="model: small")
    voices = Voices(
        {"go": [agent("Find it.", subagent_type="other"), "Done."], "Find it.": ["Found."]}
    )

    def open_model(name: str) -> tuple[Voices, str]:
        raise AprError(f"there is no model {name}")

    happened = await events(session(project, voices, open_model=open_model), "go")
    assert results(happened)[0].content == "Found."
    (notice,) = [event for event in happened if isinstance(event, Notice)]
    assert notice.text == "other works with the session's model: there is no model small"


async def test_a_call_chooses_a_model_before_the_kind_does(project: Path) -> None:
    kind(project, "other", head="model: small")
    asks = [
        agent("Find it.", subagent_type="other", model="large"),
        agent("Find it.", subagent_type="other", model="haiku"),
        agent("Find it.", model="sonnet"),
    ]
    voices = Voices({"go": [*asks, "Done."], "Find it.": ["The session's."]})
    there = {name: Voices({"Find it.": [f"The {name} one's."]}) for name in ("large", "small")}
    happened = await events(
        session(project, voices, open_model=lambda name: (there[name], name)), "go"
    )
    assert [result.content for result in results(happened)] == [
        "The large one's.",
        "The small one's.",
        "The session's.",
    ]
