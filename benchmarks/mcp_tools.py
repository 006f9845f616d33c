"""A small MCP server over stdio, by the protocol's own package: five tools."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("tools")


def tool(name: str) -> None:
    """Add a tool that gives back what it is given."""

    @server.tool(name=name, description=f"Give a text back ({name}).")
    def same(text: str) -> str:
        return text


if __name__ == "__main__":
    for number in range(5):
        tool(f"same_{number}")
    server.run("stdio")
