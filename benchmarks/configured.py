"""A home as somebody has it who uses everything: 20 hooks, 50 skills, 3 MCP servers."""

import json
import sys
from pathlib import Path

HOOKS, SKILLS, SERVERS = 20, 50, 3
SERVER = Path(__file__).parent / "mcp_tools.py"


def configure(home: Path) -> None:
    """Write the user's settings, skills and servers into a home. No hook fits what is run here."""
    claude = home / ".claude"
    claude.mkdir()
    hook = {"type": "command", "command": "exit 0"}
    groups = [{"matcher": f"Tool{n}", "hooks": [hook]} for n in range(HOOKS)]
    (claude / "settings.json").write_text(json.dumps({"hooks": {"PreToolUse": groups}}))
    for number in range(SKILLS):
        folder = claude / "skills" / f"skill-{number}"
        folder.mkdir(parents=True)
        (folder / "SKILL.md").write_text(
            f"---\nname: skill-{number}\ndescription: What to do in case {number} of many.\n---\n"
            + "Look at it closely, and then do it.\n" * 40
        )
    server = {"command": sys.executable, "args": [str(SERVER)]}
    servers = {f"server{n}": {**server, "env": {"NUMBER": str(n)}} for n in range(SERVERS)}
    (home / ".claude.json").write_text(json.dumps({"mcpServers": servers}))
