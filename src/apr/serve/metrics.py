"""What a server counts, as Prometheus reads it (text exposition format 0.0.4)."""

import re
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

from ccpa.trace import Usage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SPEED = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)

# The engine's own totals also count what answers that were cancelled have cost.
_TOKENS = {
    "evaluated": "prompt_tokens_total",
    "cached": "prompt_tokens_cached_total",
    "generated": "tokens_predicted_total",
}


class Histogram:
    """How often values fell below bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterator[str]:
        """Yield the histogram's samples."""
        total = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {total}"


class Watch:
    """The times of one answer."""

    def __init__(self, meter: "Meter") -> None:
        self._meter = meter
        self._began = time.monotonic()
        self._first: float | None = None

    def token(self) -> None:
        """Note that something was generated."""
        if self._first is None:
            self._first = time.monotonic()
            self._meter.first_token.add(self._first - self._began)

    def ended(self, usage: Usage) -> None:
        """Note that the answer is complete."""
        now = time.monotonic()
        self._meter.duration.add(now - self._began)
        if self._first is not None and now > self._first and usage.output_tokens > 1:
            self._meter.speed.add((usage.output_tokens - 1) / (now - self._first))


class Meter:
    """The counters of a server."""

    def __init__(self) -> None:
        self.first_token = Histogram(_SECONDS)
        self.duration = Histogram(_SECONDS)
        self.speed = Histogram(_SPEED)
        self._requests: Counter[tuple[str, int]] = Counter()

    def watch(self) -> Watch:
        """Begin to time an answer, from its arrival on."""
        return Watch(self)

    def request(self, route: str, status: int) -> None:
        """Count a request that was answered; 499 stands for a client that went away."""
        self._requests[route, status] += 1

    def text(self, engine: str, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return all metrics.

        Args:
            engine: the engine's own metrics.
            gauges: what else there is to say: name -> description and value.
        """
        return "\n".join([*self._lines(engine, gauges), ""])

    def _lines(self, engine: str, gauges: Mapping[str, tuple[str, float]]) -> Iterator[str]:
        yield from _head("apr_requests_total", "counter", "Requests answered.")
        for (route, status), count in sorted(self._requests.items()):
            yield f'apr_requests_total{{route="{route}",status="{status}"}} {count}'
        yield from _head("apr_tokens_total", "counter", "Tokens, by what was done with them.")
        for kind, name in _TOKENS.items():
            yield f'apr_tokens_total{{kind="{kind}"}} {_sample(engine, name)}'
        for name, (description, value) in gauges.items():
            yield from _head(f"apr_{name}", "gauge", description)
            yield f"apr_{name} {value:g}"
        for name, histogram, description in (
            ("apr_first_token_seconds", self.first_token, "From a request to its first token."),
            ("apr_answer_seconds", self.duration, "From a request to the end of its answer."),
            ("apr_generation_tokens_per_second", self.speed, "Speed of generation, by answer."),
        ):
            yield from _head(name, "histogram", description)
            yield from histogram.lines(name)


def _head(name: str, kind: str, description: str) -> tuple[str, str]:
    return f"# HELP {name} {description}", f"# TYPE {name} {kind}"


def _sample(engine: str, name: str) -> str:
    match = re.search(rf"(?m)^llamacpp:{name} (\S+)", engine)
    return match[1] if match else "0"
