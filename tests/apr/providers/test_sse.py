"""Server-sent events, in any chunking and with any line ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.providers import sse
from apr.providers.base import ProviderError
from apr.providers.sse import EventParser, ServerEvent


def parse(*chunks: bytes) -> list[ServerEvent]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)] + parser.finish()


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_in_any_of_three_ways(end: bytes) -> None:
    assert parse(end.join([b"data: a", b"data: b", b"", b"data: c", b"", b""])) == [
        ServerEvent("a\nb"),
        ServerEvent("c"),
    ]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b": a comment\n\ndata: x\n\n", [ServerEvent("x")]),
        (b"\xef\xbb\xbfdata: x\n\n", [ServerEvent("x")]),
        (b"data:x\n\n", [ServerEvent("x")]),
        (b"data:  x\n\n", [ServerEvent(" x")]),
        (b"data\n\n", [ServerEvent("")]),
        (b"event: error\ndata: x\n\ndata: y\n\n", [ServerEvent("x", "error"), ServerEvent("y")]),
        (b"id: 1\nretry: 10\nunknown: z\ndata: x\n\n", [ServerEvent("x")]),
        (b"event: ping\n\n", []),
        (b"data: [DONE]", [ServerEvent("[DONE]")]),
        (b"data: \xff\n\n", [ServerEvent("\N{REPLACEMENT CHARACTER}")]),
        (b"", []),
    ],
)
def test_a_stream_is_read_as_the_specification_says(
    stream: bytes, expected: list[ServerEvent]
) -> None:
    assert parse(stream) == expected


FIELDS = [
    b"data: x\n\n",
    b"data: x",
    b"data: \xc3\xa9",
    b"event: e",
    b": c",
    b"",
    b"\n",
    b"\r",
    b"\r\n",
    b"data:",
]


@given(st.lists(st.sampled_from(FIELDS)).map(b"".join), st.data())
def test_chunking_changes_nothing(stream: bytes, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    bounds = zip([0, *places], [*places, len(stream)], strict=True)
    assert parse(*(stream[start:end] for start, end in bounds)) == parse(stream)
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == parse(stream)


@pytest.mark.parametrize("unit", [b"data: x\n", b"data:\n", b"x" * 8])
def test_an_event_that_never_ends_is_an_error(unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST_EVENT", 1000)
    with pytest.raises(ProviderError, match="event of more than 1000 bytes"):
        parse(*[unit] * 2000)
