"""The program that drives us, as we speak to it: what we ask of it, and what it asks of us."""

import asyncio
import contextlib
from typing import Any
from uuid import uuid4

from apr.headless.arrivals import Response
from apr.ui.lines import Lines, TooLong


class HostFailed(Exception):
    """The program gave no answer, or an error for one."""


class Host:
    """The two directions of the control protocol, over lines."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._gone = False

    async def ask(self, subtype: str, **fields: Any) -> dict[str, Any]:
        """Ask something of the program, and return its answer.

        Who waits no longer is not answered: the program is told.

        Raises:
            HostFailed: it says that it cannot, or is gone, or cannot be asked.
        """
        if self._gone:
            raise HostFailed("the program that drives this session has closed its side")
        request_id = str(uuid4())
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        try:
            self._lines.write_whole(
                {
                    "type": "control_request",
                    "request_id": request_id,
                    "request": {"subtype": subtype, **fields},
                }
            )
            return await answer
        except TooLong as error:
            raise HostFailed(f"too much to be sent: {error}") from None
        except OSError as error:  # what is shown next ends the run
            raise HostFailed(f"the program cannot be reached: {error.strerror}") from None
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                self._lines.write({"type": "control_cancel_request", "request_id": request_id})
            raise
        finally:
            del self._waiting[request_id]

    def answered(self, response: Response) -> None:
        """Take an answer of the program. One that nobody waits for has come too late."""
        waiting = self._waiting.get(response.request_id)
        if waiting is None or waiting.done():
            return
        if response.subtype == "error":
            waiting.set_exception(HostFailed(response.error or "it gave no reason"))
        else:
            waiting.set_result(response.response or {})

    def leave(self) -> None:
        """The program says nothing more: nobody need wait for it."""
        self._gone = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(HostFailed("the program has left without an answer"))

    def answer(self, request_id: str, answer: dict[str, Any]) -> None:
        """Answer a request of the program."""
        response = {"subtype": "success", "request_id": request_id, "response": answer}
        self._lines.write({"type": "control_response", "response": response})

    def refuse(self, request_id: str, error: str) -> None:
        """Tell the program why it gets no answer."""
        response = {"subtype": "error", "request_id": request_id, "error": error}
        self._lines.write({"type": "control_response", "response": response})
