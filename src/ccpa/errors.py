"""The error that a person is shown instead of a traceback."""


class CcpaError(Exception):
    """Something the user can put right: it says what happened, where, and what to do next.

    `ccpa` prints it on stderr and exits with `exit_code`: 2, wrong usage or unusable input.
    """

    exit_code = 2
