"""Why a call must not run, in words for the model: what was wrong, and what to do instead."""

AMBIGUOUS = (
    "The call's values contain tags such as </parameter> or </function> of their own, so it is "
    "unclear where they end. Nothing was run. Call again with values that contain no such tags."
)
BROKEN = (
    "The call is not valid JSON: {problem}. Nothing was run. Write it again, with quotes and "
    "backslashes inside strings escaped."
)
BROKEN_PYTHON = (
    "The call is not in the form [NAME(key=value)]: {problem}. Nothing was run. Write it again, "
    "with quotes and backslashes inside strings escaped."
)
CUT_OFF = (
    "The output limit was reached inside this call, so it is incomplete. Nothing was run. "
    "Call again with less text, in several smaller calls if need be."
)
NAMELESS = (
    "The call names no tool. Nothing was run. Write it again, with the tool's name in its place."
)
NOT_A_CALL = (
    'A call must be {"name": NAME, "arguments": {...}}. '
    "Nothing was run. Write it again in that form."
)
NO_PARAMETERS = (
    "Inside <function={name}> there was text where <parameter=KEY> was expected. Nothing was run. "
    "Write each argument as <parameter=KEY>, a new line, the value, a new line, </parameter>."
)
TWICE = "`{key}` was given twice. Nothing was run. Call again, with each argument once."
UNCLOSED = (
    "The value of `{key}` is not closed by </parameter>, </function> and </tool_call>. "
    "Nothing was run. Write the whole call again."
)
UNCLOSED_STRING = (
    "A string in the call is not closed. Nothing was run. Write the whole call again, with each "
    "string closed."
)
UNKNOWN_FORM = (
    "Between <tool_call> and </tool_call> there was no call in a form that can be read. "
    "Nothing was run. Write the call again, in the form that the instructions show."
)
