import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apr.tools import text
from apr.tools.edit import EditInput, substitute
from apr.tools.errors import ToolError
from tests.apr.tools.conftest import Call


@pytest.fixture
async def file(root: Path, call: Call) -> Path:
    """A file that the model has read."""
    path = root / "a.py"
    path.write_text("def f(x):\n    return x\n\ndef g(x):\n    return x\n")
    await call("Read", file_path="a.py")
    return path


async def test_a_unique_text_is_replaced(file: Path, call: Call) -> None:
    outcome = await call("Edit", file_path="a.py", old_string="def g", new_string="def h")
    assert outcome.content == "Edited a.py."
    assert outcome.files_written == (file,)
    assert file.read_text() == "def f(x):\n    return x\n\ndef h(x):\n    return x\n"
    again = await call("Edit", file_path="a.py", old_string="def h", new_string="def i")
    assert again.ok


async def test_all_occurrences_are_replaced_on_request(file: Path, call: Call) -> None:
    outcome = await call(
        "Edit", file_path="a.py", old_string="return x", new_string="pass", replace_all="true"
    )
    assert outcome.content == "Edited a.py (2 replacements)."
    assert "return" not in file.read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return x", "pass", "occurs 2 times in a.py (lines 2, 5). Add lines around it"),
        ("x", "x", "are the same"),
        ("def gg(x):", "pass", "is not in a.py. The nearest text is:\n4\tdef g(x):"),
        ("def g(x):\n  return x", "", "other white space:\n4\tdef g(x):\n5\t    return x"),
        ("1\tdef f(x):\n2\t    return x", "", "Leave out the line numbers"),
        ("def k(x):", "def g(x):", "new_string is there already"),
        ("completely different", "", "Read the file again"),
        ("", "x", "a.py exists"),
    ],
)
async def test_an_edit_that_cannot_be_made_says_how_it_could(
    file: Path, call: Call, old: str, new: str, message: str
) -> None:
    before = file.read_bytes()
    with pytest.raises(ToolError) as error:
        await call("Edit", file_path="a.py", old_string=old, new_string=new)
    assert message in str(error.value)
    assert file.read_bytes() == before


async def test_occurrences_that_overlap_are_not_unique(root: Path, call: Call) -> None:
    (root / "a").write_text("x\n\n\ny")
    await call("Read", file_path="a")
    with pytest.raises(ToolError, match="occurs 2 times"):
        await call("Edit", file_path="a", old_string="\n\n", new_string="\n")


async def test_a_text_that_is_everywhere_is_not_counted_to_the_end(root: Path, call: Call) -> None:
    (root / "a").write_text("x\n" * 5000)
    await call("Read", file_path="a")
    with pytest.raises(ToolError, match=r"1000 or more times in a \(lines 1, 2, .* 10, \.\.\.\)"):
        await call("Edit", file_path="a", old_string="x", new_string="y")


async def test_a_file_must_have_been_read_as_it_is(root: Path, file: Path, call: Call) -> None:
    (root / "b").write_text("x")
    with pytest.raises(ToolError, match="b has not been read"):
        await call("Edit", file_path="b", old_string="x", new_string="y")
    file.write_text(file.read_text().replace("g", "G"))
    with pytest.raises(ToolError, match=r"a.py has changed since it was read"):
        await call("Edit", file_path="a.py", old_string="def f", new_string="def F")


async def test_an_empty_old_string_creates_a_file(root: Path, call: Call) -> None:
    outcome = await call("Edit", file_path="new/b.py", old_string="", new_string="x\n")
    assert outcome.content == "Created new/b.py."
    assert (root / "new/b.py").read_text() == "x\n"
    with pytest.raises(ToolError, match="c does not exist"):
        await call("Edit", file_path="c", old_string="x", new_string="y")


async def test_the_mode_is_kept_and_nothing_is_left_beside_the_file(
    root: Path, file: Path, call: Call
) -> None:
    file.chmod(0o751)
    await call("Edit", file_path="a.py", old_string="def g", new_string="def h")
    assert file.stat().st_mode & 0o777 == 0o751
    assert list(root.iterdir()) == [file]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
async def test_a_read_only_file_is_refused(file: Path, call: Call) -> None:
    file.chmod(0o444)
    with pytest.raises(ToolError, match="is read-only"):
        await call("Edit", file_path="a.py", old_string="def g", new_string="def h")


async def test_a_link_is_followed_not_replaced(root: Path, file: Path, call: Call) -> None:
    (root / "link").symlink_to("a.py")
    outcome = await call("Edit", file_path="link", old_string="def g", new_string="def h")
    assert outcome.content == "Edited link."
    assert (root / "link").is_symlink()
    assert "def h" in file.read_text()


async def test_a_file_too_large_to_hold_is_not_edited(root: Path, call: Call) -> None:
    (root / "a").write_text("line\n" * 3_000_000)
    await call("Read", file_path="a", limit=1)
    with pytest.raises(ToolError, match=r"a has more than 10,000,000 bytes. Change it with Bash"):
        await call("Edit", file_path="a", old_string="x", new_string="y")


async def test_a_binary_file_is_not_edited(root: Path, call: Call) -> None:
    await call("Write", file_path="a", content="x\0y")  # so it is known
    with pytest.raises(ToolError, match=r"a is a binary file \(has NUL bytes\), not text"):
        await call("Edit", file_path="a", old_string="x", new_string="y")
    with pytest.raises(ToolError, match="a is a binary file"):
        await call("Write", file_path="a", content="x")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
async def test_encoding_and_line_endings_are_kept(root: Path, call: Call, encoding: str) -> None:
    (root / "a").write_bytes("é\r\nb\r\nc\nd\r\n".encode(encoding))
    await call("Read", file_path="a")
    await call("Edit", file_path="a", old_string="b\nc", new_string="x\ny\nz")
    assert (root / "a").read_bytes() == "é\r\nx\r\ny\r\nz\nd\r\n".encode(encoding)


def edit(body: str, old: str, new: str, *, replace_all: bool = False) -> tuple[str, int]:
    return substitute(body, EditInput("a", old, new, replace_all))


mixed = st.text(st.sampled_from("ab\r\n\té"), max_size=40) | st.text(max_size=40)


@given(head=mixed, old=mixed.filter(bool), tail=mixed, new=mixed)
def test_all_but_the_replaced_text_stays_as_it_is(head: str, old: str, tail: str, new: str) -> None:
    """The model asks for the text as Read shows it; the file has any mixture of line endings."""
    body, seen = head + old + tail, old.replace("\r\n", "\n")
    assume(not (head.endswith("\r") and old.startswith("\n")))  # then both are one line's end
    assume(not (old.endswith("\r") and tail.startswith("\n")))
    assume("\r\n" not in seen and "\r\r\n" not in new)  # a "\r" before a line's end
    flat = body.replace("\r\n", "\n")
    assume(flat.find(seen) == flat.rfind(seen))
    changed, count = edit(body, seen, new)
    assert count == 1
    assert changed.startswith(head)
    assert changed.endswith(tail)
    middle = changed[len(head) : len(changed) - len(tail)]
    assert middle.replace("\r\n", "\n") == new.replace("\r\n", "\n")


@given(parts=st.lists(mixed, min_size=2, max_size=4), old=mixed.filter(bool), new=mixed)
def test_replacing_all_is_what_str_replace_does_to_the_text_as_seen(
    parts: list[str], old: str, new: str
) -> None:
    body = old.join(parts)
    flat, seen, put = (part.replace("\r\n", "\n") for part in (body, old, new))
    assume(seen in flat)
    changed, count = edit(body, old, new, replace_all=True)
    # A lone "\r" at the end of a new text may meet a "\n": compare without any.
    assert changed.replace("\r", "") == flat.replace(seen, put).replace("\r", "")
    assert count == flat.count(seen)


@given(lines=st.lists(st.text(st.characters(exclude_characters="\r\n")), min_size=2))
def test_text_put_into_crlf_lines_gets_crlf(lines: list[str]) -> None:
    body = "\r\n".join([*lines, "<here>"])
    assume(body.count("<here>") == 1)
    changed, _ = edit(body, "<here>", "x\ny")
    assert changed == "\r\n".join([*lines, "x", "y"])


@given(data=st.binary(max_size=300) | mixed.map(str.encode))
def test_bytes_come_back_as_they_were(data: bytes) -> None:
    try:
        encoding = text.detect(data)
    except text.NotTextError:
        return
    assert encoding.encode(encoding.decode(data)) == data
