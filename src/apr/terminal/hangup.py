"""A terminal that goes away: what is still said to it is for nobody, and no error."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompt_toolkit.output import Output


def outlast(output: "Output") -> None:
    """Have what is written to a terminal that is gone go nowhere: the session ends in order.

    Its end is announced otherwise: by a signal, or by the end of what is typed.
    """
    flush = output.flush

    def outlasting() -> None:
        try:
            flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, output.fileno())  # where the interpreter flushes the rest at its end
            os.close(nowhere)

    output.flush = outlasting  # type: ignore[method-assign]
