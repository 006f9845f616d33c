"""How a download's progress is written, and amounts with it."""

import io

import pytest

from apr.ui.amounts import duration, number, size
from apr.ui.transfer import watching


def test_there_is_a_line_for_each_tenth() -> None:
    stream = io.StringIO()
    with watching(stream) as watch:
        watch.expect(1000)
        for _ in range(100):
            watch.moved(10)
    lines = stream.getvalue().splitlines()
    assert [line.split("%")[0].strip() for line in lines] == [str(n) for n in range(10, 101, 10)]
    assert all("bytes of 1.0 kB, " in line or "1.0 kB of 1.0 kB" in line for line in lines)


def test_what_was_there_before_counts_as_there_and_not_as_speed() -> None:
    stream = io.StringIO()
    with watching(stream) as watch:
        watch.expect(1000)
        watch.found(850)
        watch.moved(20)
        assert stream.getvalue() == ""
        watch.moved(80)
    assert stream.getvalue().startswith(" 95%  950 bytes of 1.0 kB")


def test_what_is_thrown_away_is_told_again_when_it_comes() -> None:
    stream = io.StringIO()
    with watching(stream) as watch:
        watch.expect(1000)
        for count in (500, -500, 100):
            watch.moved(count)
    assert [line[:4] for line in stream.getvalue().splitlines()] == [" 50%", " 10%"]


def test_without_a_total_there_is_nothing_to_count_in() -> None:
    stream = io.StringIO()
    with watching(stream) as watch:
        watch.moved(10**9)
        watch.say("a\x1b[2Jb")
    assert stream.getvalue() == "a\\x1b[2Jb\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_453_152, "1.5 MB"), (18.6e9, "18.6 GB")],
)
def test_bytes_are_told_in_decimal_units(count: float, text: str) -> None:
    assert size(count) == text


def test_large_numbers_and_times_are_told_in_words() -> None:
    assert [number(n) for n in (12, 706_944, 30.5e9)] == ["12", "707 thousand", "30.5 billion"]
    assert [duration(s) for s in (9, 750, 3723)] == ["0:09", "12:30", "1:02:03"]
