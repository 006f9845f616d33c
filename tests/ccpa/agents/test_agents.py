"""How each agent is started, as data: nothing is started here."""

import json
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ccpa.agents import AGENTS, find_agent
from ccpa.agents.base import Agent, Command, Task
from ccpa.errors import CcpaError
from ccpa.fixtures import Settings
from ccpa.person import Person

PROGRAMS = {
    "claude": "claude",
    "codex": "codex",
    "mini-swe-agent": "mini",
    "opencode": "opencode",
    "pi": "pi",
    "qwen-code": "qwen",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on PATH that has every agent's program."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAMS.values():
        (programs / name).touch(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("OPENAI_API_KEY", "the user's own")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the user's own")
    return programs


def task(prompt: str = "Fix it.", *more: str, settings: Settings | None = None) -> Task:
    return Task(
        prompts=(prompt, *more),
        cwd="/workspace",
        home=Path("/scratch/home"),
        trace=Path("/scratch/run.jsonl"),
        base_url="http://127.0.0.1:4242/v1",
        model="scripted",
        settings=settings or Settings(),
    )


def files(command: Command) -> dict[str, str]:
    return {str(path): text for path, text in command.files.items()}


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_gets_prompt_model_and_a_clean_environment(name: str, installed: Path) -> None:
    command = find_agent(name).command(task("-- Fix 'it'."))
    everything = " ".join([*command.argv, *command.environment.values(), *files(command).values()])
    assert command.argv[-1].endswith("-- Fix 'it'.")
    assert "http://127.0.0.1:4242" in everything
    assert "scripted" in everything
    assert "the user's own" not in everything
    assert command.environment["HOME"] == "/scratch/home"
    assert "127.0.0.1" in command.environment["NO_PROXY"]
    assert all(path.startswith("/scratch/home/") for path in files(command))
    if name in PROGRAMS:
        assert command.argv[0] == str(installed / PROGRAMS[name])


DRIVEN = ("apr", "claude")
"""Agents that are told more than one prompt, over their standard input."""


@pytest.mark.parametrize("name", [name for name in AGENTS if name not in DRIVEN])
@pytest.mark.parametrize(
    ("more", "lacks"),
    [
        ({"prompts": ("Fix it.", "Go on.")}, "2 prompts in one session; .* takes one"),
        ({"person": Person({})}, "a person is asked in it; .* has nobody to ask"),
        ({"goes_on": True}, "it goes on with an earlier session"),
    ],
)
def test_an_agent_says_what_it_cannot_be_given(
    name: str, more: dict[str, Any], lacks: str, installed: Path
) -> None:
    with pytest.raises(CcpaError, match=lacks):
        find_agent(name).command(msgspec.structs.replace(task(), **more))


@pytest.mark.parametrize("name", DRIVEN)
def test_several_prompts_and_a_person_are_a_conversation(name: str, installed: Path) -> None:
    assert find_agent(name).command(task()).talk is None
    command = find_agent(name).command(
        msgspec.structs.replace(task("Fix it.", "Go on."), person=Person({}), goes_on=True)
    )
    assert command.talk is not None
    assert b"Fix it." in command.talk.first()
    assert "Fix it." not in command.argv
    assert "--continue" in command.argv
    pairs = list(pairwise(command.argv))
    assert ("--input-format", "stream-json") in pairs
    assert ("--output-format", "stream-json") in pairs
    assert ("--permission-prompt-tool", "stdio") in pairs


@pytest.mark.parametrize("name", AGENTS)
def test_a_certificate_is_trusted(name: str, installed: Path) -> None:
    given = msgspec.structs.replace(task(), certificate=Path("/scratch/web.pem"))
    assert find_agent(name).command(given).environment["SSL_CERT_FILE"] == "/scratch/web.pem"
    assert "SSL_CERT_FILE" not in find_agent(name).command(task()).environment


def test_apr_is_told_by_the_users_settings_where_to_search() -> None:
    given = msgspec.structs.replace(task(), search_url="http://searxng.test")
    ((path, text),) = files(find_agent("apr").command(given)).items()
    assert path == "/scratch/home/.apr/settings.json"
    assert json.loads(text) == {"apr": {"webSearch": {"url": "http://searxng.test"}}}


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_agent_that_is_not_installed_says_how_to_install_it(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CcpaError, match=r"not found on PATH; to install it: (npm|pip) install"):
        find_agent(name).command(task())


@pytest.mark.parametrize("name", AGENTS)
def test_names_of_agents_are_those_of_traces(name: str) -> None:
    agent = find_agent(name)
    assert agent.name in {name, f"{name}-code"}
    assert agent.wire in {"chat", "messages", "responses"}
    assert agent.writes_trace == (name == "apr")


def test_apr_is_told_the_fixtures_settings() -> None:
    settings = Settings(
        permission_mode="acceptEdits",
        allow=("Bash(git diff:*)", "Bash(ls:*)"),
        deny=("Read(secrets/**)",),
        max_turns=7,
    )
    argv = find_agent("apr").command(task(settings=settings)).argv
    assert argv[1:5] == ("-P", "-m", "apr", "code")
    pairs = list(pairwise(argv))
    for pair in (
        ("--base-url", "http://127.0.0.1:4242/v1"),
        ("--emit-trace", "/scratch/run.jsonl"),
        ("--permission-mode", "acceptEdits"),
        ("--allowedTools", "Bash(git diff:*)"),
        ("--allowedTools", "Bash(ls:*)"),
        ("--disallowedTools", "Read(secrets/**)"),
        ("--max-turns", "7"),
    ):
        assert pair in pairs


def test_claude_code_is_told_where_its_model_is_and_to_stay_at_home(installed: Path) -> None:
    settings = Settings(permission_mode="plan", allow=("Read", "Bash(ls:*)"), max_turns=3)
    command = find_agent("claude").command(task(settings=settings))
    assert command.environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:4242"
    assert command.environment["CLAUDE_CONFIG_DIR"] == "/scratch/home/.claude"
    assert command.environment["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    assert "--allowedTools=Read" not in command.argv
    at = command.argv.index("--allowedTools")
    assert command.argv[at + 1] == "Read,Bash(ls:*)"
    assert ("--permission-mode", "plan") in pairwise(command.argv)


def test_codex_gets_a_provider_that_speaks_responses(installed: Path) -> None:
    command = find_agent("codex").command(task())
    config = tomllib.loads(files(command)["/scratch/home/.codex/config.toml"])
    provider = config["model_providers"][config["model_provider"]]
    assert provider["base_url"] == "http://127.0.0.1:4242/v1"
    assert provider["wire_api"] == find_agent("codex").wire == "responses"
    assert provider["env_key"] in command.environment
    assert command.environment["CODEX_HOME"] == "/scratch/home/.codex"


@pytest.mark.parametrize(
    ("mode", "option"),
    [(None, "default"), ("acceptEdits", "auto-edit"), ("plan", "plan"), ("dontAsk", "default")],
)
def test_qwen_code_has_its_own_words_for_modes(
    mode: str | None, option: str, installed: Path
) -> None:
    settings = Settings(permission_mode=mode)  # type: ignore[arg-type]
    command = find_agent("qwen-code").command(task(settings=settings))
    assert f"--approval-mode={option}" in command.argv
    assert command.environment["OPENAI_BASE_URL"] == "http://127.0.0.1:4242/v1"


def test_opencode_knows_one_provider(installed: Path) -> None:
    command = find_agent("opencode").command(task(settings=Settings(permission_mode="acceptEdits")))
    config = json.loads(command.environment["OPENCODE_CONFIG_CONTENT"])
    assert config["enabled_providers"] == ["local"]
    assert config["provider"]["local"]["options"]["baseURL"] == "http://127.0.0.1:4242/v1"
    assert config["model"] == config["small_model"] == "local/scripted"
    assert config["permission"] == {"edit": "allow"}


def test_pi_finds_its_models_in_its_own_directory(installed: Path) -> None:
    command = find_agent("pi").command(task())
    directory = command.environment["PI_CODING_AGENT_DIR"]
    models = json.loads(files(command)[f"{directory}/models.json"])
    assert models["providers"]["local"]["baseUrl"] == "http://127.0.0.1:4242/v1"
    assert models["providers"]["local"]["models"][0]["id"] == "scripted"


def test_mini_swe_agent_asks_nobody(installed: Path) -> None:
    command = find_agent("mini-swe-agent").command(task())
    assert {"--yolo", "--exit-immediately", "--model=openai/scripted"} <= set(command.argv)
    assert command.environment["OPENAI_API_BASE"] == "http://127.0.0.1:4242/v1"
    assert command.environment["MSWEA_CONFIGURED"] == "true"


@pytest.mark.parametrize("name", AGENTS)
def test_inputs_are_renamed_to_different_names(name: str) -> None:
    agent: Agent = find_agent(name)
    for recorded, offered in agent.tools.items():
        assert recorded[0].isupper()
        assert all(key != value for key, value in offered.inputs.items())


GENERIC = """\
name = "my-agent"
command = ["sh", "-c", "run {prompt} --in {cwd} {unknown}"]
wire = "messages"

[environment]
URL = "{host}"
TRACE = "{trace}"

[files]
"{home}/.config/my-agent.json" = '{"url": "{base_url}", "model": "{model}", "key": "{key}"}'

[tools.Bash]
name = "shell"
inputs = { command = "cmd" }
"""


def described(tmp_path: Path, text: str) -> str:
    path = tmp_path / "my-agent.toml"
    path.write_text(text)
    return str(path)


def test_a_file_describes_any_other_agent(tmp_path: Path) -> None:
    agent = find_agent(described(tmp_path, GENERIC))
    assert (agent.name, agent.wire, agent.writes_trace) == ("my-agent", "messages", True)
    assert agent.tools["Bash"].inputs == {"command": "cmd"}
    command = agent.command(task("Fix {cwd}."))
    assert command.argv == ("sh", "-c", "run Fix {cwd}. --in /workspace {unknown}")
    assert command.environment["URL"] == "http://127.0.0.1:4242"
    assert json.loads(files(command)["/scratch/home/.config/my-agent.json"]) == {
        "url": "http://127.0.0.1:4242/v1",
        "model": "scripted",
        "key": "scripted",
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "my-agent"', 'name = "My Agent"', "not kebab case"),
        ('name = "my-agent"\n', "", "missing required field `name`"),
        ('"messages"', '"telepathy"', "wire"),
        ("[environment]", "[environments]", "unknown field `environments`"),
        ("{home}/.config/my-agent.json", "/etc/my-agent.json", "is not below {home}/"),
        ("{home}/.config/my-agent.json", "{home}/../x.json", "is not below {home}/"),
        ('["sh", "-c", "run {prompt} --in {cwd} {unknown}"]', "[]", "command: is empty"),
        ('name = "my-agent"', "name = ", "Invalid value"),
    ],
)
def test_a_file_that_describes_none_says_what_is_wrong(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = described(tmp_path, GENERIC.replace(old, new, 1))
    with pytest.raises(CcpaError, match=r"my-agent\.toml") as error:
        find_agent(path)
    assert message in str(error.value)


def test_a_described_agent_that_is_not_there_is_named(tmp_path: Path) -> None:
    agent = find_agent(described(tmp_path, GENERIC.replace('"sh"', '"no-such-program"')))
    with pytest.raises(CcpaError, match="no-such-program was not found; my-agent starts with it"):
        agent.command(task())


@pytest.mark.parametrize(
    ("name", "message"), [("emacs", "known are apr, claude"), ("nowhere.toml", "No such file")]
)
def test_an_unknown_agent_is_an_error(name: str, message: str) -> None:
    with pytest.raises(CcpaError, match=message):
        find_agent(name)
