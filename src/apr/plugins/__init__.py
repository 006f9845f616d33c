"""Plugins: skills, commands, agents, hooks and MCP servers that come as one folder."""
