"""Qwen Code (`qwen`).

Its options and variables: qwenlm.github.io/qwen-code-docs (headless mode, settings).
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from ccpa.agents.base import KEY, Command, Task, Wire, environment, only_prompt, program
from ccpa.scripted.adapt import Offered

_MODES = {
    "default": "default",
    "acceptEdits": "auto-edit",
    "plan": "plan",
    "bypassPermissions": "yolo",
    "dontAsk": "default",
}
_SETTINGS = '{"privacy": {"usageStatisticsEnabled": false}, "general": {"disableAutoUpdate": true}}'


class QwenCode(Struct, frozen=True):
    """Has most of the recordings' tools by names of its own."""

    name: str = "qwen-code"
    wire: Wire = "chat"
    writes_trace: bool = False
    tools: Mapping[str, Offered] = MappingProxyType(
        {
            "Read": Offered("read_file"),
            "Write": Offered("write_file"),
            "Edit": Offered("edit"),
            "Glob": Offered("glob"),
            "Grep": Offered("grep_search"),
            "Bash": Offered("run_shell_command", {"run_in_background": "is_background"}),
            "TodoWrite": Offered("todo_write"),
            "Agent": Offered("agent"),
            "Skill": Offered("skill"),
            "WebFetch": Offered("web_fetch"),
            "ExitPlanMode": Offered("exit_plan_mode"),
        }
    )

    def command(self, task: Task) -> Command:
        """Start it headless."""
        mode = _MODES[task.settings.permission_mode or "default"]
        argv = (
            program("qwen", "npm install -g @qwen-code/qwen-code"),
            "--auth-type=openai",
            f"--model={task.model}",
            f"--approval-mode={mode}",
            "--output-format=stream-json",
            f"--prompt={only_prompt(task, 'qwen')}",
        )
        variables = environment(
            task, OPENAI_BASE_URL=task.base_url, OPENAI_API_KEY=KEY, OPENAI_MODEL=task.model
        )
        files = {task.home / ".qwen" / "settings.json": _SETTINGS}
        return Command(argv=argv, environment=variables, files=files)


AGENT = QwenCode()
