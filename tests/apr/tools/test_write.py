import os
from pathlib import Path

import pytest

from apr.tools.errors import ToolError
from tests.apr.tools.conftest import Call


async def test_a_new_file_gets_its_folders_and_the_usual_mode(root: Path, call: Call) -> None:
    outcome = await call("Write", file_path="a/b/c.py", content="x = 'é'\n")
    assert outcome.content == "Created a/b/c.py."
    assert outcome.files_written == (root / "a/b/c.py",)
    assert (root / "a/b/c.py").read_bytes() == "x = 'é'\n".encode()
    (root / "usual").touch()
    assert (root / "a/b/c.py").stat().st_mode == (root / "usual").stat().st_mode


async def test_a_file_that_was_not_read_is_not_replaced(root: Path, call: Call) -> None:
    (root / "a").write_text("precious")
    with pytest.raises(ToolError, match=r"a has not been read in this session. Read it first."):
        await call("Write", file_path="a", content="new")
    assert (root / "a").read_text() == "precious"


async def test_a_file_that_was_read_is_replaced(root: Path, call: Call) -> None:
    (root / "a").write_text("old")
    await call("Read", file_path="a")
    assert (await call("Write", file_path="a", content="new")).content == "Replaced a."
    assert (await call("Write", file_path="a", content="newer")).content == "Replaced a."
    assert (root / "a").read_text() == "newer"
    assert list(root.iterdir()) == [root / "a"]


async def test_a_file_that_changed_since_is_not_replaced(root: Path, call: Call) -> None:
    (root / "a").write_text("old")
    status = (root / "a").stat()
    await call("Read", file_path="a")
    (root / "a").write_text("odd")
    os.utime(root / "a", ns=(status.st_atime_ns, status.st_mtime_ns))  # same size, same time
    with pytest.raises(ToolError, match=r"a has changed since it was read. Read it again."):
        await call("Write", file_path="a", content="new")


async def test_a_file_that_was_only_touched_is_replaced(root: Path, call: Call) -> None:
    (root / "a").write_text("old")
    await call("Read", file_path="a")
    os.utime(root / "a", (1, 1))
    assert (await call("Write", file_path="a", content="new")).ok


async def test_mode_encoding_and_line_endings_are_kept(root: Path, call: Call) -> None:
    (root / "a").write_bytes("a\r\nb\r\n".encode("utf-16"))
    (root / "a").chmod(0o750)
    await call("Read", file_path="a")
    await call("Write", file_path="a", content="x\ny\n")
    assert (root / "a").read_bytes() == "x\r\ny\r\n".encode("utf-16")
    assert (root / "a").stat().st_mode & 0o777 == 0o750


async def test_a_link_is_followed_not_replaced(root: Path, call: Call) -> None:
    (root / "real").write_text("old")
    (root / "link").symlink_to("real")
    await call("Read", file_path="link")
    outcome = await call("Write", file_path="link", content="new")
    assert outcome.files_written == (root / "real",)
    assert (root / "link").is_symlink()
    assert (root / "real").read_text() == "new"


async def test_a_character_the_encoding_lacks_is_named(root: Path, call: Call) -> None:
    (root / "a").write_bytes(b"caf\xe9")
    await call("Read", file_path="a")
    with pytest.raises(ToolError, match=r"a is stored as LATIN-1, which has no '\\u6c49'"):
        await call("Write", file_path="a", content="汉")


@pytest.mark.parametrize("name", ["folder", "pipe", "file/below"])
async def test_what_is_no_file_is_not_written(root: Path, call: Call, name: str) -> None:
    (root / "folder").mkdir()
    (root / "file").touch()
    os.mkfifo(root / "pipe")
    with pytest.raises(ToolError, match=name):
        await call("Write", file_path=name, content="x")


async def test_a_large_file_is_replaced_only_if_read(root: Path, call: Call) -> None:
    (root / "a").write_text("line\n" * 3_000_000)
    with pytest.raises(ToolError, match="has not been read"):
        await call("Write", file_path="a", content="x\n")
    await call("Read", file_path="a", limit=1)
    await call("Write", file_path="a", content="x\n")
    assert (root / "a").read_text() == "x\n"
