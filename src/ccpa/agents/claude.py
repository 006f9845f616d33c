"""Claude Code: the user's own copy, which is never installed from here.

Its options and variables: code.claude.com/docs (CLI reference, headless mode, settings). It gets a
home of its own, so that it sees neither the user's login nor settings, and a model on loopback.
"""

from collections.abc import Mapping

from msgspec import Struct

from ccpa.agents import stream_json
from ccpa.agents.base import KEY, MCP_TIMEOUT_MS, Command, Task, Wire, environment, host, program
from ccpa.scripted.adapt import Offered


class Claude(Struct, frozen=True):
    """Its tools are the recordings' own."""

    name: str = "claude-code"
    wire: Wire = "messages"
    writes_trace: bool = False
    tools: Mapping[str, Offered] = {}

    def command(self, task: Task) -> Command:
        """Start it headless, with all that would leave the machine switched off."""
        settings = task.settings
        argv = [program("claude", "npm install -g @anthropic-ai/claude-code"), "--print"]
        argv += ["--output-format", "stream-json", "--verbose", "--model", task.model]
        argv += ["--continue"] if task.goes_on else []
        if settings.permission_mode is not None:
            argv += ["--permission-mode", settings.permission_mode]
        if settings.max_turns is not None:
            argv += ["--max-turns", str(settings.max_turns)]
        if settings.allow:
            argv += ["--allowedTools", ",".join(settings.allow)]
        if settings.deny:
            argv += ["--disallowedTools", ",".join(settings.deny)]
        variables = environment(
            task,
            ANTHROPIC_BASE_URL=host(task.base_url),
            ANTHROPIC_AUTH_TOKEN=KEY,
            ANTHROPIC_MODEL=task.model,
            ANTHROPIC_SMALL_FAST_MODEL=task.model,
            CLAUDE_CONFIG_DIR=str(task.home / ".claude"),
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
            DISABLE_AUTOUPDATER="1",
            MCP_TIMEOUT=MCP_TIMEOUT_MS,
        )
        words, talk = stream_json.options(task.prompts, task.person)
        rest = words if talk else ["--", *task.prompts]
        return Command(argv=(*argv, *rest), environment=variables, talk=talk)


AGENT = Claude()
