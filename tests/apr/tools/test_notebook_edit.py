"""NotebookEdit: one cell changes, and nothing else of the file."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apr.tools.base import Context, Outcome
from apr.tools.errors import ToolError
from apr.tools.inputs import parse
from apr.tools.notebook_edit import NotebookEdit
from tests.apr.tools.conftest import Call

TOOL = NotebookEdit()


def code(source: Any, cell_id: str | None = None, **more: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": cell_id, "metadata": {}, "source": source}
    cell |= {"outputs": [], "execution_count": None, **more}
    return {key: value for key, value in cell.items() if key != "id" or value is not None}


def notebook(*cells: dict[str, Any], minor: int = 5, **more: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": minor, **more}


def write(path: Path, content: dict[str, Any], **form: Any) -> None:
    path.write_text(json.dumps(content, **{"indent": 1, "ensure_ascii": False, **form}) + "\n")


def cells(path: Path) -> list[dict[str, Any]]:
    whole = json.loads(path.read_text())
    nbformat.validate(whole)
    found: list[dict[str, Any]] = whole["cells"]
    return found


@pytest.fixture
def path(root: Path) -> Path:
    path = root / "a.ipynb"
    printed = {"name": "stdout", "output_type": "stream", "text": ["1\n"]}
    write(
        path,
        notebook(
            {"cell_type": "markdown", "id": "top", "metadata": {"a": 1}, "source": ["# T\n", "t"]},
            code(["x = 1\n", "x"], "c2", outputs=[printed], execution_count=3),
            code([], "c3"),
        ),
    )
    return path


async def edit(context: Context, call: Call, path: Path, **fields: Any) -> Outcome:
    await call("Read", file_path=str(path))
    given = parse(TOOL, {"notebook_path": path.name, **fields})
    return await TOOL.run(given, context)  # type: ignore[arg-type]


async def test_a_cell_is_replaced_and_what_it_printed_is_gone(
    context: Context, call: Call, path: Path
) -> None:
    before = path.read_text()
    outcome = await edit(context, call, path, cell_id="c2", new_source="y = 2\ny")
    assert outcome == Outcome(content="a.ipynb: replaced the cell c2.", files_written=(path,))
    changed = cells(path)[1]
    assert changed["source"] == ["y = 2\n", "y"]
    assert changed["outputs"] == []
    assert changed["execution_count"] is None
    lines = path.read_text().splitlines()
    removed = [line.strip() for line in before.splitlines() if line not in lines]
    assert '"x = 1\\n",' in removed
    assert all("# T" not in line for line in removed)


async def test_cells_are_inserted_behind_another_or_at_the_start(
    context: Context, call: Call, path: Path
) -> None:
    await edit(context, call, path, edit_mode="insert", cell_id="c2", new_source="z = 3")
    outcome = await edit(
        context, call, path, edit_mode="insert", cell_type="markdown", new_source="First"
    )
    found = cells(path)
    assert [cell["source"] for cell in found] == [
        ["First"],
        ["# T\n", "t"],
        ["x = 1\n", "x"],
        ["z = 3"],
        [],
    ]
    assert (found[0]["cell_type"], found[3]["cell_type"]) == ("markdown", "code")
    assert outcome.content == f"a.ipynb: inserted the cell {found[0]['id']}."


async def test_a_cell_is_deleted(context: Context, call: Call, path: Path) -> None:
    await edit(context, call, path, edit_mode="delete", cell_id="c2")
    assert [cell["id"] for cell in cells(path)] == ["top", "c3"]


async def test_a_cell_may_become_one_of_another_type(
    context: Context, call: Call, path: Path
) -> None:
    await edit(context, call, path, cell_id="c2", cell_type="markdown", new_source="Text")
    await edit(context, call, path, cell_id="top", cell_type="code", new_source="x")
    top, second, _ = cells(path)
    assert second == {"cell_type": "markdown", "id": "c2", "metadata": {}, "source": ["Text"]}
    assert (top["cell_type"], top["id"], top["metadata"]) == ("code", "top", {"a": 1})
    assert top["outputs"] == []


@pytest.mark.parametrize("cell_id", ["cell-1", "1"])
async def test_cells_without_ids_are_counted(
    root: Path, context: Context, call: Call, cell_id: str
) -> None:
    path = root / "a.ipynb"
    write(path, notebook(code("a"), code("b"), minor=4))
    assert "[cell cell-1: code]" in (await call("Read", file_path="a.ipynb")).content
    await edit(context, call, path, cell_id=cell_id, new_source="B")
    await edit(context, call, path, edit_mode="insert", cell_id=cell_id, new_source="c")
    found = cells(path)
    assert [cell["source"] for cell in found] == ["a", "B", "c"]
    assert not any("id" in cell for cell in found)


@pytest.mark.parametrize(
    ("form", "end"), [({"indent": 1}, "\n"), ({"indent": 2}, ""), ({"indent": "\t"}, "\r\n")]
)
async def test_the_form_of_the_file_stays(
    root: Path, context: Context, call: Call, form: dict[str, Any], end: str
) -> None:
    path = root / "a.ipynb"
    content = notebook(code("é\n", "a", zzz=1), code("b", "b"), extra={"z": 1, "a": [1.0, 1e100]})
    text = json.dumps(content, ensure_ascii=False, **form)
    newline = "\r\n" if end == "\r\n" else "\n"
    path.write_bytes((text.replace("\n", newline) + end).encode())
    await edit(context, call, path, cell_id="b", new_source="B")
    expected = text.replace('"source": "b"', '"source": "B"').replace("\n", newline) + end
    assert path.read_bytes().decode() == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(sources=st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=4))
async def test_any_source_comes_back_as_it_was_given(
    root: Path, context: Context, call: Call, sources: list[str]
) -> None:
    path = root / "a.ipynb"
    write(path, notebook())
    for source in sources:
        await edit(context, call, path, edit_mode="insert", new_source=source)
    assert ["".join(cell["source"]) for cell in cells(path)] == sources[::-1]


async def test_a_notebook_must_have_been_read_as_it_is(
    context: Context, call: Call, path: Path
) -> None:
    given = parse(TOOL, {"notebook_path": "a.ipynb", "cell_id": "c2", "new_source": ""})
    with pytest.raises(ToolError, match="has not been read in this session"):
        await TOOL.run(given, context)  # type: ignore[arg-type]
    await call("Read", file_path="a.ipynb")
    path.write_text(path.read_text().replace("x = 1", "x = 2"))
    with pytest.raises(ToolError, match="has changed since it was read"):
        await TOOL.run(given, context)  # type: ignore[arg-type]
    await edit(context, call, path, cell_id="c2", new_source="a")
    await TOOL.run(given, context)  # type: ignore[arg-type]  # its own change it knows


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"cell_id": "c9"}, r"no cell 'c9'. The cells are: top, c2, c3"),
        ({"cell_id": "cell-3"}, "no cell 'cell-3'"),
        ({"cell_id": "9" * 5000}, "no cell"),
        ({"cell_id": "-1"}, "no cell '-1'"),
        ({}, "to replace a cell, give its cell_id"),
        ({"edit_mode": "delete"}, "to delete a cell, give its cell_id"),
    ],
)
async def test_a_cell_that_is_not_there_brings_up_those_that_are(
    context: Context, call: Call, path: Path, fields: dict[str, Any], told: str
) -> None:
    before = path.read_bytes()
    with pytest.raises(ToolError, match=told):
        await edit(context, call, path, new_source="x", **fields)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not a notebook that can be read"),
        ("[]", "not a notebook that can be read"),
        ('{"nbformat": 4, "cells": [5]}', "not a notebook that can be read"),
        ('{"nbformat": 3, "worksheets": []}', "has the notebook format 3, not 4"),
        ("[" * 100_000, "not a notebook that can be read"),
    ],
)
async def test_what_is_no_notebook_is_refused(
    root: Path, context: Context, call: Call, text: str, told: str
) -> None:
    (root / "a.ipynb").write_text(text)
    with pytest.raises(ToolError, match=told):
        await edit(context, call, root / "a.ipynb", cell_id="a", new_source="")


async def test_other_files_are_refused(root: Path, context: Context, call: Call) -> None:
    (root / "a.py").write_text("x\n")
    with pytest.raises(ToolError, match=r"not a notebook \(\.ipynb\)\. Use Edit"):
        await edit(context, call, root / "a.py", cell_id="a", new_source="")
    given = parse(TOOL, {"notebook_path": "b.ipynb", "cell_id": "a"})
    with pytest.raises(ToolError, match=r"b\.ipynb does not exist"):
        await TOOL.run(given, context)  # type: ignore[arg-type]


def test_it_asks_to_write_the_notebook(root: Path, context: Context) -> None:
    given = parse(TOOL, {"path": "sub/../a.ipynb", "cell_id": "a"})
    access = TOOL.access(given, context)  # type: ignore[arg-type]
    assert (access.kind, access.paths) == ("write", (root / "a.ipynb",))
