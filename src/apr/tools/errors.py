"""The one error that a tool raises on purpose."""


class ToolError(Exception):
    """The tool refuses before doing anything (bad input, no such file, stale edit).

    The model is told in `<tool_use_error>`; the message says how to do better.
    """
