"""The agent at a terminal: inline, so that what was said stays in the terminal's own scrollback."""
