"""`apr plugin` as a user runs it, with marketplaces in folders and in git repositories."""

import json
import subprocess
from pathlib import Path

import pytest

from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import HookEvent, SkillInvocation
from tests.apr.program import apr, calls, records, says

SKILL = """\
---
name: errors
description: How error messages are worded.
---
Say what happened.
"""


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """A marketplace `house` with a plugin `wording` that has a skill and a hook."""
    folder = tmp_path / "market"
    plugin = folder / "wording"
    write(
        folder / ".claude-plugin/marketplace.json",
        json.dumps({"name": "house", "plugins": [{"name": "wording", "source": "./wording"}]}),
    )
    write(plugin / ".claude-plugin/plugin.json", '{"name": "wording"}')
    write(plugin / "skills/errors/SKILL.md", SKILL)
    hook = {"type": "command", "command": 'test -f "${CLAUDE_PLUGIN_ROOT}/hooks/hooks.json"'}
    write(
        plugin / "hooks/hooks.json",
        json.dumps({"hooks": {"Stop": [{"hooks": [hook]}]}}),
    )
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def plugin(home: Path, project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return apr("plugin", *words, home=home, cwd=project)


def as_repository(folder: Path) -> None:
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "x")):
        subprocess.run([*git, *words], cwd=folder, check=True, capture_output=True)


def test_a_plugin_of_a_folder_is_added_used_and_removed(
    home: Path, project: Path, market: Path, tmp_path: Path
) -> None:
    assert plugin(home, project, "marketplace", "add", str(market)).stdout == (
        "house offers wording.\n"
    )
    added = plugin(home, project, "add", "wording@house")
    assert (added.returncode, added.stdout) == (0, "wording@house is on.\n")
    (listed,) = json.loads(plugin(home, project, "list", "--json").stdout)
    assert (listed["plugin"], listed["enabled"]) == ("wording@house", True)

    trace = tmp_path / "run.ccpa-trace.jsonl"
    with serving(
        ScriptedModel([calls(("Skill", {"skill": "wording:errors"})), says("Done.")])
    ) as url:
        done = apr(
            *("code", "--base-url", url, "--emit-trace", trace, "word it"), home=home, cwd=project
        )
    assert done.returncode == 0, done.stderr
    (used,) = [r for r in records(trace) if isinstance(r, SkillInvocation)]
    assert used.name == "wording:errors"
    (hook,) = [r for r in records(trace) if isinstance(r, HookEvent)]
    assert (hook.event, hook.exit_code) == ("Stop", 0)

    assert plugin(home, project, "remove", "wording@house").returncode == 0
    (listed,) = json.loads(plugin(home, project, "list", "--json").stdout)
    assert not listed["enabled"]


def test_a_marketplace_in_a_repository_is_cloned(home: Path, project: Path, market: Path) -> None:
    as_repository(market)
    done = plugin(home, project, "marketplace", "add", f"file://{market}")
    assert (done.returncode, done.stdout) == (0, "house offers wording.\n"), done.stderr
    assert plugin(home, project, "enable", "--local", "wording@house").returncode == 0
    settings = json.loads((project / ".apr/settings.local.json").read_text())
    assert settings == {"enabledPlugins": {"wording@house": True}}


def test_a_plugin_from_a_repository_of_its_own_is_cloned(
    home: Path, project: Path, market: Path
) -> None:
    as_repository(market / "wording")
    source = {"source": "url", "url": f"file://{market / 'wording'}"}
    offers = {"name": "house", "plugins": [{"name": "wording", "source": source}]}
    write(market / ".claude-plugin/marketplace.json", json.dumps(offers))
    plugin(home, project, "marketplace", "add", str(market))
    assert plugin(home, project, "enable", "wording@house").returncode == 2
    assert plugin(home, project, "add", "wording@house").returncode == 0
    assert (home / ".apr/plugins/fetched/house/wording/skills/errors/SKILL.md").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "wording"), "write NAME@MARKETPLACE"),
        (("add", "wording@nowhere"), "is not known"),
        (("enable", "other@house"), "does not offer 'other'"),
        (("marketplace", "add", "nothing here"), "is no folder"),
        (("marketplace", "add", "ext::sh -c touch% pwned"), "is no folder"),
        (("marketplace", "add", "."), "is no marketplace"),
    ],
)
def test_what_cannot_be_done_is_said(
    home: Path, project: Path, market: Path, words: tuple[str, ...], told: str
) -> None:
    plugin(home, project, "marketplace", "add", str(market))
    done = plugin(home, project, *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plugin_that_leads_out_of_its_marketplace_is_not_used(
    home: Path, project: Path, market: Path
) -> None:
    offers = {"name": "house", "plugins": [{"name": "wording", "source": "../../../etc"}]}
    write(market / ".claude-plugin/marketplace.json", json.dumps(offers))
    plugin(home, project, "marketplace", "add", str(market))
    done = plugin(home, project, "enable", "wording@house")
    assert (done.returncode, "leads out of it" in done.stderr) == (2, True)


def test_a_name_cannot_be_a_path(home: Path, project: Path, market: Path) -> None:
    write(market / ".claude-plugin/marketplace.json", json.dumps({"name": "../up", "plugins": []}))
    done = plugin(home, project, "marketplace", "add", str(market))
    assert (done.returncode, "cannot be the name" in done.stderr) == (2, True)


def test_a_broken_plugin_is_told_and_the_run_goes_on(
    home: Path, project: Path, market: Path
) -> None:
    plugin(home, project, "marketplace", "add", str(market))
    plugin(home, project, "add", "wording@house")
    write(market / "wording/.claude-plugin/plugin.json", "{")
    with serving(ScriptedModel([says("Done.")])) as url:
        done = apr("code", "--base-url", url, "go", home=home, cwd=project)
    assert (done.returncode, done.stdout) == (0, "Done.\n")
    assert "the plugin wording@house is not used" in done.stderr


def test_a_marketplace_is_taken_off_the_list(home: Path, project: Path, market: Path) -> None:
    plugin(home, project, "marketplace", "add", str(market))
    assert plugin(home, project, "marketplace", "remove", "house").returncode == 0
    assert plugin(home, project, "marketplace", "remove", "house").returncode == 1
    assert plugin(home, project, "marketplace", "list").stdout == ""
