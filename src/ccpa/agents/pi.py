"""pi (`pi --print`).

Its options: `pi --help`; its providers: `models.json` of its agent directory (pi.dev/docs).
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from ccpa.agents.base import KEY, Command, Task, Wire, environment, only_prompt, program
from ccpa.scripted.adapt import Offered

_CONTEXT = 200_000
_MAX_TOKENS = 16_384


class Pi(Struct, frozen=True):
    """Four tools by default: read, write, edit, bash; and it asks for no permission."""

    name: str = "pi"
    wire: Wire = "chat"
    writes_trace: bool = False
    tools: Mapping[str, Offered] = MappingProxyType(
        {
            "Read": Offered("read", {"file_path": "path"}),
            "Write": Offered("write", {"file_path": "path"}),
            "Edit": Offered(
                "edit", {"file_path": "path", "old_string": "oldText", "new_string": "newText"}
            ),
            "Bash": Offered("bash"),
            "Glob": Offered("find"),
            "Grep": Offered("grep"),
        }
    )

    def command(self, task: Task) -> Command:
        """Start it headless, with an agent directory of its own."""
        directory = task.home / ".pi" / "agent"
        argv = (
            program("pi", "npm install -g @earendil-works/pi-coding-agent"),
            "--print",
            "--no-session",
            *("--mode", "json"),  # it does not know the form with `=`
            *("--provider", "local"),
            *("--model", task.model),
            *("--tools", "read,bash,edit,write,grep,find,ls"),
            only_prompt(task, "pi --print"),
        )
        variables = environment(
            task, PI_CODING_AGENT_DIR=str(directory), PI_OFFLINE="1", PI_TELEMETRY="0"
        )
        return Command(
            argv=argv, environment=variables, files={directory / "models.json": _models(task)}
        )


def _models(task: Task) -> str:
    model = {
        "id": task.model,
        "name": task.model,
        "reasoning": False,
        "input": ["text"],
        "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
        "contextWindow": _CONTEXT,
        "maxTokens": _MAX_TOKENS,
    }
    provider = {
        "baseUrl": task.base_url,
        "apiKey": KEY,
        "api": "openai-completions",
        "models": [model],
    }
    return json.dumps({"providers": {"local": provider}})


AGENT = Pi()
