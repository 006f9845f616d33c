"""All commands, by name."""

from apr.terminal.commands import about, conversing
from apr.terminal.commands.desk import Command

COMMANDS = {
    "help": Command("what can be typed here", about.help_, "[NAME]"),
    "clear": Command("forget the conversation", conversing.clear),
    "compact": Command("sum the conversation up; say what to keep", usage="[WHAT TO KEEP]"),
    "cost": Command("what this session has used", about.cost),
    "status": Command("what the session is, and where it is kept", about.status),
    "mode": Command("the permission mode, or another", conversing.mode, "[MODE]"),
    "rename": Command("give this session a name", conversing.rename, "NAME"),
    "doctor": Command("check this machine and the settings", about.doctor),
    "debug": Command("the last request; show more of each", about.debug, "[on|off]"),
    "quit": Command("leave", conversing.leave),
}
ALIASES = {"exit": "quit", "q": "quit", "?": "help", "usage": "cost"}
"""Other names of commands."""
