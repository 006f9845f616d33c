"""What a subagent may do: what its chief may, at the time, where it works."""

from pathlib import Path
from typing import get_args

import pytest

from apr.agent.gate import Gate
from apr.agent.permissions import Mode, Policy, decide, parse_rules
from apr.hooks.base import NoHooks
from apr.subagents.borrowed import BorrowedGate, mode_of, moved
from apr.subagents.kinds import Kind
from apr.tools.base import Access

PROJECT = Path("/work/project")
TREE = PROJECT / ".claude/worktrees/agent-1"


def kind(mode: Mode | None = None, *, own: bool = False) -> Kind:
    return Kind(name="k", description="d", mode=mode, own=own)


@pytest.mark.parametrize("chief", get_args(Mode))
def test_without_a_mode_of_its_own_it_has_its_chiefs(chief: Mode) -> None:
    assert mode_of(chief, kind()) == chief


@pytest.mark.parametrize(
    ("chief", "wanted", "own", "has"),
    [
        ("plan", "bypassPermissions", True, "plan"),
        ("plan", "acceptEdits", True, "plan"),
        ("default", "acceptEdits", True, "acceptEdits"),
        ("default", "acceptEdits", False, "default"),
        ("default", "bypassPermissions", True, "default"),
        ("dontAsk", "default", True, "dontAsk"),
        ("default", "plan", False, "plan"),
        ("acceptEdits", "plan", False, "plan"),
        ("acceptEdits", "default", False, "default"),
        ("bypassPermissions", "dontAsk", False, "dontAsk"),
    ],
)
def test_its_own_mode_is_stricter_but_for_the_users_word(
    chief: Mode, wanted: Mode, own: bool, has: Mode
) -> None:
    assert mode_of(chief, kind(wanted, own=own)) == has


def test_it_follows_when_the_chiefs_mode_or_rules_change() -> None:
    chief = Gate(Policy(root=PROJECT, mode="acceptEdits"))
    gate = BorrowedGate(chief, PROJECT, kind(), NoHooks())
    assert gate.policy.mode == "acceptEdits"
    chief.policy = Policy(root=PROJECT, mode="plan", deny=parse_rules(["Bash"]))
    assert (gate.policy.mode, gate.policy.deny) == ("plan", parse_rules(["Bash"]))


def test_what_a_person_allows_it_for_the_session_is_allowed_to_all() -> None:
    chief = Gate(Policy(root=PROJECT, allow=parse_rules(["Bash(ls)"])))
    gate = BorrowedGate(chief, TREE, kind(), NoHooks(), parse_rules(["Bash(pwd)"]))
    policy = gate.policy
    gate.policy = Policy(root=TREE, allow=(*policy.allow, *parse_rules(["Bash(make)"])))
    assert chief.policy.allow == parse_rules(["Bash(ls)", "Bash(make)"])
    assert chief.policy.root == PROJECT
    assert gate.policy.allow == parse_rules(["Bash(ls)", "Bash(make)", "Bash(pwd)"])


def test_its_own_mode_does_not_become_the_chiefs() -> None:
    chief = Gate(Policy(root=PROJECT, mode="default"))
    gate = BorrowedGate(chief, PROJECT, kind("plan"), NoHooks())
    gate.policy = gate.policy
    assert chief.policy.mode == "default"


@pytest.mark.parametrize("mode", ["default", "acceptEdits", "bypassPermissions"])
@pytest.mark.parametrize(
    ("rule", "path", "allowed"),
    [
        ("Read(./secrets/**)", TREE / "secrets/key", False),
        ("Read(./secrets/**)", PROJECT / "secrets/key", False),
        ("Read(secrets/key)", PROJECT / "secrets/key", False),
        ("Read(/secrets)", PROJECT / "secrets/key", False),
        ("Read(.env)", PROJECT / "deep/er/.env", False),
        ("Read(**/.env)", PROJECT / ".env", False),
        ("Read(.env)", TREE / "deep/.env", False),
        ("Read(//work/project/.env)", PROJECT / ".env", False),
        ("Read(./secrets/**)", TREE / "src/a.py", True),
        ("Read(.claude/**)", TREE / "src/a.py", True),
        ("Read(.claude/**)", TREE / ".claude/settings.json", False),
    ],
)
def test_what_is_forbidden_in_the_project_is_forbidden_from_a_worktree_too(
    mode: Mode, rule: str, path: Path, allowed: bool
) -> None:
    policy = moved(Policy(root=PROJECT, mode=mode, deny=parse_rules([rule])), TREE)
    decision = decide(policy, "Read", Access(kind="read", paths=(path,)))
    assert (decision.behavior == "allow") is allowed


def test_what_is_allowed_in_the_project_is_allowed_in_the_worktree_alone() -> None:
    policy = moved(Policy(root=PROJECT, allow=parse_rules(["Edit(src/**)"])), TREE)
    inside = decide(policy, "Edit", Access(kind="write", paths=(TREE / "src/a.py",)))
    outside = decide(policy, "Edit", Access(kind="write", paths=(PROJECT / "src/a.py",)))
    assert (inside.behavior, outside.behavior) == ("allow", "ask")
