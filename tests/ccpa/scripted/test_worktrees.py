"""Worktrees have other names in every run: a recorded one is called as the run calls it."""

from typing import Any

from ccpa.scripted.adapt import Adaptation
from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import Record
from tests.ccpa.scripted.talk import calls, messages, prompt, results, said, says, user

TREES = "/w/.claude/worktrees"
NAMED = f"Work in {TREES}/agent-11 and keep quiet."


def isolated(id_: str, prompt: str) -> tuple[str, str, dict[str, Any]]:
    return id_, "Agent", {"prompt": prompt, "isolation": "worktree"}


def session(*uses: tuple[str, str, dict[str, Any]]) -> list[Record]:
    return [
        prompt("Try it."),
        calls(*uses),
        calls(("r1", "Read", {"file_path": f"{TREES}/agent-5f2c/a.py"}), parent="t1"),
        calls(("r2", "Read", {"file_path": f"{TREES}/agent-60b1/a.py"}), parent="t2"),
        calls(("m", "Bash", {"command": "git merge worktree-agent-5f2c"}), number=3),
        says("agent-5f2c is merged; agent-5f2cc is not.", 5),
    ]


def inputs(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [block["input"] for block in answer["content"] if block["type"] == "tool_use"]


def test_each_subagent_has_its_own_and_the_chief_knows_them_afterwards() -> None:
    model = ScriptedModel(
        Script.from_trace(session(isolated("t1", "One way."), isolated("t2", "Another way."))),
        adaptation=Adaptation(),
    )
    with serving(model) as url:
        first = messages(url, user("Try it."))
        other = messages(url, user(f"Directory: {TREES}/agent-22", "Another way."))
        one = messages(url, user(f"Directory: {TREES}/agent-11", "One way."))
        merge = messages(url, user("Try it."), said(first), results("t1", "t2"))
    assert inputs(one) == [{"file_path": f"{TREES}/agent-11/a.py"}]
    assert inputs(other) == [{"file_path": f"{TREES}/agent-22/a.py"}]
    assert inputs(merge) == [{"command": "git merge worktree-agent-11"}]
    assert model.named == {"agent-5f2c": "agent-11", "agent-60b1": "agent-22"}


def test_a_name_is_replaced_as_a_word_only() -> None:
    adaptation = Adaptation(names={"agent-5f2c": "agent-11"})
    assert adaptation.text("agent-5f2c, agent-5f2cc, xagent-5f2c") == (
        "agent-11, agent-5f2cc, xagent-5f2c"
    )


def test_a_subagent_that_is_told_no_worktree_gets_the_recorded_name() -> None:
    model = ScriptedModel(
        Script.from_trace(session(isolated("t1", "One way."))), adaptation=Adaptation()
    )
    with serving(model) as url:
        messages(url, user("Try it."))
        one = messages(url, user("One way."))
    assert inputs(one) == [{"file_path": f"{TREES}/agent-5f2c/a.py"}]
    assert model.named == {}


def test_a_subagent_that_is_not_isolated_has_none() -> None:
    use = ("t1", "Agent", {"prompt": "One way."})
    model = ScriptedModel(Script.from_trace(session(use)), adaptation=Adaptation())
    with serving(model) as url:
        messages(url, user("Try it."))
        one = messages(url, user(NAMED, "One way."))
    assert inputs(one) == [{"file_path": f"{TREES}/agent-5f2c/a.py"}]
