"""A Jupyter notebook as text: its cells, what they are called, what they hold and printed."""

from collections.abc import Iterator
from typing import Any

from apr.patterns import Pattern

NOTE = "[change a cell by NotebookEdit: notebook_path, cell_id, new_source]"
"""Stands behind a notebook, for NotebookEdit is not among the tools that a model is shown."""
SHOWN = 4000
"""Characters that are shown of one output."""
# What colours text on a terminal (tracebacks have it).
_COLOURS = Pattern(r"\x1b\[[0-9;]*m")


def lines(text: str) -> list[str] | None:
    """Return the lines that show a notebook, None if the text is none.

    A cell begins with a line in brackets, which has the id that NotebookEdit takes.
    """
    import nbformat  # 0.1 s
    from nbformat import reader

    try:
        notebook = reader.reads(text)
        if notebook.nbformat < 4:
            notebook = nbformat.convert(notebook, 4)
            for cell in notebook.cells:
                cell.pop("id", None)  # made up just now
        shown = [line for index, cell in enumerate(notebook.cells) for line in _cell(index, cell)]
    except Exception:  # whatever a file that is no notebook makes of it
        return None
    return shown or ["[the notebook has no cells]"]


def name_of(index: int, cell: Any) -> str:
    """Return what NotebookEdit knows a cell by; ids came with format 4.5."""
    return str(cell.get("id") or f"cell-{index}")


def _cell(index: int, cell: Any) -> Iterator[str]:
    yield f"[cell {name_of(index, cell)}: {cell.cell_type}]"
    yield from str(cell.source).split("\n")
    for output in cell.get("outputs", ()):
        yield from _output(output)


def _output(output: Any) -> Iterator[str]:
    """Show what a cell has printed; of pictures and the like, what they are."""
    match output.output_type:
        case "stream":
            yield f"[{output.name}]"
            yield from _cut(str(output.text))
        case "error":
            yield "[error]"
            yield from _cut(_COLOURS.sub("", "\n".join(output.traceback)) or str(output.evalue))
        case _:
            data = output.get("data", {})
            yield "[output]"
            yield from _cut(str(data["text/plain"])) if "text/plain" in data else ()
            for kind, value in data.items():
                if kind != "text/plain":
                    yield f"[{kind}: {len(str(value)):,} characters, not shown]"


def _cut(text: str) -> list[str]:
    text = text.rstrip("\n")
    if len(text) <= SHOWN:
        return text.split("\n")
    return [*text[:SHOWN].split("\n"), f"[output cut: it has {len(text):,} characters]"]
