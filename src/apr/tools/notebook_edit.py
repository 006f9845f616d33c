"""NotebookEdit: one cell of a notebook replaced, inserted or deleted."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError
from apr.tools.files import WHOLE, decode, look, replace, stamp_of
from apr.tools.paths import not_found, resolve


class NotebookEditInput(Struct, forbid_unknown_fields=True):
    """What NotebookEdit takes."""

    notebook_path: str
    new_source: str = ""
    cell_id: Annotated[
        str | None, Meta(description="The cell; to insert, the one before: none for the start")
    ] = None
    cell_type: Literal["code", "markdown"] | None = None
    edit_mode: Literal["replace", "insert", "delete"] = "replace"


class NotebookEdit:
    """Changes a notebook that the model has read."""

    name: ClassVar[str] = "NotebookEdit"
    description: ClassVar[str] = (
        "Replace, insert or delete a cell of a Jupyter notebook. Read the notebook first."
    )
    Input = NotebookEditInput
    read_only: ClassVar[bool] = False

    def access(self, call: NotebookEditInput, context: Context) -> Access:
        """Write the notebook."""
        return Access(kind="write", paths=(resolve(call.notebook_path, context.root),))

    async def run(self, call: NotebookEditInput, context: Context) -> Outcome:
        """Change the cell; all other cells stay as they are."""
        import nbformat  # 0.1 s

        name, path = call.notebook_path, resolve(call.notebook_path, context.root)
        if path.suffix != ".ipynb":
            raise ToolError(f"{name} is not a notebook (.ipynb). Use Edit.")
        try:
            before = look(path, name)
        except FileNotFoundError:
            raise not_found(name, path, context.root, context.cwd) from None
        context.files.check(path, before.stamp, name)
        if before.data is None:
            raise ToolError(f"{name} has more than {WHOLE:,} bytes.")
        _, text = decode(before.data, name)
        try:
            notebook = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
        except Exception as error:  # whatever a file that is no notebook makes of it
            raise ToolError(f"{name} is not a notebook that can be read: {error}") from None
        if notebook.get("nbformat") != 4:
            raise ToolError(f"{name} has the notebook format {notebook.get('nbformat')}, not 4.")
        _change(notebook, call)
        data = (nbformat.writes(notebook).rstrip("\n") + "\n").encode()
        replace(path, name, data, before.status)
        context.files.note(path, stamp_of(data))
        return Outcome(content=f"Edited {name}.", files_written=(path,))


def _change(notebook: Any, call: NotebookEditInput) -> None:
    """Make the change in the notebook itself."""
    from nbformat import v4

    cells = notebook.cells
    at = None if call.cell_id is None else _find(cells, call.cell_id)
    if call.edit_mode == "insert":
        make = v4.new_markdown_cell if call.cell_type == "markdown" else v4.new_code_cell
        cell = make(call.new_source)
        if notebook.nbformat_minor < 5:
            cell.pop("id", None)  # ids came with format 4.5
        cells.insert(0 if at is None else at + 1, cell)
        return
    if at is None:
        raise ToolError(f"to {call.edit_mode} a cell, give its cell_id. {_known(cells)}")
    if call.edit_mode == "delete":
        del cells[at]
        return
    cell = cells[at]
    cell.source = call.new_source
    if call.cell_type not in {None, cell.cell_type}:
        make = v4.new_markdown_cell if call.cell_type == "markdown" else v4.new_code_cell
        given = {"id": cell.id} if "id" in cell else {}
        cells[at] = make(call.new_source, metadata=cell.metadata, **given)
        if not given:
            cells[at].pop("id", None)
    elif cell.cell_type == "code":  # what it printed was the old one's
        cell.outputs, cell.execution_count = [], None


def _find(cells: Any, cell_id: str) -> int:
    """Return which cell is meant: by its id, or as `cell-N` counted from 0."""
    for index, cell in enumerate(cells):
        if cell.get("id") == cell_id:
            return index
    number = cell_id.removeprefix("cell-")
    if number.isdecimal() and int(number) < len(cells):
        return int(number)
    raise ToolError(f"there is no cell {cell_id!r}. {_known(cells)}")


def _known(cells: Any) -> str:
    names = [cell.get("id") or f"cell-{index}" for index, cell in enumerate(cells)]
    return f"The cells are: {', '.join(names[:50]) or 'none'}."
