"""What is written to a terminal that is gone."""

import os
import pty

from prompt_toolkit.data_structures import Size
from prompt_toolkit.output.vt100 import Vt100_Output

from apr.terminal.hangup import outlast


def test_what_is_written_to_a_terminal_that_is_gone_is_no_error() -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stdout:
        output = Vt100_Output(stdout, lambda: Size(rows=24, columns=80))
        outlast(output)
        output.write_raw("seen\n")
        output.flush()
        assert os.read(master, 100) == b"seen\r\n"
        os.close(master)
        output.write_raw("not seen\n")
        output.flush()
        print("nor this", file=stdout, flush=True)
