"""OpenCode (`opencode run`).

Its configuration: opencode.ai/docs/config and /docs/providers; it is told by one environment
variable, so that the project's own configuration, if it has one, stays what it is.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from ccpa.agents.base import KEY, Command, Task, Wire, environment, host, only_prompt, program
from ccpa.scripted.adapt import Offered


class OpenCode(Struct, frozen=True):
    """Has most of the recordings' tools, in lower case."""

    name: str = "opencode"
    wire: Wire = "chat"
    writes_trace: bool = False
    tools: Mapping[str, Offered] = MappingProxyType(
        {
            "Read": Offered("read", {"file_path": "filePath"}),
            "Write": Offered("write", {"file_path": "filePath"}),
            "Edit": Offered(
                "edit",
                {
                    "file_path": "filePath",
                    "old_string": "oldString",
                    "new_string": "newString",
                    "replace_all": "replaceAll",
                },
            ),
            "Glob": Offered("glob"),
            "Grep": Offered("grep", {"glob": "include"}),
            "Bash": Offered("bash"),
            "TodoWrite": Offered("todowrite"),
            "Agent": Offered("task"),
            "Skill": Offered("skill", {"skill": "name"}),
            "WebFetch": Offered("webfetch"),
        }
    )

    def command(self, task: Task) -> Command:
        """Start it headless."""
        argv = (
            program("opencode", "npm install -g opencode-ai"),
            "run",
            f"--model=local/{task.model}",
            "--format=json",
            "--",
            only_prompt(task, "opencode run"),
        )
        variables = environment(
            task,
            OPENCODE_CONFIG_CONTENT=json.dumps(_config(task)),
            OPENCODE_DISABLE_AUTOUPDATE="1",
            OPENCODE_DISABLE_MODELS_FETCH="1",
            OPENCODE_DISABLE_LSP_DOWNLOAD="1",
            npm_config_registry=host(task.base_url),  # where it looks for its own plug-in
        )
        return Command(argv=argv, environment=variables)


def _config(task: Task) -> dict[str, Any]:
    model = f"local/{task.model}"
    accepts = task.settings.permission_mode in {"acceptEdits", "bypassPermissions"}
    return {
        "autoupdate": False,
        "share": "disabled",
        "model": model,
        "small_model": model,
        "enabled_providers": ["local"],
        "permission": {"edit": "allow" if accepts else "ask"},
        "provider": {
            "local": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "local",
                "options": {"baseURL": task.base_url, "apiKey": KEY},
                "models": {task.model: {"name": task.model}},
            }
        },
    }


AGENT = OpenCode()
