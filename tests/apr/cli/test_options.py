"""Values on the command line."""

import argparse
from collections.abc import Callable

import pytest

from apr.cli.options import duration, positive, temperature


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("10m", 600), ("1h", 3600), ("0", 0), ("never", None)],
)
def test_times(text: str, seconds: float | None) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((duration, text) for text in ("", "m", "-1", "1d", "inf", "nan", "1e999h", "ten")),
        *((positive, text) for text in ("", "0", "-1", "1.5", "many")),
        *((temperature, text) for text in ("", "-0.1", "11", "nan", "inf", "hot")),
    ],
)
def test_what_is_no_such_value_is_refused_by_name(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=repr(text)):
        read(text)
