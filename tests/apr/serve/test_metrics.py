"""What is counted, in the form that Prometheus reads."""

import re

from apr.serve.metrics import Histogram, Meter
from ccpa.trace import Usage

ENGINE = """\
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 21
llamacpp:prompt_tokens_cached_total 31
llamacpp:tokens_predicted_total 1.5e+06
"""
SAMPLE = re.compile(r'(apr_\w+)(\{\w+="[^"\n]*"(,\w+="[^"\n]*")*\})? \S+')


def test_values_are_counted_under_the_bound_that_holds_them() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 7):
        histogram.add(value)
    assert list(histogram.lines("x")) == [
        'x_bucket{le="1"} 2',
        'x_bucket{le="2"} 3',
        'x_bucket{le="+Inf"} 4',
        "x_sum 10.000000",
        "x_count 4",
    ]


def test_each_metric_is_described_once_and_every_line_is_one() -> None:
    meter = Meter()
    meter.request("/v1/models", 200)
    meter.request("/v1/models", 200)
    meter.request("other", 404)
    text = meter.text(ENGINE, {"slots": ("How many there are.", 4)})
    lines = text.splitlines()
    described = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(described) == len(set(described))
    samples = [line for line in lines if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in samples)
    assert 'apr_requests_total{route="/v1/models",status="200"} 2' in samples
    assert 'apr_tokens_total{kind="evaluated"} 21' in samples
    assert 'apr_tokens_total{kind="generated"} 1.5e+06' in samples
    assert "apr_slots 4" in samples
    assert text.endswith("\n")


def test_the_first_token_of_an_answer_is_timed_once() -> None:
    meter = Meter()
    watch = meter.watch()
    watch.token()
    watch.token()
    watch.ended(Usage(input_tokens=1, output_tokens=2))
    text = meter.text("", {})
    assert "apr_first_token_seconds_count 1" in text
    assert "apr_answer_seconds_count 1" in text
    assert 'apr_tokens_total{kind="cached"} 0' in text
