"""All commands, by name."""

from apr.terminal.commands.desk import Command

COMMANDS = {
    "help": Command("what can be typed here", "about.help_", "[NAME]"),
    "clear": Command("forget the conversation", "conversing.clear"),
    "compact": Command("sum the conversation up; say what to keep", usage="[WHAT TO KEEP]"),
    "context": Command("what fills the model's context", "window.context"),
    "cost": Command("what this session has used", "about.cost"),
    "model": Command("the models on this disk, and another", "models.model", "[NAME|list]"),
    "mode": Command("the permission mode, or another", "conversing.mode", "[MODE]"),
    "config": Command(
        "the settings and who set them; change one",
        "configuring.config",
        "[KEY [VALUE]] [--user|--project|--local]",
    ),
    "permissions": Command(
        "the rules that hold; add or remove one",
        "permitting.permissions",
        "[allow|ask|deny|remove RULE] [--user|--project|--local|--session]",
    ),
    "add-dir": Command("one more directory of the project", "permitting.add_dir", "DIR"),
    "memory": Command("the instruction files; edit one", "remembering.memory", "[NUMBER|FILE]"),
    "init": Command("write a first APR.md for this project", "remembering.init", "[--force]"),
    "mcp": Command(
        "the MCP servers; approve, reject or reconnect one",
        "servers.mcp",
        "[approve|reject|reconnect|on|off NAME]",
    ),
    "hooks": Command("the hooks, and where they come from", "extending.hooks"),
    "agents": Command("the subagents there are", "extending.agents"),
    "skills": Command("the skills and commands there are", "extending.skills"),
    "plugins": Command(
        "the plugins that are offered; turn one on or off",
        "extending.plugins",
        "[enable|disable NAME@MARKETPLACE]",
    ),
    "review": Command("have changes reviewed", "reviewing.review", "[REF|FROM..TO]"),
    "sessions": Command("the sessions of this project", "sessions.sessions"),
    "resume": Command("go on with another session", "sessions.resume", "[SESSION]"),
    "rewind": Command("go back to an earlier prompt", "sessions.rewind"),
    "rename": Command("give this session a name", "conversing.rename", "NAME"),
    "export": Command(
        "write the conversation to a file", "writing.export", "[FILE.md|FILE.jsonl] [--force]"
    ),
    "trace": Command("the trace: where it is, its end; begin one", "writing.trace", "[FILE]"),
    "status": Command("what the session is, and where it is kept", "about.status"),
    "doctor": Command("check this machine and the settings", "about.doctor"),
    "debug": Command("the last request; show more of each", "about.debug", "[on|off]"),
    "statusline": Command(
        "the command behind the status line; set it", "configuring.statusline", "[COMMAND|off]"
    ),
    "vim": Command("vim's keys, or not", "conversing.vim"),
    "quit": Command("leave", "conversing.leave"),
}
ALIASES = {"exit": "quit", "q": "quit", "?": "help", "usage": "cost", "settings": "config"}
"""Other names of commands."""
