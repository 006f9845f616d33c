"""A server written with the protocol's own package, over any of its transports."""

import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations
from pydantic import BaseModel


class Point(BaseModel):
    x: int
    y: int = 0


server = MCPServer("real")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def mirror(point: Point) -> Point:
    """Mirror a point."""
    return Point(x=-point.x, y=-point.y)


@server.tool()
async def slow(steps: int, ctx: Context) -> str:
    """Work step by step."""
    for step in range(steps):
        await ctx.report_progress(step, steps, f"step {step}")
    return "done"


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("it is broken")


@server.resource("notes://today")
def today() -> str:
    """Notes of today."""
    return "Buy milk."


@server.prompt()
def review(path: str, tone: str = "kind") -> str:
    """Review a file."""
    return f"Review {path} and be {tone}."


if __name__ == "__main__":
    server.run("stdio" if len(sys.argv) < 2 else sys.argv[1])  # type: ignore[call-overload]
