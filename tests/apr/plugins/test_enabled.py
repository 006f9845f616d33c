"""What plugins bring that are turned on; nothing of them is run here."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.plugins.enabled import Brought, bring
from apr.plugins.fetching import add_marketplace, fetch_plugin, source_of, url_of
from apr.plugins.manifest import PluginError, check_name, within
from apr.settings import Settings, load
from apr.skills.found import discover
from apr.subagents import definitions

SKILL = "---\ndescription: It does.\n---\nDo it.\n"


def write(path: Path, data: str | dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))


@pytest.fixture
def market(tmp_path: Path) -> Path:
    folder = tmp_path / "market"
    write(folder / "skills/one/SKILL.md", SKILL)
    write(folder / "skills/two/SKILL.md", SKILL)
    write(folder / "tool/skills/own/SKILL.md", SKILL)
    write(folder / "tool/commands/sub/run.md", "Run it.")
    write(folder / "tool/agents/helper.md", "---\ndescription: Helps.\npermissionMode: plan\n---\n")
    write(folder / "tool/extra/more.md", "More.")
    return folder


def offers(market: Path, *plugins: dict[str, Any], **more: Any) -> None:
    write(
        market / ".claude-plugin/marketplace.json",
        {"name": "house", "plugins": list(plugins), **more},
    )


def brought(home: Path, project: Path, market: Path, *names: str) -> Brought:
    on = {f"{name}@house": True for name in names}
    source = {"source": {"source": "directory", "path": str(market)}}
    write(
        home / ".claude/settings.json",
        {"enabledPlugins": on, "extraKnownMarketplaces": {"house": source}},
    )
    env = {"HOME": str(home)}
    return bring(project, env, load(project, env))


def names(found: Brought) -> list[str]:
    return sorted(discover(found.places)[0])


def test_everything_has_the_plugins_name_before_its_own(
    home: Path, project: Path, market: Path
) -> None:
    offers(market, {"name": "tool", "source": "./tool"})
    found = brought(home, project, market, "tool")
    assert names(found) == ["tool:own", "tool:sub:run"]
    kinds, notices = definitions.read(found.places)
    assert list(kinds) == ["tool:helper"]
    assert kinds["tool:helper"].mode is None
    assert "permissionmode: of no effect here" in notices[0]


def test_a_manifest_names_further_folders_and_files(
    home: Path, project: Path, market: Path
) -> None:
    write(
        market / "tool/.claude-plugin/plugin.json",
        {"name": "tool", "commands": ["./extra/more.md"], "skills": "./extra"},
    )
    write(market / "tool/extra/third/SKILL.md", SKILL)
    offers(market, {"name": "tool", "source": "./tool"})
    assert names(brought(home, project, market, "tool")) == [
        "tool:more",
        "tool:own",
        "tool:third",
    ]


def test_a_marketplace_may_describe_plugins_that_have_no_manifest(
    home: Path, project: Path, market: Path
) -> None:
    offers(
        market,
        {"name": "first", "source": "./", "strict": False, "skills": ["./skills/one"]},
        {"name": "second", "source": "./", "strict": False, "skills": ["./skills/two"]},
    )
    assert names(brought(home, project, market, "first", "second")) == ["first:one", "second:two"]


def test_plugins_may_have_a_root_of_their_own(home: Path, project: Path, market: Path) -> None:
    (market / "plugins").mkdir()
    (market / "tool").rename(market / "plugins/tool")
    offers(market, {"name": "tool", "source": "tool"}, metadata={"pluginRoot": "./plugins"})
    assert "tool:own" in names(brought(home, project, market, "tool"))


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ("{", "plugin.json"),
        ('{"name": "../up"}', "cannot be the name"),
        ('{"name": "tool", "skills": "../../elsewhere"}', "leads out of it"),
        ('{"name": "tool", "hooks": "../hooks.json"}', "leads out of it"),
        ('{"name": "tool", "mcpServers": "/etc/passwd"}', "leads out of it"),
        ('{"name": "tool", "hooks": {"Stop": 3}}', "hooks"),
    ],
)
def test_a_plugin_that_cannot_be_used_brings_nothing_at_all(
    home: Path, project: Path, market: Path, manifest: str, told: str
) -> None:
    write(market / "tool/.claude-plugin/plugin.json", manifest)
    offers(market, {"name": "tool", "source": "./tool"})
    found = brought(home, project, market, "tool")
    assert (found.places, found.hooks, found.servers, found.folders) == ([], [], {}, {})
    assert told in found.notices[0]


def test_a_link_out_of_the_plugin_is_not_followed(
    home: Path, project: Path, market: Path, tmp_path: Path
) -> None:
    write(tmp_path / "secret/SKILL.md", SKILL)
    (market / "tool/skills/theft").symlink_to(tmp_path / "secret")
    offers(market, {"name": "tool", "source": "./tool"})
    assert "tool:theft" not in names(brought(home, project, market, "tool"))


def test_servers_are_told_where_the_plugin_is(home: Path, project: Path, market: Path) -> None:
    server = {"command": "${CLAUDE_PLUGIN_ROOT}/serve", "args": ["${CLAUDE_PLUGIN_ROOT}"]}
    write(market / "tool/.mcp.json", {"mcpServers": {"db": server}})
    offers(market, {"name": "tool", "source": "./tool"})
    found = brought(home, project, market, "tool")
    folder = str(market / "tool")
    assert found.servers == {"plugin:tool:db": {"command": f"{folder}/serve", "args": [folder]}}


def git(folder: Path, *words: str) -> str:
    own = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_a_commit_that_is_named_is_the_one_that_is_fetched(
    home: Path, project: Path, market: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    write(repository / "part/skills/own/SKILL.md", SKILL)
    git(repository, "init", "-q")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "good")
    commit = git(repository, "rev-parse", "HEAD")
    write(repository / "part/skills/own/SKILL.md", SKILL + "And steal.")
    git(repository, "commit", "-qam", "bad")
    url = f"file://{repository}"
    source = {"source": "git-subdir", "url": url, "path": "part", "sha": commit}
    offers(market, {"name": "pinned", "source": source})
    env = {"HOME": str(home), "APR_HOME": str(home / ".apr")}
    known = add_marketplace(project, env, Settings(), source_of(str(market), project))
    fetch_plugin(env, known, "pinned")
    path = home / ".apr/plugins/fetched/house/pinned/skills/own/SKILL.md"
    assert path.read_text() == SKILL
    source["sha"] = "--upload-pack=touch"
    offers(market, {"name": "pinned", "source": source})
    with pytest.raises(PluginError, match="is no commit"):
        fetch_plugin(env, known, "pinned")
    assert path.read_text() == SKILL


@pytest.mark.parametrize(
    "source",
    [{"source": "npm", "package": "x"}, {"source": "github", "repo": "a/b/../c"}, {}, {"url": "x"}],
)
def test_what_cannot_be_fetched_is_refused(source: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match="cannot be fetched"):
        url_of(source)


@given(st.text())
def test_a_path_of_a_manifest_stays_in_its_folder(path: str) -> None:
    folder = Path("/nowhere/plugin")
    try:
        found = within(folder, path)
    except PluginError:
        return
    assert found.is_relative_to(folder)


@given(st.text())
def test_a_name_is_one_part_of_a_path(name: str) -> None:
    try:
        check_name(name)
    except PluginError:
        return
    assert Path("/x", name).parent == Path("/x")
    assert Path("/x", name).name == name
