"""What Read makes of files that are no plain text: notebooks, PDFs, pictures."""

import base64
from collections.abc import Iterable
from pathlib import Path

import nbformat
import pytest
from nbformat import v3, v4
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from apr.providers.base import Image
from apr.tools import documents, files, images
from apr.tools.base import Context
from apr.tools.errors import ToolError
from apr.tools.inputs import parse
from apr.tools.notebook import NOTE
from apr.tools.read import Read
from tests.apr.tools.conftest import Call

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def write_notebook(path: Path, *cells: object) -> None:
    nbformat.write(v4.new_notebook(cells=list(cells)), path)


async def test_a_notebook_is_shown_by_its_cells_and_what_they_printed(
    root: Path, call: Call
) -> None:
    outputs = [
        v4.new_output("stream", name="stdout", text="one\ntwo\n"),
        v4.new_output(
            "execute_result",
            data={"text/plain": "<Figure>", "text/html": "<b>x</b>", "image/png": "A" * 1000},
        ),
        v4.new_output("error", ename="E", evalue="no", traceback=["\x1b[31mTrace\x1b[0m", "E: no"]),
    ]
    write_notebook(
        root / "a.ipynb",
        v4.new_markdown_cell("# Title", id="intro"),
        v4.new_code_cell("x = 1\nx", id="c2", outputs=outputs),
    )
    outcome = await call("Read", file_path="a.ipynb")
    assert [line.partition("\t")[2] for line in outcome.content.split("\n")] == [
        "[cell intro: markdown]",
        "# Title",
        "[cell c2: code]",
        "x = 1",
        "x",
        "[stdout]",
        "one",
        "two",
        "[output]",
        "<Figure>",
        "[image/png: 1,000 characters, not shown]",
        "[text/html: 8 characters, not shown]",
        "[error]",
        "Trace",
        "E: no",
        "",
    ]
    assert outcome.content.endswith(f"\n{NOTE}")
    assert outcome.files_read == (root / "a.ipynb",)


async def test_a_part_of_a_notebook_can_be_read(root: Path, call: Call) -> None:
    write_notebook(root / "a.ipynb", *(v4.new_code_cell(f"x{n}", id=f"c{n}") for n in range(9)))
    outcome = await call("Read", file_path="a.ipynb", offset=3, limit=2)
    assert outcome.content == (
        f"3\t[cell c1: code]\n4\tx1\n[lines 3-4 of 18; for more, set offset to 5]\n{NOTE}"
    )


async def test_a_long_output_is_cut(root: Path, call: Call) -> None:
    flood = v4.new_output("stream", name="stdout", text="x" * 9000)
    write_notebook(root / "a.ipynb", v4.new_code_cell("f()", outputs=[flood]))
    assert (
        "[output cut: it has 9,000 characters]" in (await call("Read", file_path="a.ipynb")).content
    )


async def test_a_notebook_that_is_large_for_its_pictures_is_shown(root: Path, call: Call) -> None:
    picture = v4.new_output("display_data", data={"image/png": "A" * 2_000_000})
    write_notebook(root / "a.ipynb", v4.new_code_cell("plot()", outputs=[picture]))
    assert "2,000,000 characters, not shown" in (await call("Read", file_path="a.ipynb")).content


async def test_an_older_notebook_is_shown_with_its_cells_counted(root: Path, call: Call) -> None:
    sheet = v3.new_worksheet(cells=[v3.new_code_cell("x = 1"), v3.new_text_cell("markdown", "hi")])
    (root / "a.ipynb").write_text(v3.writes_json(v3.new_notebook(worksheets=[sheet])))
    content = (await call("Read", file_path="a.ipynb")).content
    assert content.startswith(
        "1\t[cell cell-0: code]\n2\tx = 1\n3\t[cell cell-1: markdown]\n4\thi\n["
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": 5}', '{"nbformat": 4, "cells": [{}]}'])
async def test_what_is_no_notebook_is_shown_as_it_stands(root: Path, call: Call, text: str) -> None:
    (root / "a.ipynb").write_text(text)
    assert (await call("Read", file_path="a.ipynb")).content == f"1\t{text}"


async def test_a_notebook_without_cells_says_so(root: Path, call: Call) -> None:
    write_notebook(root / "a.ipynb")
    content = (await call("Read", file_path="a.ipynb")).content
    assert content == f"1\t[the notebook has no cells]\n{NOTE}"


def write_pdf(path: Path, texts: Iterable[str], password: str | None = None) -> None:
    """Write a PDF with a line of text on each page."""
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in texts:
        page = writer.add_blank_page(300, 300)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = stream
    if password is not None:
        writer.encrypt(user_password=password, algorithm="RC4-128")
    writer.write(path)


async def test_a_pdf_is_shown_as_text_page_by_page(root: Path, call: Call) -> None:
    write_pdf(root / "a.pdf", ["First page", "Second page"])
    outcome = await call("Read", file_path="a.pdf")
    assert outcome.content.split("\n") == [
        "1\t[page 1 of 2]",
        "2\tFirst page",
        "3\t",
        "4\t[page 2 of 2]",
        "5\tSecond page",
    ]
    assert outcome.files_read == (root / "a.pdf",)
    part = await call("Read", file_path="a.pdf", offset=5)
    assert part.content == "5\tSecond page"


async def test_an_encrypted_pdf_says_that_it_is(root: Path, call: Call) -> None:
    write_pdf(root / "a.pdf", ["Secret"], password="word")
    with pytest.raises(ToolError, match="encrypted, and needs a password"):
        await call("Read", file_path="a.pdf")
    write_pdf(root / "b.pdf", ["Open to all"], password="")
    assert "Open to all" in (await call("Read", file_path="b.pdf")).content


async def test_a_pdf_without_text_says_so(root: Path, call: Call) -> None:
    write_pdf(root / "a.pdf", [""])
    with pytest.raises(ToolError, match="its pages may be pictures"):
        await call("Read", file_path="a.pdf")


async def test_a_broken_pdf_says_so(root: Path, call: Call) -> None:
    (root / "a.pdf").write_bytes(b"%PDF-1.7\nthis is none")
    with pytest.raises(ToolError, match=r"a\.pdf is a PDF that cannot be read: it is broken"):
        await call("Read", file_path="a.pdf")


async def test_a_pdf_that_takes_too_long_is_given_up(
    root: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "SECONDS", 0.01)
    write_pdf(root / "a.pdf", ["Text"])
    with pytest.raises(ToolError, match="it takes more than 0 s to read"):
        await call("Read", file_path="a.pdf")


async def test_a_pdf_that_is_too_large_says_so(
    root: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (root / "a.pdf").open("wb") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(files.WHOLE + 1)
    with pytest.raises(ToolError, match="is larger than 10,000,000 bytes"):
        await call("Read", file_path="a.pdf", offset=1)


async def test_what_a_document_writes_to_its_reader_goes_nowhere(
    root: Path, call: Call, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of the project must not be taken for one of ours by the process that reads."""
    (root / "trafilatura.py").write_text("raise SystemExit(open('ran', 'w'))")
    (root / "pypdf.py").write_text("raise SystemExit(open('ran', 'w'))")
    monkeypatch.chdir(root)
    write_pdf(root / "a.pdf", ["Text"])
    assert "Text" in (await call("Read", file_path="a.pdf")).content
    assert not (root / "ran").exists()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PIXEL, "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "image/jpeg"),
        (b"GIF89a" + bytes(20), "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"text", None),
    ],
)
def test_pictures_are_told_by_their_first_bytes(data: bytes, kind: str | None) -> None:
    assert images.kind_of(data) == kind


async def test_a_picture_is_shown_to_a_model_that_can_see(root: Path, context: Context) -> None:
    (root / "a.txt").write_bytes(PIXEL)
    read = Read(sees=True)
    given = parse(read, {"file_path": "a.txt"})
    outcome = await read.run(given, context)  # type: ignore[arg-type]
    assert outcome.content == f"[a.txt: image/png, {len(PIXEL)} bytes]"
    assert outcome.images == (Image("image/png", base64.b64encode(PIXEL).decode()),)
    assert outcome.files_read == (root / "a.txt",)


async def test_a_model_that_cannot_see_is_told_so(root: Path, call: Call) -> None:
    (root / "a.png").write_bytes(PIXEL)
    with pytest.raises(ToolError, match=r"a\.png is a picture \(image/png, .* cannot see pictures"):
        await call("Read", file_path="a.png")


async def test_a_picture_that_is_too_large_is_not_shown(root: Path, context: Context) -> None:
    (root / "a.png").write_bytes(PIXEL + bytes(images.LARGEST))
    read = Read(sees=True)
    with pytest.raises(ToolError, match=r"5,000,000 bytes are the most\. Make a smaller copy"):
        await read.run(parse(read, {"file_path": "a.png"}), context)  # type: ignore[arg-type]
