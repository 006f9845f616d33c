"""The process that reads one document: bytes on standard input, JSON on standard output."""

import contextlib
import io
import json
import logging
import resource
import sys
import time

from apr.tools.documents import LONGEST, SECONDS

MEMORY = 2_000_000_000
"""Bytes of address space that reading a document may take."""
SIFTED = 1_500_000
"""Bytes of a page whose readable part is looked for (5 s for 1.2 MB); of a larger one, all text."""
PAGES_S = SECONDS * 0.6
"""Time for the pages of a PDF; then the rest is left out."""


class Unreadable(Exception):
    """The document has no text for us. The message goes on from `because `."""


def confine() -> None:
    """Take from this process what it does not need: memory and time without end, files to write."""
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, int(SECONDS)),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of address space
            resource.setrlimit(limit, (most, most))


def html(data: bytes) -> tuple[str, str]:
    """Return the readable part of a page (UTF-8) as Markdown; all text where no part stands out.

    Raises:
        Unreadable: there is no text.
    """
    import trafilatura
    from lxml import html as parsing  # type: ignore[import-untyped]

    # Parsed here: trafilatura takes what has no <html> tag for something else.
    tree = parsing.document_fromstring(data, parser=parsing.HTMLParser(encoding="utf-8"))
    text = None
    if len(data) <= SIFTED:
        text = trafilatura.extract(
            tree,
            output_format="markdown",
            include_links=True,
            include_comments=False,
            favor_recall=True,  # of a manual's page too much is better than half
        )
    text = text or trafilatura.html2txt(tree)
    if not text:
        raise Unreadable("it has no text; it may need a browser that runs its scripts")
    return _bounded(text)


def pdf(data: bytes) -> tuple[str, str]:
    """Return the text of a PDF, page by page, as far as time allows.

    Raises:
        Unreadable: it is encrypted, or has no text.
    """
    from pypdf import PasswordType, PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
        raise Unreadable("it is encrypted, and needs a password")
    began, total = time.monotonic(), len(reader.pages)
    pages, length, problem, empty = [], 0, "", True
    for number, page in enumerate(reader.pages, 1):
        try:
            text = page.extract_text().strip()
        except MemoryError:
            raise
        except Exception as error:  # one page that is broken does not hide the others
            text = f"[this page cannot be read: {type(error).__name__}]"
        empty = empty and not text
        pages.append(f"[page {number} of {total}]\n{text}")
        length += len(text)
        if length > LONGEST or time.monotonic() - began > PAGES_S:
            problem = f"only {number} of {total} pages were read" if number < total else ""
            break
    if empty:
        raise Unreadable("it has no text; its pages may be pictures")
    text, cut = _bounded("\n\n".join(pages))
    return text, problem or cut


def _bounded(text: str) -> tuple[str, str]:
    if len(text) <= LONGEST:
        return text, ""
    return text[:LONGEST], f"only the first {LONGEST:,} characters were kept"


def main() -> None:
    """Read one document and say what it holds."""
    data = sys.stdin.buffer.read()
    confine()
    logging.disable(logging.CRITICAL)  # libraries tell of every flaw of a file
    try:
        text, problem = {"html": html, "pdf": pdf}[sys.argv[1]](data)
    except Unreadable as reason:
        text, problem = "", str(reason)
    except Exception as error:  # whatever a hostile file makes of a library
        text, problem = "", f"it is broken ({type(error).__name__})"
    whole = text.encode(errors="replace").decode()  # a PDF may hold half a character
    sys.stdout.write(json.dumps({"text": whole, "problem": problem}))


if __name__ == "__main__":
    main()
