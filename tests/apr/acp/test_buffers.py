"""Files through the editor: our tools on one side, the protocol's client on the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from acp import schema
from acp._transport import memory_transport_pair
from acp.client import ClientSideConnection
from acp.connection import Connection

from apr.acp import editor as other_side
from apr.acp.buffers import Buffers
from apr.acp.folders import Folders, path_of
from apr.sessions.checkpoints import Checkpoints
from apr.sessions.keeping import Keeping
from apr.tools.base import Context
from apr.tools.edit import Edit, EditInput
from apr.tools.errors import ToolError
from apr.tools.files import FileLedger
from apr.tools.read import Read, ReadInput
from apr.tools.shells import Shells
from apr.tools.write import Write, WriteInput
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.acp.editor import Editor, begin, editing, prompt
from tests.apr.program import calls, says


@asynccontextmanager
async def beside(
    editor: Editor, project: Path, *, reads: bool = True, writes: bool = True, named: str = ""
) -> AsyncIterator[Context]:
    """Connect tools to an editor, as a session does."""
    ours, theirs = memory_transport_pair()

    async def nothing(method: str, params: Any, notification: bool) -> None:
        return None

    connection = Connection(nothing, ours)
    client = ClientSideConnection(editor, theirs)  # type: ignore[arg-type]
    root = project.resolve()
    can = schema.FileSystemCapabilities(read_text_file=reads, write_text_file=writes)
    folders = Folders([named or str(project)])
    storage = Buffers(other_side.Editor(connection), "s", folders, can)
    shells = Shells()
    try:
        yield Context(root=root, cwd=root, files=FileLedger(), shells=shells, storage=storage)
    finally:
        await shells.close()
        await client.close()
        await connection.close()


async def read(context: Context, name: str = "src/calc.py", **more: int) -> str:
    return (await Read().run(ReadInput(name, **more), context)).content


async def edit(context: Context, old: str, new: str, name: str = "src/calc.py") -> None:
    await Edit().run(EditInput(name, old, new), context)


async def test_what_is_not_saved_is_read_and_changed_where_it_is(project: Path) -> None:
    calc = project / "src/calc.py"
    editor = Editor()
    editor.buffers[str(calc)] = "# mine\ndef add(a, b):\n    return a - b\n"
    async with beside(editor, project) as context:
        assert await read(context) == "1\t# mine\n2\tdef add(a, b):\n3\t    return a - b"
        assert (await read(context, offset=3, limit=1)).startswith("3\t    return a - b")
        await edit(context, "a - b", "a + b")
        await edit(context, "# mine", "# yours")
    assert editor.written == [str(calc)] * 2
    assert calc.read_text() == "# yours\ndef add(a, b):\n    return a + b\n"


async def test_what_a_person_types_meanwhile_is_not_written_over(project: Path) -> None:
    calc = project / "src/calc.py"
    editor = Editor()
    async with beside(editor, project) as context:
        with pytest.raises(ToolError, match="not been read"):
            await edit(context, "a - b", "a + b")
        await read(context)
        editor.buffers[str(calc)] = "def add(a, b):\n    return a - b  # typed\n"
        with pytest.raises(ToolError, match="has changed since it was read"):
            await edit(context, "a - b", "a + b")
        with pytest.raises(ToolError, match="has changed since it was read"):
            await Write().run(WriteInput("src/calc.py", ""), context)
    assert editor.written == []


async def test_what_a_person_had_not_saved_comes_back_when_a_change_is_undone(
    project: Path, tmp_path: Path
) -> None:
    calc, turn = project / "src/calc.py", 1
    checkpoints = Checkpoints(tmp_path / "kept", lambda: turn, pytest.fail)
    editor = Editor()
    async with beside(editor, project) as context:
        kept = Keeping(context.storage, lambda: checkpoints, project)
        context = msgspec.structs.replace(context, storage=kept)
        for turn in (1, 2):
            editor.buffers[str(calc)] = f"# typed {turn}\n" + calc.read_text()
            await read(context)
            await edit(context, f"# typed {turn}", f"# edited {turn}")
        editor.refuses = {"write"}
        editor.buffers[str(calc)] = "# typed 3\n"
        await read(context)
        with pytest.raises(ToolError):
            await edit(context, "# typed 3", "# edited 3")
    (last,), (first,) = checkpoints.since(2), checkpoints.since(1)
    assert not last.foreign
    assert first.foreign, "the person has typed between the two"
    assert checkpoints.restore([last]) == []
    assert calc.read_text().startswith("# typed 2\n# edited 1\n")


async def test_a_new_file_is_the_editors_to_make(project: Path) -> None:
    editor = Editor()
    async with beside(editor, project) as context:
        await Write().run(WriteInput("new/notes.md", "Buy milk.\n"), context)
        (project / "new/notes.md").unlink()  # an editor that saves later
        assert await read(context, "new/notes.md") == "1\tBuy milk."
        with pytest.raises(ToolError, match="does not exist"):
            await read(context, "nothing.md")
    assert str(project / "nothing.md") not in editor.read


async def test_what_the_editor_does_not_serve_is_the_disks(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("elsewhere\n")
    (project / "old.txt").write_bytes("caf\xe9\n".encode("latin-1"))
    (project / "odd.md").write_text("odd\n")
    editor = Editor()
    editor.refuses = {str(project / "odd.md")}
    async with beside(editor, project) as context:
        assert await read(context, str(outside)) == "1\telsewhere"
        assert "caf\xe9" in await read(context, "old.txt")
        assert editor.read == []
        assert await read(context, "odd.md") == "1\todd"
        for name, old in ((str(outside), "elsewhere"), ("old.txt", "caf"), ("odd.md", "odd")):
            await edit(context, old, "new", name)
    assert editor.written == []
    assert (project / "old.txt").read_bytes() == "new\xe9\n".encode("latin-1")


@pytest.mark.parametrize(
    ("stored", "buffer", "then"),
    [
        ("a\r\nb\r\n", None, "c\r\nb\r\n"),
        ("a\r\nb\r\n", "a\nb\nmine\n", "c\r\nb\r\nmine\r\n"),
        ("\ufeffa\n", "a\nmine\n", "\ufeffc\nmine\n"),
        ("a\r\nb\nb\n", "a\nb\nb\n", "c\r\nb\nb\n"),
    ],
)
async def test_line_ends_and_marks_stay_as_the_file_has_them(
    project: Path, stored: str, buffer: str | None, then: str
) -> None:
    path = project / "notes.txt"
    path.write_bytes(stored.encode())
    editor = Editor()
    if buffer is not None:
        editor.buffers[str(path)] = buffer
    async with beside(editor, project) as context:
        await read(context, "notes.txt")
        await edit(context, "a", "c", "notes.txt")
    assert path.read_bytes() == then.encode()


async def test_an_editor_that_will_not_write_is_no_reason_to_write_beside_it(
    project: Path,
) -> None:
    before = (project / "src/calc.py").read_text()
    editor = Editor()
    editor.refuses = {"write"}
    async with beside(editor, project) as context:
        await read(context)
        with pytest.raises(ToolError, match="did not write"):
            await edit(context, "a - b", "a + b")
    assert (project / "src/calc.py").read_text() == before


async def test_an_editor_that_only_reads_is_not_written_over(project: Path) -> None:
    editor = Editor()
    editor.buffers[str(project / "README.md")] = "mine\n"
    async with beside(editor, project, writes=False) as context:
        await read(context)
        await edit(context, "a - b", "a + b")
        assert await read(context, "README.md") == "1\tmine"
        with pytest.raises(ToolError, match="not saved"):
            await edit(context, "mine", "yours", "README.md")
    assert editor.written == []
    assert "a + b" in (project / "src/calc.py").read_text()


async def test_an_editor_that_only_writes_is_not_asked_to(project: Path) -> None:
    editor = Editor()
    async with beside(editor, project, reads=False) as context:
        await read(context)
        await edit(context, "a - b", "a + b")
    assert (editor.read, editor.written) == ([], [])


class Hung(Editor):
    """An editor that never says anything about a file."""

    async def read_text_file(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.Event().wait()


class Odd(Editor):
    """An editor whose answers are none."""

    async def read_text_file(self, *args: Any, **kwargs: Any) -> Any:
        return {"text": 5}


async def test_an_editor_without_an_answer_holds_up_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_side, "PATIENCE_S", 0.01)
    async with beside(Hung(), project) as context:
        with pytest.raises(ToolError, match="has not answered"):
            await read(context)


async def test_an_answer_that_is_none_is_no_content(project: Path) -> None:
    async with beside(Odd(), project) as context:
        with pytest.raises(ToolError, match="cannot be understood"):
            await read(context)


async def test_an_editor_that_is_gone_is_said_to_be(project: Path) -> None:
    async with beside(Editor(), project) as context:
        storage = context.storage
        assert isinstance(storage, Buffers)
        await storage._editor._connection.close()
        with pytest.raises(ToolError, match="the editor is gone"):
            await read(context)


async def test_files_are_called_as_the_editor_calls_them(project: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    editor = Editor()
    async with beside(editor, project, named=str(tmp_path / "link")) as context:
        await read(context)
        await read(context, str(project / "src/calc.py"))
    assert editor.read == [str(tmp_path / "link/src/calc.py")] * 2


async def test_the_agent_works_on_what_is_open_in_the_editor(home: Path, project: Path) -> None:
    calc = project / "src/calc.py"
    editor = Editor()
    editor.buffers[str(calc)] = "# mine\ndef add(a, b):\n    return a - b\n"
    turns = [
        calls(("Read", {"file_path": "src/calc.py"})),
        calls(
            ("Edit", {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}),
            first=2,
        ),
        says("Fixed."),
    ]
    model = ScriptedModel(turns)
    with serving(model) as url:
        async with editing(editor, home, project, url, files=True) as connection:
            await prompt(connection, await begin(connection, project), "fix add")
    assert "# mine" in str(model.requests[1]["messages"][-1])
    assert editor.written == [str(calc)]
    assert calc.read_text() == "# mine\ndef add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a%20b/c.py#L3", "/a b/c.py"),
        ("file://localhost/c", "/c"),
        ("file://elsewhere/c", None),
        ("https://example.com/c", None),
        ("file://[half/c", None),
    ],
)
def test_a_uri_names_a_file_or_not(uri: str, path: str | None) -> None:
    assert path_of(uri) == path


def test_the_disk_is_where_files_are_unless_an_editor_says_otherwise(project: Path) -> None:
    context = Context(root=project, cwd=project, files=FileLedger(), shells=Shells())
    assert type(context.storage).__name__ == "Disk"
    assert msgspec.structs.replace(context, cwd=project).storage is context.storage
