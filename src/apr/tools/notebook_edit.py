"""NotebookEdit: one cell of a notebook replaced, inserted or deleted."""

import hashlib
import re
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from apr.tools import notebook
from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError
from apr.tools.files import WHOLE, decode, encode, stamp_of
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
        """Change the cell; all other cells, and the form of the file, stay as they are."""
        name, path = call.notebook_path, resolve(call.notebook_path, context.root)
        if path.suffix != ".ipynb":
            raise ToolError(f"{name} is not a notebook (.ipynb). Use Edit.")
        try:
            before = await context.storage.look(path, name)
        except FileNotFoundError:
            raise not_found(name, path, context.root, context.cwd) from None
        context.files.check(path, before.stamp, name)
        if before.data is None:
            raise ToolError(f"{name} has more than {WHOLE:,} bytes.")
        encoding, text = decode(before.data, name)
        whole = _parsed(text, name)
        done = _change(whole, call)
        data = encode(encoding, _written(whole, like=text), name)
        await context.storage.replace(path, name, data, before)
        context.files.note(path, stamp_of(data))
        return Outcome(content=f"{name}: {done}.", files_written=(path,))


def _parsed(text: str, name: str) -> dict[str, Any]:
    """Return a notebook's JSON as it stands.

    Raises:
        ToolError: it is none that can be edited.
    """
    import json

    from nbformat import reader  # 0.1 s

    try:
        reader.reads(text)
        whole: dict[str, Any] = json.loads(text)
    except Exception as error:  # whatever a file that is no notebook makes of it
        raise ToolError(f"{name} is not a notebook that can be read: {error}") from None
    if whole.get("nbformat") != 4:
        raise ToolError(f"{name} has the notebook format {whole.get('nbformat')}, not 4.")
    return whole


def _written(whole: dict[str, Any], *, like: str) -> str:
    """Return a notebook in the form of a text: its indentation, line ends, and last line's end."""
    import json

    indented = re.match(r"\s*\{\r?\n([ \t]+)", like)
    text = json.dumps(whole, indent=indented[1] if indented else 1, ensure_ascii=False)
    text += "\n" if like.endswith("\n") else ""
    return text.replace("\n", "\r\n") if "\r\n" in like else text


def _change(whole: dict[str, Any], call: NotebookEditInput) -> str:
    """Make the change in the notebook itself, and say what it was."""
    cells = whole["cells"]
    source = call.new_source.splitlines(keepends=True) if _in_lines(cells) else call.new_source
    at = None if call.cell_id is None else _find(cells, call.cell_id)
    if call.edit_mode == "insert":
        at = 0 if at is None else at + 1
        cells.insert(at, _new(whole, call.cell_type or "code") | {"source": source})
        return f"inserted the cell {notebook.name_of(at, cells[at])}"
    if at is None:
        raise ToolError(f"to {call.edit_mode} a cell, give its cell_id. {_known(cells)}")
    named = notebook.name_of(at, cells[at])
    if call.edit_mode == "delete":
        del cells[at]
        return f"deleted the cell {named}"
    if call.cell_type not in {None, cells[at]["cell_type"]}:
        kept = {key: cells[at][key] for key in ("id", "metadata") if key in cells[at]}
        cells[at] = {**_new(whole, call.cell_type or "code"), **kept}
    cells[at]["source"] = source
    if cells[at]["cell_type"] == "code":  # what it printed was the old one's
        cells[at] |= {"outputs": [], "execution_count": None}
    return f"replaced the cell {named}"


def _new(whole: dict[str, Any], cell_type: str) -> dict[str, Any]:
    """Return an empty cell, as this notebook's format has them."""
    from nbformat import v4

    cell = dict(v4.new_markdown_cell() if cell_type == "markdown" else v4.new_code_cell())
    if whole.get("nbformat_minor", 0) < 5:
        del cell["id"]  # ids came with format 4.5
    else:
        cell["id"] = _unused_id(whole["cells"])
    return cell


def _unused_id(cells: list[dict[str, Any]]) -> str:
    """Return an id for a new cell: by the others' and not by chance, so that a run can be rerun."""
    taken = [str(cell.get("id")) for cell in cells]
    fresh = "\n".join(taken)
    while (fresh := hashlib.sha256(fresh.encode()).hexdigest()[:8]) in taken:
        pass
    return fresh


def _in_lines(cells: list[dict[str, Any]]) -> bool:
    """Whether sources are lists of lines, as Jupyter writes them, or strings as a whole."""
    return not cells or any(isinstance(cell.get("source"), list) for cell in cells)


def _find(cells: list[dict[str, Any]], cell_id: str) -> int:
    """Return which cell is meant: by its id, or as `cell-N` counted from 0."""
    for index, cell in enumerate(cells):
        if cell.get("id") == cell_id:
            return index
    number = re.fullmatch(r"(?:cell-)?([0-9]{1,9})", cell_id)
    if number is not None and int(number[1]) < len(cells):
        return int(number[1])
    raise ToolError(f"there is no cell {cell_id!r}. {_known(cells)}")


def _known(cells: list[dict[str, Any]]) -> str:
    names = [notebook.name_of(index, cell) for index, cell in enumerate(cells)]
    return f"The cells are: {', '.join(names[:50]) or 'none'}."
