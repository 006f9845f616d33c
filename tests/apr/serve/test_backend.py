"""What is made of what the engine says."""

from apr.serve.backend import counts_in

LAST = b'data: {"choices":[],"timings":{"cache_n":3,"prompt_n":4,"predicted_n":5}}\n\n'


def test_the_last_event_with_counts_counts() -> None:
    first = LAST.replace(b"5", b"1")
    assert counts_in(first + LAST + b"data: [DONE]\n\n").output_tokens == 5
    assert counts_in(first + LAST.rstrip()).output_tokens == 5


def test_what_is_before_the_end_of_an_answer_may_be_cut_anywhere() -> None:
    before = b'data: {"choices":[{"delta":{"content":"timings"}}]}\n\n'
    for at in range(len(before)):
        usage = counts_in(before[at:] + LAST)
        assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (7, 5, 3)


def test_an_answer_without_counts_counts_nothing() -> None:
    assert counts_in(b"").output_tokens == 0
    assert counts_in(b'data: {"content": "\\"timings\\""}\n\n').output_tokens == 0
    assert counts_in(b'data: {"timings": nonsense}\n\n').output_tokens == 0
