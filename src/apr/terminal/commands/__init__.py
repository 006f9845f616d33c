"""The commands of the terminal: `/name`, and what each does. The user's own come after these."""

from apr.terminal.commands.desk import Back, Command, Desk, Leave, Plan
from apr.terminal.commands.obeying import near, obey
from apr.terminal.commands.table import ALIASES, COMMANDS

__all__ = ["ALIASES", "COMMANDS", "Back", "Command", "Desk", "Leave", "Plan", "near", "obey"]
