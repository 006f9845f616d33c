"""The editor, as we speak to it: what it is told, and what is asked of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from acp import RequestError, schema
from acp.connection import Connection
from acp.meta import CLIENT_METHODS
from acp.utils import notify_model, request_model, request_optional_model
from pydantic import ValidationError

_CANCELLED = -32800
"""The protocol's code for a request that was withdrawn."""
PATIENCE_S = 30.0
"""How long an editor may take over a file. People are waited for as long as they take."""


class EditorFailed(Exception):
    """The editor gave an error, an answer that cannot be understood, or none in time."""


class EditorRefused(EditorFailed):
    """The editor gave an error."""


class EditorGone(EditorFailed):
    """The editor has closed its side."""


class Editor:
    """The other side of a connection.

    Args:
        connection: reaches it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.can = schema.ClientCapabilities()
        """What it has said that it can do."""

    async def tell(self, session: str, update: Any) -> None:
        """Tell what happens in a session.

        Raises:
            ConnectionError: the editor is gone.
        """
        told = schema.SessionNotification(session_id=session, update=update)
        await notify_model(self._connection, CLIENT_METHODS["session_update"], told)

    async def choose(
        self, session: str, call: schema.ToolCallUpdate, options: Sequence[schema.PermissionOption]
    ) -> str | None:
        """Have the person choose an option; return its id, None if the question was withdrawn.

        Raises:
            EditorFailed: see there.
        """
        request = schema.RequestPermissionRequest(
            session_id=session, tool_call=call, options=list(options)
        )
        method = CLIENT_METHODS["session_request_permission"]
        try:
            response = await request_model(
                self._connection, method, request, schema.RequestPermissionResponse
            )
        except (RequestError, ValidationError, ConnectionError) as error:
            if isinstance(error, RequestError) and error.code == _CANCELLED:
                return None
            raise _failed(error) from None
        outcome = response.outcome
        return outcome.option_id if isinstance(outcome, schema.AllowedOutcome) else None

    async def read(self, session: str, path: str) -> str:
        """Return a text file's content as the editor has it, saved or not.

        Raises:
            EditorFailed: see there.
        """
        request = schema.ReadTextFileRequest(session_id=session, path=path)
        method = CLIENT_METHODS["fs_read_text_file"]
        answer = request_model(self._connection, method, request, schema.ReadTextFileResponse)
        try:
            return (await asyncio.wait_for(answer, PATIENCE_S)).content
        except (RequestError, ValidationError, ConnectionError, TimeoutError) as error:
            raise _failed(error) from None

    async def write(self, session: str, path: str, content: str) -> None:
        """Have the editor make this a file's content, and save it.

        Raises:
            EditorFailed: see there.
        """
        request = schema.WriteTextFileRequest(session_id=session, path=path, content=content)
        method = CLIENT_METHODS["fs_write_text_file"]
        answer = request_optional_model(
            self._connection, method, request, schema.WriteTextFileResponse
        )
        try:
            await asyncio.wait_for(answer, PATIENCE_S)
        except (RequestError, ValidationError, ConnectionError, TimeoutError) as error:
            raise _failed(error) from None


def _failed(error: Exception) -> EditorFailed:
    match error:
        case RequestError():
            return EditorRefused(str(error))
        case TimeoutError():
            return EditorFailed(f"the editor has not answered for {PATIENCE_S:.0f} seconds")
        case ConnectionError():
            return EditorGone("the editor is gone")
        case _:
            return EditorFailed("the editor's answer cannot be understood")
