"""What an answer changes: the rules, the mode, the directories, and what is kept of it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apr.agent.asking import Question
from apr.agent.permissions import Policy, Rule
from apr.errors import AprError
from apr.headless.consent import Update, changed, keep, suggestions, with_mode
from apr.settings import Settings
from apr.settings.schema import Permissions
from apr.tools.base import Access
from ccpa.trace import ToolUseBlock

LS, GIT = Rule("Bash", "ls"), Rule("Bash", "git:*")
FIXED = Settings(permissions=Permissions(deny=("Read(secret)",)))


def update(kind: str, **fields: Any) -> Update:
    return msgspec.convert({"type": kind, "destination": "session", **fields}, Update)


def rules(kind: str, behavior: str, *texts: tuple[str, str | None]) -> Update:
    given = [{"toolName": name, "ruleContent": content} for name, content in texts]
    return update(kind, behavior=behavior, rules=given)


def after(policy: Policy, *updates: Update, settings: Settings = FIXED) -> Policy:
    return changed(policy, updates, settings)


def test_rules_are_added_removed_and_replaced(tmp_path: Path) -> None:
    policy = Policy(root=tmp_path, allow=(LS,))
    added = after(policy, rules("addRules", "allow", ("Bash", "git:*"), ("Bash", "ls")))
    assert added.allow == (LS, GIT)
    assert after(added, rules("removeRules", "allow", ("Bash", "ls"))).allow == (GIT,)
    assert after(added, rules("replaceRules", "allow", ("Read", None))).allow == (Rule("Read"),)
    assert after(policy, rules("addRules", "deny", ("Bash", "*"))).deny == (Rule("Bash"),)


def test_what_the_settings_forbid_stays_forbidden(tmp_path: Path) -> None:
    secret = Rule("Read", "secret")
    policy = Policy(root=tmp_path, deny=(secret, LS))
    assert after(policy, rules("replaceRules", "deny")).deny == (secret,)
    assert after(policy, rules("removeRules", "deny", ("Read", "secret"))).deny == (LS, secret)


def test_where_only_the_organisation_allows_nothing_is_added(tmp_path: Path) -> None:
    managed = Settings(allow_managed_permission_rules_only=True)
    with pytest.raises(AprError, match="organisation"):
        after(Policy(root=tmp_path), rules("addRules", "allow", ("Bash", None)), settings=managed)


def test_the_mode_changes_as_far_as_the_settings_let_it(tmp_path: Path) -> None:
    policy = Policy(root=tmp_path)
    assert after(policy, update("setMode", mode="plan")).mode == "plan"
    assert with_mode(policy, "dontAsk", Settings()).mode == "dontAsk"
    with pytest.raises(AprError, match="no permission mode"):
        after(policy, update("setMode"))


def test_directories_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    policy = after(Policy(root=tmp_path), update("addDirectories", directories=["beside"]))
    assert policy.directories == (tmp_path / "beside",)
    assert after(policy, update("removeDirectories", directories=["beside"])).directories == ()
    with pytest.raises(AprError, match="not a directory"):
        after(policy, update("addDirectories", directories=["nowhere"]))


@pytest.mark.parametrize("name", ["", "Bash(", "Ba sh", "Bash,Read", "Bash)"])
def test_a_rule_needs_the_name_of_a_tool(tmp_path: Path, name: str) -> None:
    with pytest.raises(AprError, match="not the name of a tool"):
        after(Policy(root=tmp_path), rules("addRules", "allow", (name, None)))


def test_what_is_kept_is_added_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / ".apr" / "settings.local.json"
    path.parent.mkdir()
    path.write_text('{"model": "m", "permissions": {"allow": ["Bash(ls)"]}}')
    git = rules("addRules", "allow", ("Bash", "git:*"), ("Bash", "ls"))
    mode = update("setMode", mode="acceptEdits")
    kept = [msgspec.structs.replace(one, destination="localSettings") for one in (git, mode)]
    keep([*kept, rules("addRules", "allow", ("Read", None))], tmp_path)
    assert json.loads(path.read_text()) == {
        "model": "m",
        "permissions": {"allow": ["Bash(ls)", "Bash(git:*)"], "defaultMode": "acceptEdits"},
    }


def test_a_rule_that_would_read_as_another_is_not_kept(tmp_path: Path) -> None:
    odd = rules("addRules", "allow", ("Bash", "echo ')' x"))
    with pytest.raises(AprError, match="cannot be kept"):
        keep([msgspec.structs.replace(odd, destination="localSettings")], tmp_path)
    assert after(Policy(root=tmp_path), odd).allow == (Rule("Bash", "echo ')' x"),)


@pytest.mark.parametrize(
    ("command", "suggested"),
    [("npm test", 1), ("rm *.tmp", 0), ("echo ')' x", 0), ("", 0)],
)
def test_only_a_command_that_stands_for_itself_is_suggested(command: str, suggested: int) -> None:
    call = ToolUseBlock("t", "Bash", {"command": command})
    access = Access(kind="execute", command=command)
    assert len(suggestions(Question(call=call, access=access, reason=""))) == suggested
