"""What a person is asked when a session begins, without holding it up."""

from collections.abc import Iterator

from apr.terminal.commands.desk import Desk
from apr.terminal.commands.layout import table, wrapped
from apr.ui.terminal import line


def unapproved(desk: Desk) -> Iterator[str]:
    """Ask about the MCP servers that the project brings and nobody has approved.

    They do not start before that. The answer is a command, whenever the person likes.
    """
    servers = desk.assembled.servers
    waiting = servers.unapproved if servers is not None else []
    if not waiting:
        return
    width = desk.width()
    yield wrapped("This project brings MCP servers: programs that run with your rights.", width)
    yield from table([(f"  {line(one.name)}", line(one.address)) for one in waiting], width)
    yield wrapped(
        "Start them? /mcp approve NAME (or all), /mcp reject NAME; that is kept for this project.",
        width,
    )
