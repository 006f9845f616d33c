"""The protocol on two descriptors, until the editor closes its side."""

import asyncio
import signal
from contextlib import suppress
from typing import Any

from acp import RequestError
from acp.agent.router import build_agent_router
from acp.connection import Connection
from acp.meta import AGENT_METHODS
from acp.schema import DeleteSessionRequest
from pydantic import ValidationError

from apr.acp.editor import Editor
from apr.acp.errors import failed, wrong
from apr.acp.server import Server
from apr.acp.session import Source
from apr.acp.wire import Pipes
from apr.errors import AprError

_MOST_SAID = 5
"""Mistakes in one request that its sender is told of."""


async def serve(source: Source, incoming: int, outgoing: int) -> None:
    """Serve sessions to the editor at the other end, and end them in order when it leaves.

    A signal that asks us to go is taken for its leaving.
    """

    async def handle(method: str, params: Any, notification: bool) -> Any:
        try:
            return await router(method, params, notification)
        except ValidationError as error:
            raise wrong(_mistakes(error)) from None
        except AprError as error:
            raise failed(str(error)) from None
        except RequestError:
            if notification:  # nobody waits for an answer
                return None
            raise

    pipes = Pipes(incoming, outgoing)
    connection = Connection(handle, pipes, listening=False)
    server = Server(source, Editor(connection))
    router = build_agent_router(server, use_unstable_protocol=True)  # type: ignore[arg-type]
    # The package has no route for it yet.
    router.route_request(
        AGENT_METHODS["session_delete"], DeleteSessionRequest, server, "delete_session"
    )
    listening = asyncio.ensure_future(connection.main_loop())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, listening.cancel)
    try:
        with suppress(ConnectionError):
            await listening
    finally:
        await server.close()
        await connection.close()


def _mistakes(error: ValidationError) -> str:
    """Return what is wrong with a request, in short: it may have been a long one."""
    said = [
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f"; and {len(said) - _MOST_SAID} more" if len(said) > _MOST_SAID else ""
    return "; ".join(said[:_MOST_SAID]) + more
