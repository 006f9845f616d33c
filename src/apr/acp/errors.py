"""What an editor is told where something cannot be done: editors show the message as it stands."""

from acp import RequestError


def wrong(reason: str) -> RequestError:
    """Return the error for what was asked wrongly."""
    return RequestError(-32602, reason, {"reason": reason})


def failed(reason: str) -> RequestError:
    """Return the error for what was asked rightly, and went wrong."""
    return RequestError(-32603, reason, {"reason": reason})
