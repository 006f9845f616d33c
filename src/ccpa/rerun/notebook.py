"""NotebookEdit: one cell of a Jupyter notebook."""

import json
from typing import Any

import msgspec

from ccpa.rerun.bench import Outcome, RefusedError, Workbench


def edit(bench: Workbench, tool_input: dict[str, Any]) -> Outcome:
    """Replace, insert (after the cell named, or first) or delete a cell."""
    path = bench.path(tool_input, "notebook_path")
    mode = tool_input.get("edit_mode", "replace")
    source = tool_input.get("new_source")
    try:
        notebook = json.loads(path.read_bytes())
        cells = msgspec.convert(notebook["cells"], list[dict[str, Any]])
        notebook["cells"] = cells
    except FileNotFoundError:
        raise RefusedError(f"{bench.named(path)} does not exist.") from None
    except (ValueError, KeyError, TypeError):
        raise RefusedError(f"{bench.named(path)} is not a notebook.") from None
    bench.require_seen(path)
    at = _index(cells, tool_input.get("cell_id"), mode)
    if mode == "delete":
        del cells[at]
    elif not isinstance(source, str):
        raise RefusedError("new_source is missing.")
    elif mode == "insert":
        cells.insert(at + 1, _cell(tool_input.get("cell_type", "code"), source, len(cells)))
    else:
        cells[at]["source"] = source
        if cells[at].get("cell_type") == "code":
            cells[at] |= {"execution_count": None, "outputs": []}
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False))
    bench.note(path)
    return Outcome(
        content=f"The notebook {bench.named(path)} has been updated.",
        files_written=(bench.name(path),),
    )


def _index(cells: list[dict[str, Any]], cell_id: object, mode: object) -> int:
    for number, cell in enumerate(cells):
        if cell.get("id", f"cell-{number}") == cell_id:
            return number
    if mode == "insert" and cell_id is None:
        return -1
    raise RefusedError(f"there is no cell {cell_id!r}.")


def _cell(kind: object, source: str, number: int) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"new-{number}", "metadata": {}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": source}
