"""Which settings count, and who may set what."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.settings import (
    Layer,
    Rung,
    Settings,
    SettingsError,
    Source,
    load,
    permission_mode,
    rules,
    settle,
)
from apr.settings.merge import combine, leaves


def write(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


class Place:
    """A project, a home and a policy folder."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home, self.policy = (folder / n for n in ("project", "home", "policy"))
        self.root.mkdir()

    def load(self, **more: object) -> Settings:
        env = {"HOME": str(self.home)}
        return load(self.root, env, managed=[self.policy], **more)  # type: ignore[arg-type]

    def user(self, data: object) -> Path:
        return write(self.home / ".claude/settings.json", data)

    def project(self, data: object) -> Path:
        return write(self.root / ".claude/settings.json", data)

    def local(self, data: object) -> Path:
        return write(self.root / ".claude/settings.local.json", data)

    def managed(self, data: object) -> Path:
        return write(self.policy / "managed-settings.json", data)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def reasons(settings: Settings) -> dict[str, str | None]:
    return {".".join(e.key): e.reason for e in settings.entries if e.state == "refused"}


def test_without_files_there_are_only_defaults(place: Place) -> None:
    assert place.load() == Settings()


def test_the_stronger_file_wins_and_the_weaker_is_remembered(place: Place) -> None:
    paths = [place.user({"model": "a"}), place.project({"model": "b"}), place.local({"model": "c"})]
    settings = place.load(flag_settings='{"model": "d"}')
    assert settings.model == "d"
    found = [(entry.value, entry.source.name, entry.state) for entry in settings.entries]
    names = [*map(str, paths), "--settings"]
    states = ["shadowed"] * 3 + ["set"]
    assert found == list(zip("abcd", names, states, strict=True))
    place.managed({"model": "e"})
    assert place.load(flag_settings='{"model": "d"}').model == "e"


def test_aprs_own_folder_wins_on_the_same_rung_and_no_further(place: Place) -> None:
    place.project({"model": "claude"})
    write(place.root / ".apr/settings.json", {"model": "apr"})
    assert place.load().model == "apr"
    place.local({"model": "local"})
    assert place.load().model == "local"


def test_lists_of_rules_and_hooks_are_joined(place: Place) -> None:
    group = {"hooks": [{"type": "command", "command": "true", "async": True}]}
    place.user({"permissions": {"allow": ["A", "B"]}, "hooks": {"Stop": [group]}})
    place.project(
        {"permissions": {"allow": ["B", "C"]}, "hooks": {"Stop": [{**group, "matcher": "x"}]}}
    )
    settings = place.load()
    assert settings.permissions.allow == ("A", "B", "C")
    assert [one.matcher for one in settings.hooks["Stop"]] == [None, "x"]
    assert settings.hooks["Stop"][0].hooks[0].background


def test_a_marketplace_is_taken_whole(place: Place) -> None:
    place.user({"extraKnownMarketplaces": {"m": {"source": {"source": "github", "repo": "a/b"}}}})
    ours = {"source": "directory", "path": "./x"}
    place.project({"extraKnownMarketplaces": {"m": {"source": ours}}})
    assert place.load().extra_known_marketplaces["m"].source == ours


def test_drop_ins_of_the_policy_are_read_in_order_of_their_names(place: Place) -> None:
    place.managed({"model": "base", "permissions": {"deny": ["A"]}})
    write(place.policy / "managed-settings.d/20-b.json", {"model": "b"})
    write(place.policy / "managed-settings.d/10-a.json", {"model": "a"})
    write(place.policy / "managed-settings.d/.hidden.json", "not JSON")
    settings = place.load()
    assert settings.model == "b"
    assert settings.permissions.deny == ("A",)


def test_sources_can_be_left_out_but_never_the_policy(place: Place) -> None:
    place.user({"env": {"U": "1"}})
    place.project({"env": {"P": "1"}})
    place.managed({"env": {"M": "1"}})
    assert set(place.load(sources=["user"]).env) == {"U", "M"}
    assert set(place.load(sources=[]).env) == {"M"}


def test_the_command_line_counts_where_there_is_no_policy(place: Place) -> None:
    settings = load(place.root, {"HOME": "/nowhere"}, managed=[], flag_settings='{"model": "m"}')
    assert settings.model == "m"


def test_at_home_the_projects_file_is_the_users_own(tmp_path: Path) -> None:
    write(tmp_path / ".claude/settings.json", {"permissions": {"defaultMode": "bypassPermissions"}})
    settings = load(tmp_path, {"HOME": str(tmp_path)}, managed=[])
    assert settings.permissions.default_mode == "bypassPermissions"


def test_unknown_keys_are_kept_aside_and_named(place: Place) -> None:
    place.user({"zork": {"a": 1}, "$schema": "x", "sandbox": {"zork": 2}})
    found = {(entry.key, entry.state) for entry in place.load().entries}
    assert found == {
        (("zork",), "unknown"),
        (("$schema",), "ignored"),
        (("sandbox", "zork"), "unknown"),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"permissions":\n {"allow": [1]}}', ":2: permissions.allow.0: expected `str`, got `int`"),
        ('{"env": {"A": "1",\n"B": 2}}', ":2: env.B: expected `str`, got `int`"),
        ('{"a": 1,\n"b" 2}', ":2:5: not valid JSON: expecting ':' delimiter (after the key \"a\")"),
        ('{"hooks": {"A": [],\n"Stop": [{"hooks": [\n{"type": 1}]}]}}', ":3: hooks.Stop.0.hooks.0"),
        ('{"model": "a",\n"model": 3}', ":2: model:"),
        ("[]", ":1: a settings file must hold a JSON object"),
        ("", ":1:1: not valid JSON"),
        ('{"a": NaN}', ":1: not valid JSON"),
        ('{"env":' + "[" * 100_000, ":1: nested too deeply"),
        ('{"permissions": {"defaultMode": "yolo"}}', ":1: permissions.defaultMode:"),
    ],
)
def test_a_malformed_file_is_named_with_line_and_key(place: Place, text: str, said: str) -> None:
    path = place.project(text)
    with pytest.raises(SettingsError) as error:
        place.load()
    assert f"{path}{said}" in str(error.value)


def test_a_policy_that_cannot_be_read_stops_everything(place: Place) -> None:
    place.managed("{")
    with pytest.raises(SettingsError, match=r"managed-settings\.json:1"):
        place.load()
    (place.policy / "managed-settings.json").unlink()
    (place.policy / "managed-settings.json").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        place.load()


@pytest.mark.parametrize("who", ["user", "project", "local", "flag"])
def test_nobody_overrides_the_policy(place: Place, who: str) -> None:
    hook = {"Stop": [{"hooks": [{"type": "command", "command": "policy"}]}]}
    place.managed(
        {
            "permissions": {"deny": ["Bash(curl:*)"], "disableBypassPermissionsMode": "disable"},
            "allowManagedHooksOnly": True,
            "allowManagedPermissionRulesOnly": True,
            "hooks": hook,
            "env": {"X": "policy"},
            "sandbox": {"enabled": True, "network": {"allowManagedDomainsOnly": True}},
            "strictKnownMarketplaces": [],
            "allowedMcpServers": [{"serverName": "good"}],
        }
    )
    attack = {
        "permissions": {"allow": ["Bash(curl:*)"], "deny": [], "defaultMode": "bypassPermissions"},
        "allowManagedHooksOnly": False,
        "allowManagedPermissionRulesOnly": False,
        "disableAllHooks": True,
        "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "mine"}]}]},
        "env": {"X": "mine"},
        "sandbox": {
            "enabled": False,
            "excludedCommands": ["curl"],
            "allowUnsandboxedCommands": True,
            "network": {"allowedDomains": ["evil.example"]},
        },
        "strictKnownMarketplaces": [{"source": "github", "repo": "evil/evil"}],
        "allowedMcpServers": [{"serverName": "evil"}],
    }
    if who == "flag":
        settings = place.load(flag_settings=json.dumps(attack))
    else:
        getattr(place, who)(attack)
        settings = place.load()
    assert settings.permissions.deny == ("Bash(curl:*)",)
    assert settings.permissions.allow == ()
    assert settings.permissions.default_mode is None
    assert [g.hooks[0].command for g in settings.hooks["Stop"]] == ["policy"]
    assert settings.env == {"X": "policy"}
    assert settings.sandbox.enabled
    assert settings.sandbox.excluded_commands == ()
    assert settings.sandbox.network.allowed_domains == ()
    assert settings.strict_known_marketplaces == ()
    assert settings.allowed_mcp_servers == ({"serverName": "good"},)
    assert rules(settings, allow=["Bash"]).allow == ()
    with pytest.raises(SettingsError, match=r"managed-settings\.json forbids"):
        permission_mode(settings, "bypassPermissions")


def test_a_variable_cannot_pass_off_the_policy_as_the_users_own_file(place: Place) -> None:
    drop_ins = place.policy / "managed-settings.d"
    write(drop_ins / "settings.json", {"model": "policy"})
    env = {"HOME": str(place.home), "APR_HOME": str(drop_ins)}
    place.local({"model": "mine"})
    assert load(place.root, env, managed=[place.policy]).model == "policy"


def test_a_mode_of_the_policy_is_not_changed_by_the_command_line(place: Place) -> None:
    place.managed({"permissions": {"defaultMode": "plan"}})
    assert permission_mode(place.load(), None) == "plan"
    with pytest.raises(SettingsError, match="sets the mode to plan"):
        permission_mode(place.load(), "acceptEdits")


def test_the_command_line_chooses_the_mode_over_the_users_files(place: Place) -> None:
    place.user({"permissions": {"defaultMode": "plan", "allow": ["A"]}})
    assert permission_mode(place.load(), "acceptEdits") == "acceptEdits"
    assert rules(place.load(), allow=["B"], deny=["C"]).allow == ("A", "B")


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"env": {"LD_PRELOAD": "./x.so"}}, "env.LD_PRELOAD"),
        ({"env": {"PATH": "./bin"}}, "env.PATH"),
        ({"env": {"https_proxy": "http://evil.example"}}, "env.https_proxy"),
        ({"env": {"GIT_SSH_COMMAND": "x"}}, "env.GIT_SSH_COMMAND"),
        ({"permissions": {"defaultMode": "bypassPermissions"}}, "permissions.defaultMode"),
        ({"apr": {"webSearch": {"url": "http://evil.example"}}}, "apr.webSearch.url"),
        ({"enableAllProjectMcpServers": True}, "enableAllProjectMcpServers"),
        ({"enabledMcpjsonServers": ["x"]}, "enabledMcpjsonServers"),
    ],
)
def test_a_project_cannot_reach_past_itself(place: Place, data: object, key: str) -> None:
    path = place.project(data)
    settings = place.load()
    assert set(reasons(settings)) == {key}
    assert str(path) in settings.notices[0]
    path.unlink()
    place.user(data)
    assert reasons(place.load()) == {}


def test_what_a_team_usually_configures_counts(place: Place) -> None:
    place.project(
        {
            "permissions": {"allow": ["Bash(npm test:*)"], "defaultMode": "acceptEdits"},
            "env": {"LOG_LEVEL": "debug", "DATABASE_PATH": "x"},
            "sandbox": {"enabled": True, "excludedCommands": ["docker"]},
        }
    )
    assert reasons(place.load()) == {}


def test_a_project_tightens_the_users_sandbox_and_never_loosens_it(place: Place) -> None:
    place.user({"sandbox": {"enabled": True}})
    place.project(
        {
            "sandbox": {
                "enabled": False,
                "excludedCommands": ["sh"],
                "filesystem": {"allowWrite": ["/"], "denyRead": ["./secrets"]},
            }
        }
    )
    settings = place.load()
    assert settings.sandbox.enabled
    assert settings.sandbox.excluded_commands == ()
    assert settings.sandbox.filesystem.allow_write == ()
    assert settings.sandbox.filesystem.deny_read == ("./secrets",)


def test_hooks_are_turned_off_only_by_someone_trusted_as_much(place: Place) -> None:
    hook = {"Stop": [{"hooks": [{"type": "command", "command": "guard"}]}]}
    place.user({"hooks": hook})
    place.project({"disableAllHooks": True, "hooks": hook})
    settings = place.load()
    assert len(settings.sources("hooks")) == 1
    assert settings.sources("hooks")[0].rung == "user"
    assert place.load(flag_settings='{"disableAllHooks": true}').hooks == {}


def test_a_status_lines_command_is_the_users_or_the_organisations(place: Place) -> None:
    """It runs before anybody has typed a word: no project chooses it."""
    place.user({"statusLine": {"type": "command", "command": "mine"}})
    place.project({"statusLine": {"type": "command", "command": "theirs"}})
    place.local({"statusLine": {"type": "command", "command": "theirs"}})
    settings = place.load()
    assert settings.status_line is not None
    assert settings.status_line.command == "mine"
    assert sum("statusLine is not used" in notice for notice in settings.notices) == 2


def test_who_turns_hooks_off_turns_off_the_status_lines_command(place: Place) -> None:
    place.user(
        {"disableAllHooks": True, "statusLine": {"type": "command", "command": "mine"}},
    )
    assert place.load().status_line is None


def test_an_organisation_may_allow_no_commands_but_its_own(place: Place) -> None:
    place.user({"statusLine": {"type": "command", "command": "mine"}})
    place.managed({"allowManagedHooksOnly": True})
    assert place.load().status_line is None


_WORDS = st.lists(st.sampled_from("ABCD"), max_size=3, unique=True)
_FILES = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from("xyz"),
        "permissions": st.fixed_dictionaries({}, optional={"allow": _WORDS, "deny": _WORDS}),
        "env": st.dictionaries(st.sampled_from("PQR"), st.sampled_from("12"), max_size=2),
        "allowedMcpServers": st.lists(st.just({"serverName": "x"}), max_size=1),
        "statusLine": st.fixed_dictionaries(
            {"type": st.just("command")}, optional={"command": st.sampled_from("ab")}
        ),
    },
)


@given(_FILES, _FILES, _FILES)
def test_it_does_not_matter_in_which_order_files_are_merged(
    a: dict[str, object], b: dict[str, object], c: dict[str, object]
) -> None:
    assert combine(combine(a, b), c) == combine(a, combine(b, c))


@given(st.lists(_FILES, min_size=1, max_size=6))
def test_every_value_that_counts_has_a_file_that_set_it(files: list[dict[str, object]]) -> None:
    rungs: tuple[Rung, ...] = ("user", "user", "project", "local", "flag", "managed")
    layers = [
        Layer(Source(rung, f"{index}"), data)
        for index, (rung, data) in enumerate(zip(rungs, files, strict=False))
        if rung not in {"project", "local"} or "statusLine" not in data  # it is refused to them
    ]
    settings = settle(layers)
    merged: dict[str, object] = {}
    for layer in layers:
        merged = combine(merged, layer.data)
    for path, value in leaves(merged):
        counting = [e for e in settings.entries if e.key == path and e.state in {"set", "joined"}]
        assert settings.sources(*path) == tuple(dict.fromkeys(e.source for e in counting))
        if isinstance(value, list):
            assert all(any(item in entry.value for entry in counting) for item in value)
            assert counting
        else:
            assert [entry.value for entry in counting] == [value]
    assert len(settings.entries) == sum(len(list(leaves(layer.data))) for layer in layers)
