"""OpenAI Codex (`codex exec`).

Its options: `codex exec --help`; its configuration: developers.openai.com/codex/config-reference.
It speaks Responses, to a provider of its configuration. Its own sandbox is switched off: it would
be one inside another, and what it may reach is not its own to decide here.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from ccpa.agents.base import KEY, Command, Task, Wire, environment, only_prompt, program
from ccpa.scripted.adapt import Offered

_CONFIG = """\
model = {model}
model_provider = "local"
check_for_update_on_startup = false

[model_providers.local]
name = "local"
base_url = {base_url}
env_key = "LOCAL_API_KEY"
wire_api = "responses"

[analytics]
enabled = false

[features]
apps = false
plugins = false
"""


class Codex(Struct, frozen=True):
    """Does nearly everything by its shell tool; edits come as patches, which have no like here."""

    name: str = "codex"
    wire: Wire = "responses"
    writes_trace: bool = False
    tools: Mapping[str, Offered] = MappingProxyType(
        {"Bash": Offered("exec_command", {"command": "cmd"})}
    )

    def command(self, task: Task) -> Command:
        """Start it headless, with a configuration of its own."""
        prompt = only_prompt(task, "codex exec")
        home = task.home / ".codex"
        # JSON's strings are TOML's basic strings.
        config = _CONFIG.format(model=json.dumps(task.model), base_url=json.dumps(task.base_url))
        argv = (
            program("codex", "npm install -g @openai/codex"),
            "exec",
            "--json",
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
            "--cd",
            task.cwd,
            "--",
            prompt,
        )
        return Command(
            argv=argv,
            environment=environment(task, CODEX_HOME=str(home), LOCAL_API_KEY=KEY),
            files={home / "config.toml": config},
        )


AGENT = Codex()
