"""`apr`: a coding agent that runs on open-weight models on the user's own machine."""

__version__ = "0.1.0"
