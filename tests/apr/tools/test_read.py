import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.tools.base import Context
from apr.tools.errors import ToolError
from apr.tools.read import ReadInput, page_of
from tests.apr.tools.conftest import Call


async def test_lines_are_numbered_and_their_ends_are_not_shown(root: Path, call: Call) -> None:
    (root / "a.py").write_bytes(b"one\r\n\ttwo\nthree")
    outcome = await call("Read", file_path="a.py")
    assert outcome.content == "1\tone\n2\t\ttwo\n3\tthree"
    assert outcome.files_read == (root / "a.py",)


async def test_a_path_may_be_absolute(root: Path, call: Call) -> None:
    (root / "a").write_text("x\n")
    assert (await call("Read", file_path=str(root / "a"))).content == "1\tx"


async def test_a_part_is_read_and_the_rest_announced(root: Path, call: Call) -> None:
    (root / "a").write_text("".join(f"line {n}\n" for n in range(1, 11)))
    outcome = await call("Read", file_path="a", offset=3, limit=2)
    assert outcome.content == "3\tline 3\n4\tline 4\n[lines 3-4 of 10; for more, set offset to 5]"
    outcome = await call("Read", file_path="a", offset=9, limit=2)
    assert outcome.content == "9\tline 9\n10\tline 10"


@given(
    lines=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\ufeff")),
        min_size=1,
        max_size=30,
    ),
    ending=st.sampled_from(["\n", "\r\n"]),
    offset=st.integers(1, 30),
    limit=st.integers(1, 30),
)
def test_any_part_of_any_text_is_shown_as_it_is(
    lines: list[str], ending: str, offset: int, limit: int
) -> None:
    data = "".join(line + ending for line in lines).encode()
    part = lines[offset - 1 : offset - 1 + limit]
    expected = [f"{number}\t{line}" for number, line in enumerate(part, offset)]
    if not part:
        with pytest.raises(ToolError, match=f"it has {len(lines)} lines"):
            page_of(data, ReadInput("a", offset, limit))
        return
    shown = page_of(data, ReadInput("a", offset, limit)).split("\n")
    if offset - 1 + limit < len(lines):
        assert shown.pop().startswith(f"[lines {offset}-{offset + limit - 1} of {len(lines)};")
    assert shown == expected


async def test_an_offset_past_the_end_says_how_long_the_file_is(root: Path, call: Call) -> None:
    (root / "a").write_text("x\ny\n")
    with pytest.raises(ToolError, match="offset 3 is past the end of a: it has 2 lines"):
        await call("Read", file_path="a", offset=3)


async def test_two_thousand_lines_are_shown_unless_more_are_asked_for(
    root: Path, call: Call
) -> None:
    (root / "a").write_text("x\n" * 2500)
    lines = (await call("Read", file_path="a")).content.split("\n")
    assert lines[-2:] == ["2000\tx", "[lines 1-2000 of 2500; for more, set offset to 2001]"]
    assert (await call("Read", file_path="a", limit=2500)).content.endswith("2500\tx")


async def test_what_is_shown_in_all_is_bounded(root: Path, call: Call) -> None:
    (root / "a").write_text(("x" * 999 + "\n") * 900)
    lines = (await call("Read", file_path="a")).content.split("\n")
    assert lines[-1] == "[lines 1-61 of 900; for more, set offset to 62]"


async def test_a_long_line_is_cut_and_says_so(root: Path, call: Call) -> None:
    (root / "a").write_text("x" * 2000 + "\r\n" + "y" * 2001 + "\nz\n")
    first, second, third = (await call("Read", file_path="a")).content.split("\n")
    assert first == "1\t" + "x" * 2000
    assert second == "2\t" + "y" * 2000 + " [line cut: it has 2,001 characters]"
    assert third == "3\tz"


async def test_an_empty_file_says_that_it_is(root: Path, call: Call) -> None:
    (root / "a").touch()
    assert (await call("Read", file_path="a")).content == "[the file is empty]"


async def test_a_large_file_must_be_asked_for_in_parts(root: Path, call: Call) -> None:
    (root / "a").write_text("some line\n" * 200_000)
    with pytest.raises(ToolError, match=r"2,000,000 bytes. Give offset and limit"):
        await call("Read", file_path="a")
    outcome = await call("Read", file_path="a", offset=150_000, limit=1)
    assert outcome.content.startswith("150000\tsome line\n[lines 150000-150000 of 200000;")


async def test_a_file_larger_than_memory_allows_is_paged_through(root: Path, call: Call) -> None:
    with (root / "a").open("w") as file:
        file.write("é" * 6_000_000 + "\n" + "second\nthird\n")
    outcome = await call("Read", file_path="a", offset=1, limit=2)
    first, second, more = outcome.content.split("\n")
    assert first == "1\t" + "é" * 2000 + " [line cut: it has 6,000,000 characters]"
    assert (second, more) == ("2\tsecond", "[lines 1-2; for more, set offset to 3]")
    assert (await call("Read", file_path="a", offset=3)).content == "3\tthird"
    with pytest.raises(ToolError, match="offset 4 is past the end of a"):
        await call("Read", file_path="a", offset=4)
    with pytest.raises(ToolError, match="is past the end of a"):
        await call("Read", file_path="a", offset=10**30)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
async def test_a_byte_order_mark_tells_the_encoding(root: Path, call: Call, encoding: str) -> None:
    (root / "a").write_text("é\n汉字\n", encoding=encoding)
    assert (await call("Read", file_path="a")).content == "1\té\n2\t汉字"


async def test_other_encodings_are_shown_as_latin_1_and_said_to_be(root: Path, call: Call) -> None:
    (root / "a").write_bytes("café\n".encode("latin-1"))
    content = (await call("Read", file_path="a")).content
    assert content == "1\tcafé\n[not UTF-8: shown as Latin-1]"


@pytest.mark.parametrize(
    "data",
    [b"\x7fELF\0\1", b"\x1f\x8b\x08\x01\x02\xff\xfe\x03" * 9, b"\xff\xfea"],
    ids=["NUL", "control characters", "half a UTF-16 character"],
)
async def test_binary_files_are_refused(root: Path, call: Call, data: bytes) -> None:
    (root / "a").write_bytes(data)
    with pytest.raises(ToolError, match="a is a binary file"):
        await call("Read", file_path="a")


async def test_a_directory_is_refused_with_a_hint(root: Path, call: Call) -> None:
    (root / "src").mkdir()
    with pytest.raises(
        ToolError, match=r"src is a directory, not a file. List it with Glob or `ls`"
    ):
        await call("Read", file_path="src")


async def test_pipes_sockets_and_devices_are_refused_at_once(
    root: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(root)  # the path of a socket must be short
        server.bind("socket")
        for name, kind in (
            ("pipe", "a named pipe"),
            ("socket", "a socket"),
            ("/dev/zero", "a device"),
            ("/dev/tty", "a device"),
        ):
            with pytest.raises(ToolError, match=f"{name} is {kind}"):
                await call("Read", file_path=name)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
async def test_files_whose_size_the_system_does_not_know_are_read(call: Call) -> None:
    assert (await call("Read", file_path="/proc/self/status")).content.startswith("1\tName:\t")
    with pytest.raises(ToolError, match="/proc/self/mem"):
        await call("Read", file_path="/proc/self/mem")


async def test_a_missing_file_brings_up_what_was_meant(
    root: Path, call: Call, context: Context
) -> None:
    (root / "src").mkdir()
    (root / "src" / "parser.py").touch()
    with pytest.raises(ToolError, match=r"src/parsr.py does not exist. Did you mean src/parser.py"):
        await call("Read", file_path="src/parsr.py")
    with pytest.raises(ToolError, match=r"nowhere/x does not exist. Find files with Glob."):
        await call("Read", file_path="nowhere/x")
    context.cwd = root / "src"
    with pytest.raises(ToolError, match=r"project's root. Did you mean src/parser.py"):
        await call("Read", file_path="parser.py")


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 300, "file/below"])
async def test_impossible_paths_are_refused(root: Path, call: Call, name: str) -> None:
    (root / "file").touch()
    with pytest.raises(ToolError):
        await call("Read", file_path=name)


async def test_a_loop_of_links_is_refused(root: Path, call: Call) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with pytest.raises(ToolError, match="a: "):
        await call("Read", file_path="a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_an_unreadable_file_says_why(root: Path, call: Call) -> None:
    (root / "a").touch(mode=0)
    with pytest.raises(ToolError, match="a: permission denied"):
        await call("Read", file_path="a")
