"""MCP: the tools, resources and prompts of other programs, and our own tools for them."""
