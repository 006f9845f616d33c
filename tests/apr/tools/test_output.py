import hashlib

from hypothesis import given
from hypothesis import strategies as st

from apr.tools.output import HEAD, TAIL, Capture

chunks = st.lists(
    st.builds(lambda text, times: text * times, st.text(min_size=1), st.integers(1, 5000))
)


@given(chunks)
def test_short_output_is_kept_and_long_output_is_bounded(chunks: list[str]) -> None:
    capture, whole = Capture(), "".join(chunks)
    for chunk in chunks:
        capture.feed(chunk)
    kept = capture.take()
    if len(whole) <= HEAD + TAIL:
        assert (kept.text, kept.sha256, kept.truncated) == (whole, None, False)
    else:
        cut = len(whole) - HEAD - TAIL
        note = f"\n[... {cut:,} characters cut ...]\n"
        assert kept.text == whole[:HEAD] + note + whole[-TAIL:]
        assert kept.sha256 == hashlib.sha256(whole.encode()).hexdigest()
        assert kept.truncated


def test_taking_begins_anew() -> None:
    capture = Capture()
    capture.feed("x" * 50_000)
    assert capture.take().truncated
    capture.feed("y")
    assert capture.take().text == "y"
    assert capture.take().text == ""
