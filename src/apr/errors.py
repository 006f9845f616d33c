"""Errors that are told to the user as they stand: what happened, where, and what to do next."""


class AprError(Exception):
    """Wrong usage or input. What programs must tell apart has an exit code of its own."""

    exit_code = 2
