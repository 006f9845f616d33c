"""mini-SWE-agent (`mini`).

Its options: mini-swe-agent.com (the `mini` command, local models, global configuration). Its models
are LiteLLM's, whose provider `openai/` takes a base URL.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from ccpa.agents.base import KEY, Command, Task, Wire, environment, only_prompt, program
from ccpa.scripted.adapt import Offered


class MiniSweAgent(Struct, frozen=True):
    """One tool: bash."""

    name: str = "mini-swe-agent"
    wire: Wire = "chat"
    writes_trace: bool = False
    tools: Mapping[str, Offered] = MappingProxyType({"Bash": Offered("bash")})

    def command(self, task: Task) -> Command:
        """Start it without anybody to confirm, and leave when it is done."""
        argv = (
            program("mini", "pip install mini-swe-agent"),
            "--yolo",
            "--exit-immediately",
            f"--model=openai/{task.model}",
            f"--output={task.home / 'trajectory.json'}",
            f"--task={only_prompt(task, 'mini')}",
        )
        variables = environment(
            task,
            OPENAI_API_BASE=task.base_url,
            OPENAI_BASE_URL=task.base_url,
            OPENAI_API_KEY=KEY,
            MSWEA_CONFIGURED="true",
            MSWEA_COST_TRACKING="ignore_errors",
            MSWEA_GLOBAL_CONFIG_DIR=str(task.home / ".mini"),
            MSWEA_SILENT_STARTUP="1",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )
        return Command(argv=argv, environment=variables)


AGENT = MiniSweAgent()
