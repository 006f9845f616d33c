"""Answers in HTTP/1.1, byte by byte."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.providers.http_answer import LARGEST_HEAD, HttpAnswer
from tests.apr.providers.raw_server import STREAM_HEAD, chunked, reply

END = b"0\r\n\r\n"


def fed(*pieces: bytes) -> HttpAnswer:
    answer = HttpAnswer()
    for piece in pieces:
        answer.feed(piece)
    return answer


def test_a_head_and_a_body_are_read() -> None:
    answer = fed(reply("ok", "404 Not Found", X_Odd="yes"))
    assert (answer.status, answer.headers["x-odd"], answer.take()) == (404, "yes", b"ok")
    assert answer.done
    assert answer.reusable
    assert answer.wrong is None


@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=5),
    st.lists(st.integers(min_value=0, max_value=300), max_size=20),
)
def test_an_answer_is_the_same_however_it_is_cut(body: list[bytes], cuts: list[int]) -> None:
    whole = STREAM_HEAD + chunked(*body) + END
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    answer = fed(*(whole[a:b] for a, b in itertools.pairwise(edges)))
    assert answer.take() == b"".join(body)
    assert (answer.status, answer.done, answer.reusable, answer.wrong) == (200, True, True, None)


def test_what_comes_in_advance_is_not_the_answer() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    answer = fed(b"HTTP/1.1 100 Continue\r\n\r\n", early)
    assert (answer.status, answer.done) == (0, False)
    answer.feed(reply("ok"))
    assert (answer.status, answer.done, answer.reusable) == (200, True, True)
    assert "link" not in answer.headers


def test_an_answer_may_end_with_its_connection_if_nothing_says_how_long_it_is() -> None:
    answer = fed(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    assert not answer.done
    answer.feed(b"")
    assert (answer.take(), answer.done, answer.reusable) == (b"all of it", True, False)


@pytest.mark.parametrize("cut", [reply("whole")[:-2], STREAM_HEAD + chunked(b"abc"), b"HTTP/1.1 2"])
def test_an_answer_that_says_how_long_it_is_may_not(cut: bytes) -> None:
    answer = fed(cut, b"")
    assert not answer.done
    assert answer.wrong is not None


def test_what_came_before_the_nonsense_is_kept() -> None:
    answer = fed(STREAM_HEAD + chunked(b"abc") + b"nonsense")
    assert answer.wrong is not None
    assert answer.take() == b"abc"


@pytest.mark.parametrize(
    "behind", [reply("more", "500 Oops"), reply("x" * 100)[:-50], b"HTT", b"nonsense"]
)
def test_a_server_that_says_more_than_it_was_asked_gets_no_other_request(behind: bytes) -> None:
    answer = fed(reply("ok") + behind)
    assert (answer.status, answer.take(), answer.done, answer.wrong) == (200, b"ok", True, None)
    assert not answer.reusable


def test_a_server_that_will_close_gets_no_other_request() -> None:
    assert not fed(reply("ok", Connection="close")).reusable
    assert not fed(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").reusable


def test_an_answer_of_two_lengths_is_none() -> None:
    both = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert fed(b"HTTP/1.1 200 OK\r\n" + both + chunked(b"abc") + END).wrong is not None


def test_no_other_protocol_is_agreed_on() -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    answer = fed(upgrade + b"whatever it says")
    assert answer.wrong is not None
    assert "another protocol" in answer.wrong


FLOODS = {
    "a head": b"HTTP/1.1 200 OK\r\n",
    "what comes in advance": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    "what stands behind a body": STREAM_HEAD + chunked(b"abc") + b"0\r\n",
}


@pytest.mark.parametrize("what", FLOODS)
def test_nothing_but_a_body_goes_on_for_ever(what: str) -> None:
    answer = fed(FLOODS[what])
    sent = 0
    while answer.wrong is None and sent < 3 * LARGEST_HEAD:
        line = b"HTTP/1.1 100 x\r\n\r\n" if what == "what comes in advance" else b"x: y\r\n"
        answer.feed(line * 100)
        sent += len(line) * 100
    assert answer.wrong is not None
    assert sent <= 2 * LARGEST_HEAD


def test_a_long_body_is_no_head() -> None:
    piece = chunked(b"x" * 1000)
    answer = fed(STREAM_HEAD, *[piece] * (2 * LARGEST_HEAD // 1000), END)
    assert (answer.done, answer.wrong) == (True, None)


@pytest.mark.parametrize("status", ["000 None", "099 Less"])
def test_a_status_that_there_is_not_is_none(status: str) -> None:
    assert fed(reply("ok", status)).wrong is not None


def test_what_comes_behind_an_answer_leaves_its_headers() -> None:
    answer = fed(reply("ok") + b"HTTP/1.1 100 Continue\r\n\r\n")
    assert (answer.done, answer.reusable) == (True, False)
    assert answer.headers["content-type"] == "application/json"
