"""The wire to the engine in this process: loopback, with a key that nobody else has."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from apr.providers import openai_errors
from apr.providers.base import ContextOverflow, ProviderError
from apr.providers.http import Client, Origin, Response

_LARGEST_ANSWER = 256 * 1024 * 1024

_log = logging.getLogger(__name__)


@contextmanager
def plainly() -> Iterator[None]:
    """Raise what goes wrong as it is told to a client, who knows of no engine.

    Its refusals are told in its own words. Of its failures only the log has more: their messages
    say where the engine is, and what a user of it should do.
    """
    try:
        yield
    except ContextOverflow as error:
        raise ContextOverflow(error.said or str(error), said=error.said) from None
    except ProviderError as error:
        if error.said is not None:
            raise ProviderError(error.said, said=error.said) from None
        _log.warning("%s", error)
        raise ProviderError(
            "The model failed; the server's log says why.",
            retryable=error.retryable,
            retry_after=error.retry_after,
        ) from None


class Engine:
    """Requests to one native server.

    Args:
        port: where it listens on 127.0.0.1.
        key: what it wants to hear.
        model: what it is called in errors.
    """

    def __init__(self, port: int, key: str, model: str) -> None:
        self.key = key
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self._client = Client(Origin("http", "127.0.0.1", port, ""))
        self._headers = {"Authorization": f"Bearer {key}"}
        self._model = model

    async def open(self, path: str, body: Any) -> Response:
        """Ask, and return the answer once its head is there. Close it, or read it to its end.

        Raises:
            ProviderError: the engine failed or refused; `said` has its own words.
        """
        response = await self._client.post(path, msgspec.json.encode(body), self._headers)
        if response.status != 200:
            try:
                refused = await response.read(openai_errors.LARGEST_BODY)
            finally:
                response.close()
            raise openai_errors.refusal(
                response.status, response.headers, refused, where="The engine", model=self._model
            )
        return response

    async def call(self, path: str, body: Any) -> Any:
        """Ask, and return the answer's JSON.

        Raises:
            ProviderError: as for `open`.
        """
        response = await self.open(path, body)
        try:
            return msgspec.json.decode(await response.read(_LARGEST_ANSWER))
        except msgspec.DecodeError as error:
            raise ProviderError(f"The engine's answer is no JSON: {error}") from error
        finally:
            response.close()

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()
