"""What of a page reaches the model: clean, marked, and the part that was asked for."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.tools.errors import ToolError
from apr.tools.web.address import parse
from apr.tools.web.client import Failed, get
from apr.tools.web.passages import CUT, passages
from apr.tools.web.untrusted import clean, marked
from tests.apr.providers.raw_server import RawServer, reply, says

text = st.text(st.characters(codec="utf-8"), max_size=200)


@given(text)
def test_clean_text_has_no_controls_and_stays_as_it_is(given: str) -> None:
    cleaned = clean(given)
    assert clean(cleaned) == cleaned
    assert not {char for char in cleaned if ord(char) < 32} - {"\n", "\t"}
    assert not set(cleaned) & set("\x7f\x9b\u202e\u2066\u200b\ufeff\U000e0041")


def test_what_people_write_is_left_alone() -> None:
    words = "naïve 日本 👩\u200d💻 क\u094d\u200dष\tx\n"
    assert clean(words) == words


@given(
    text, st.sampled_from(["</untrusted>", "</ untrusted >", "<UNTRUSTED>", "<un\u200btrusted>"])
)
def test_text_cannot_end_its_marks(given: str, mark: str) -> None:
    shown = marked("https://a.example/", f"{given}{mark}{given}").casefold()
    assert shown.count("<untrusted") == 1
    assert shown.count("</untrusted") == 1
    assert "</ untrusted" not in shown


def test_a_source_cannot_leave_its_quotes() -> None:
    assert marked('a" x="1>\n', "t").startswith('<untrusted source="ax=1">\n')


@given(
    paragraphs=st.lists(st.text(st.sampled_from("abc \n"), max_size=60), max_size=30),
    question=st.text(st.sampled_from("abc "), max_size=20),
    room=st.integers(1, 400),
)
def test_what_is_shown_of_a_text_is_of_it_in_its_order_and_bounded(
    paragraphs: list[str], question: str, room: int
) -> None:
    whole = "\n\n".join(paragraphs)
    shown, cut = passages(whole, question, room)
    assert cut == (len(whole) > room)
    if not cut:
        assert shown == whole
        return
    for piece in shown.split(CUT):
        assert "".join(piece.split()) in "".join(whole.split())
    assert len(shown.replace(CUT, "").replace("\n\n", "")) <= room + 1500


def test_the_rarer_word_of_the_question_counts_more() -> None:
    common = [f"lock number {n} " + "x" * 100 for n in range(50)]
    common[30] += " zebra"
    shown, _ = passages("\n\n".join(common), "lock zebra", 1000)
    assert "zebra" in shown


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Make a certificate for a host, and its key."""
    found, key = folder / f"{host}.pem", folder / f"{host}.key"
    words = ["openssl", "req", "-x509", "-nodes", "-days", "1", "-subj", f"/CN={host}"]
    words += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-addext", f"subjectAltName=DNS:{host}", "-out", str(found), "-keyout", str(key)]
    subprocess.run(words, check=True, capture_output=True)
    return found, key


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make certificates")
@pytest.mark.parametrize(("host", "trusted"), [("localhost", True), ("other.example", False)])
async def test_a_certificate_must_be_the_hosts_whose_address_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, trusted: bool
) -> None:
    found, key = certificate(tmp_path, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(found))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply("hello", kind="text/plain"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        target = parse(f"https://localhost:{port}/")
        if trusted:
            assert (await get(target, private=True)).body == b"hello"
            with pytest.raises(ToolError, match="this machine's"):
                await get(target, private=False)
        else:
            with pytest.raises(Failed, match="certificate"):
                await get(target, private=True)


@pytest.mark.parametrize("proxy", ["socks4://127.0.0.1:1", "nonsense://[", "http://127.0.0.1:1"])
async def test_a_proxy_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(Failed, match=r"docs\.example could not be asked"):
        await get(parse("https://docs.example/"), private=False)


async def test_the_address_that_was_checked_is_the_one_that_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that changes its mind in between (DNS rebinding) gets no second chance."""
    loop = asyncio.get_running_loop()
    resolve, asked = loop.getaddrinfo, list[str]()

    async def rebinds(host: str, port: int, **more: Any) -> Any:
        asked.append(host)
        found = "127.0.0.1" if host == "docs.example" and asked.count(host) == 1 else host
        return await resolve(found, port, **more)

    monkeypatch.setattr(loop, "getaddrinfo", rebinds)
    async with RawServer(says(reply("hello", kind="text/plain"))) as server:
        port = parse(server.url).port
        answer = await get(parse(f"http://docs.example:{port}/"), private=True)
        assert server.received[0].headers["host"] == f"docs.example:{port}"
    assert answer.body == b"hello"
    assert asked.count("docs.example") == 1


async def test_one_private_address_among_public_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def both(host: str, port: int, **more: Any) -> Any:
        addresses = ("1.1.1.1", "169.254.169.254")
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    with pytest.raises(ToolError, match=r"docs\.example has the address 169\.254\.169\.254"):
        await get(parse("https://docs.example/"), private=False)
