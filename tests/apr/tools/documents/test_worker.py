"""What the reader of documents makes of pages: good ones, odd ones, hostile ones."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from apr.tools.documents import worker


def test_code_tables_and_links_stay() -> None:
    page = (
        "<html><body><article><h2>Use</h2><p>Call it as the example does, see "
        "<a href='https://a.example/x'>the manual</a> for the rest of its options.</p>"
        "<pre><code>run(1)\nrun(2)</code></pre>"
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
        "<p>There is more to be said about what it does when it is called like this, but not here, "
        "for a page must only be long enough to be taken for one that has something to say.</p>"
        "</article></body></html>"
    )
    text, problem = worker.html(page.encode())
    assert not problem
    for part in ("## Use", "[the manual](https://a.example/x)", "run(1)\nrun(2)", "| 1 | 2 |"):
        assert part in text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>Only this</p>", "Only this"),
        ("plain", "plain"),
        ("<title>T</title><p>a<p>b", "a"),
        ("<meta charset=latin-1><p>é</p>", "é"),
        ("<?xml version='1.0' encoding='ascii'?><html><body><p>é</p></body></html>", "é"),
        ("<p>a<script>steal()</script><style>b{}</style></p>", "a"),
    ],
)
def test_odd_pages_are_read(page: str, text: str) -> None:
    read, _ = worker.html(page.encode())
    assert text in read
    assert "steal" not in read


def test_a_page_without_text_is_said_to_have_none() -> None:
    with pytest.raises(worker.Unreadable, match="a browser that runs its scripts"):
        worker.html(b"<html><body><div id='app'></div><script>run()</script></body></html>")


def test_a_page_too_large_to_be_sifted_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SIFTED", 100)
    page = b"<html><body>" + b"<p>word</p>" * 500 + b"</body></html>"
    text, _ = worker.html(page)
    assert text.count("word") == 500
    monkeypatch.setattr(worker, "LONGEST", 50)
    text, problem = worker.html(page)
    assert (len(text), problem) == (50, "only the first 50 characters were kept")


def test_entities_do_not_multiply_and_open_no_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    entities = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 9))
    page = (
        f"<!DOCTYPE x [<!ENTITY a0 'bomb'><!ENTITY f SYSTEM '{secret.as_uri()}'>{entities}]>"
        "<html><body><p>See: &a8; &f;</p></body></html>"
    )
    text, _ = worker.html(page.encode())
    assert len(text) < 1000
    assert "s3cret" not in text


@pytest.mark.parametrize("kind", ["html", "pdf"])
def test_the_process_always_answers(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "apr.tools.documents.worker", kind],
        input=b"",
        capture_output=True,
        check=True,
    )
    said = json.loads(done.stdout)
    assert said["text"] == ""
    assert said["problem"].startswith("it is broken")
