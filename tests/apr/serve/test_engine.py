"""What clients are told of the engine's failures."""

import logging

import pytest

from apr.providers.base import ContextOverflow, ProviderError
from apr.serve.engine import plainly

WHERE = "http://127.0.0.1:41007/v1"


def test_a_refusal_is_told_in_the_engines_words() -> None:
    with pytest.raises(ProviderError) as told, plainly():
        raise ProviderError(f"{WHERE} refused the request (400: no such field).", said="no field")
    assert (str(told.value), told.value.invalid) == ("no field", True)
    with pytest.raises(ContextOverflow) as told, plainly():
        raise ContextOverflow(f"{WHERE}: 9 tokens. Start a new session.", said="9 tokens")
    assert str(told.value) == "9 tokens"


def test_of_a_failure_only_the_log_says_where(caplog: pytest.LogCaptureFixture) -> None:
    failure = ProviderError(f"{WHERE} cannot answer now (503: busy).", retryable=True)
    with caplog.at_level(logging.WARNING), pytest.raises(ProviderError) as told, plainly():
        raise failure
    assert "127.0.0.1" not in str(told.value)
    assert (told.value.invalid, told.value.retryable) == (False, True)
    assert caplog.messages == [str(failure)]
