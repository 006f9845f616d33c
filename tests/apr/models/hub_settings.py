"""`huggingface_hub` pointed at a server on loopback, and at folders of the test's own."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

_ANY = socket.getaddrinfo


def point_at(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Set what the library has read from the environment when it was imported.

    Return the environment that the rest of `apr` is given.
    """
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import close_session, constants

    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hf/hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "hf/token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(home / "hf/stored_tokens"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "APR_MODEL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    close_session()  # what it had was made with other settings
    monkeypatch.setattr(socket, "getaddrinfo", _loopback_alone)
    return {"HOME": str(home), "HF_HOME": str(home / "hf"), "APR_HOME": str(home / "apr")}


def _loopback_alone(host: Any, *words: Any, **options: Any) -> Any:
    """Find no host but this one: a test that asks for another must not reach it."""
    assert host in {"127.0.0.1", "localhost"}, f"a test wants to reach {host}"
    return _ANY(host, *words, **options)
