"""How a drawing is erased so that nothing of it stays behind, above or in the scrollback.

`prompt_toolkit` counts on the rows that it has drawn, and erases down from the first of them. Two
things come in between: a window that has become narrower, in which most terminals break lines anew;
and tmux, which keeps in its history what is erased from the first row of a window on.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prompt_toolkit.application import Application
    from prompt_toolkit.data_structures import Point
    from prompt_toolkit.layout.screen import Screen
    from prompt_toolkit.output import Output

# The rows below first, then the rest of this one: from where the cursor is, and stays.
_DOWN = "\x1b7\x1b[B\r\x1b[J\x1b8\x1b[K"


def erase_in_pieces(output: "Output") -> None:
    """Have an output erase down in a way that no terminal takes for a new page."""
    output.erase_down = lambda: output.write_raw(_DOWN)  # type: ignore[method-assign]


def breaks_anew(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal breaks lines anew; xterm, screen and Linux' console cut them off."""
    cuts = env.get("TERM") == "linux" or not env.keys().isdisjoint({"XTERM_VERSION", "STY"})
    return "TMUX" in env or not cuts


def rows_more(screen: "Screen", cursor: "Point", columns: int) -> int:
    """Return how many rows further down the cursor is, in lines of so many columns. Pure."""
    above = sum(max(_used(screen, y) - 1, 0) // columns for y in range(cursor.y))
    return above + max(cursor.x - 1, 0) // columns


def follow_width(app: "Application[Any]") -> None:
    """Have an application find the first row of its drawing again when a window is narrower."""
    drawn = 0

    def catch_up(_app: object = None) -> None:
        nonlocal drawn
        columns, screen = app.output.get_size().columns, app.renderer.last_rendered_screen
        if screen is not None and 0 < columns < drawn:
            cursor = screen.get_cursor_position(app.layout.current_window)
            app.output.cursor_up(rows_more(screen, cursor, columns))
        drawn = columns

    def resized() -> None:
        catch_up()
        erase_and_draw()

    erase_and_draw = app._on_resize  # noqa: SLF001 - it erases before anybody else is told
    app._on_resize = resized  # type: ignore[method-assign]  # noqa: SLF001
    app.before_render += catch_up  # it may be drawn before the signal of the resize comes


def _used(screen: "Screen", y: int) -> int:
    """Return the columns of a row that were written: blanks at its end are not."""
    row = screen.data_buffer[y]
    return max((x + 1 for x, cell in row.items() if cell.char != " "), default=0)
