"""Refusals as OpenAI's interface tells them: `{"error": {message, type, param, code}}`."""

import math
from typing import Any

import msgspec
from starlette.responses import Response

from apr.providers.base import ContextOverflow, ProviderError
from apr.serve.queue import Busy

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


class Refusal(Exception):
    """A request that is not answered. `param` is the field at fault, `code` a word for programs."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """Return the error as JSON: of a whole answer, or of an event in a stream."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {
            "error": {
                "message": str(self),
                "type": _KINDS.get(self.status, kind),
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> Response:
        """Return the whole answer."""
        headers = {}
        if self.retry_after is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after))
        return json_response(self.body(), status=self.status, headers=headers)


def refusal_of(error: ProviderError) -> Refusal:
    """Return what a client is told of a failure of the model."""
    match error:
        case Busy():
            return Refusal(str(error), status=429, code="queue_full", retry_after=error.retry_after)
        case ContextOverflow():
            message = f"This model's context is too small for the prompt: {error}"
            return Refusal(message, code="context_length_exceeded", param="messages")
        case _ if error.invalid:
            return Refusal(str(error))
        case _:
            return Refusal(str(error), status=500)


def json_response(
    body: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a JSON answer."""
    encoded = msgspec.json.encode(body)
    return Response(encoded, status, headers=headers, media_type="application/json")
