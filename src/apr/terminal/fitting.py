"""What `prompt_toolkit` draws, fitted into the columns there are, as it counts them."""

from prompt_toolkit.utils import get_cwidth


def cut(text: str, columns: int) -> str:
    """Return as much of a text as fits into `columns`; where it is cut it ends in `…`."""
    if get_cwidth(text) <= columns:
        return text
    kept, used = "", 1
    for character in text:
        used += get_cwidth(character)
        if used > columns:
            break
        kept += character
    return f"{kept}…" if columns > 0 else ""
