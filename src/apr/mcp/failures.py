"""What can go wrong with a server. The message is written for a person."""


class Gone(Exception):
    """The server is not there, or not any more."""


class Failed(Exception):
    """The server is there, and did not do what it was asked."""
