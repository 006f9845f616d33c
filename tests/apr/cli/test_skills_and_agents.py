"""Skills, commands and subagents as a user has them: real processes, a scripted model."""

import json
import subprocess
from pathlib import Path

import pytest

from ccpa.scripted.script import MAIN, Conversation, Script
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import AssistantTurn, HookEvent, SkillInvocation, ToolResult
from tests.apr.program import apr, calls, problems, records, says


def recording(*tasks: dict[str, str]) -> ScriptedModel:
    """Return a model that gives these tasks to subagents, and is each of them."""
    uses = [("Agent", {"description": "look", **task}) for task in tasks]
    main = Conversation(name=MAIN, prompt="go", turns=(calls(*uses), says("Done.")))
    look = ("Read", {"file_path": "README.md"})
    theirs = [
        Conversation(
            name=f"toolu_{n}",
            prompt=task["prompt"],
            turns=(calls(look, first=10 * n), says(f"It adds, says number {n}.")),
        )
        for n, task in enumerate(tasks, 1)
    ]
    return ScriptedModel(Script((main, *theirs)))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def code(home: Path, project: Path, model: ScriptedModel, *words: str | Path) -> str:
    with serving(model) as url:
        done = apr("code", "--base-url", url, *words, home=home, cwd=project)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_subagents_beside_each_other_leave_a_whole_trace(
    home: Path, project: Path, tmp_path: Path
) -> None:
    note = {"type": "command", "command": "true"}
    hooks = {name: [{"hooks": [note]}] for name in ("SubagentStart", "SubagentStop", "PreToolUse")}
    write(project / ".claude/settings.json", json.dumps({"hooks": hooks}))
    trace = tmp_path / "run.ccpa-trace.jsonl"
    tasks = [{"prompt": f"Read part {n}."} for n in range(3)]
    assert code(home, project, recording(*tasks), "--emit-trace", trace, "go") == "Done.\n"
    assert problems(trace) == []
    happened = records(trace)
    by_parent = [e.parent_tool_use_id for e in happened if isinstance(e, AssistantTurn)]
    assert sorted(filter(None, by_parent)) == sorted(f"toolu_{n}" for n in (1, 2, 3) for _ in "ab")
    contents = [
        e.content for e in happened if isinstance(e, ToolResult) and not e.parent_tool_use_id
    ]
    assert contents == [f"It adds, says number {n}." for n in (1, 2, 3)]
    ran = [e.event for e in happened if isinstance(e, HookEvent)]
    assert {name: ran.count(name) for name in hooks} == {
        "SubagentStart": 3,
        "SubagentStop": 3,
        "PreToolUse": 6,
    }


def test_agents_can_be_given_on_the_command_line(home: Path, project: Path) -> None:
    agents = {"looker": {"description": "Looks.", "prompt": "You look.", "tools": ["Read"]}}
    model = recording({"prompt": "Read it.", "subagent_type": "looker"})
    out = code(home, project, model, "--agents", json.dumps(agents), "--output-format=json", "go")
    assert json.loads(out)["result"] == "Done."


@pytest.mark.parametrize(("written", "asked"), [("small", "small"), ("haiku", "large")])
def test_an_agent_asks_the_model_that_it_names(
    home: Path, project: Path, written: str, asked: str
) -> None:
    write(
        project / ".claude/agents/looker.md",
        f"---\nname: looker\ndescription: Looks.\nmodel: {written}\n---\nYou look.",
    )
    model = recording({"prompt": "Read it.", "subagent_type": "looker"})
    code(home, project, model, "--model", "large", "go")
    assert [request["model"] for request in model.requests] == ["large", asked, asked, "large"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{", "--agents: "),
        ('{"x": {"prompt": "p"}}', "`description`"),
        ('{"x": {"description": "d", "prompt": "p", "permissionMode": "all"}}', "permissionMode"),
    ],
)
def test_agents_that_are_none_are_refused(home: Path, project: Path, given: str, told: str) -> None:
    nowhere = ("--base-url", "http://127.0.0.1:9/v1")
    done = apr("code", *nowhere, "--agents", given, "go", home=home, cwd=project)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_wrong_with_a_file_is_told_and_the_run_goes_on(home: Path, project: Path) -> None:
    write(project / ".claude/agents/odd.md", "---\nname: odd\n---\nx")
    write(project / ".claude/skills/bad/SKILL.md", "\0")
    write(project / ".claude/skills/\x1b[31mred/SKILL.md", "\0")
    with serving(ScriptedModel([])) as url:
        done = apr("code", "--base-url", url, "go", home=home, cwd=project)
    assert "odd.md is not used: it has no description" in done.stderr
    assert "bad/SKILL.md is not used: it is not text" in done.stderr
    assert "skills/\\x1b[31mred/SKILL.md is not used" in done.stderr
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_agent_in_a_worktree_leaves_the_tree_as_it_was(
    home: Path, project: Path, tmp_path: Path
) -> None:
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "x")):
        subprocess.run([*git, *words], cwd=project, check=True)
    trace = tmp_path / "run.ccpa-trace.jsonl"
    model = recording(*({"prompt": f"Try {n}.", "isolation": "worktree"} for n in range(2)))
    code(home, project, model, "--emit-trace", trace, "go")
    assert problems(trace) == []
    start, *_, end = trace.read_text().splitlines()
    assert json.loads(start)["cwd_sha256"] == json.loads(end)["cwd_sha256_after"]
    status = subprocess.run([*git, "status", "--porcelain"], cwd=project, capture_output=True)
    assert status.stdout == b""
    assert not list((project / ".claude/worktrees").iterdir())


def test_a_command_of_the_users_is_in_the_trace(home: Path, project: Path, tmp_path: Path) -> None:
    write(home / ".claude/commands/tidy/up.md", "Tidy $1, then say so.")
    trace = tmp_path / "run.ccpa-trace.jsonl"
    code(home, project, ScriptedModel([says("Done.")]), "--emit-trace", trace, "/tidy:up src")
    (used,) = [r for r in records(trace) if isinstance(r, SkillInvocation)]
    assert (used.name, used.source) == ("tidy:up", "user_invoked")
    assert problems(trace) == []
