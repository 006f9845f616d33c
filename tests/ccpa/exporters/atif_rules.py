"""What the documentation of ATIF says of a trajectory, as a JSON Schema and a few rules.

Harbor's own models say the same and are asked too, where Harbor is installed.
"""

from typing import Any

import jsonschema

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_EXTRA = {"type": "object"}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    """Describe an object; ATIF knows no members but those that it names."""
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties | {"extra": _EXTRA},
        "additionalProperties": False,
    }


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_AGENT = _object("name version", name=_TEXT, version=_TEXT, model_name=_TEXT)
_CALL = _object(
    "tool_call_id function_name arguments",
    tool_call_id=_TEXT,
    function_name=_TEXT,
    arguments={"type": "object"},
)
_REFERENCE = _object("trajectory_id", trajectory_id=_TEXT)
_RESULT = _object(
    "", source_call_id=_TEXT, content=_TEXT, subagent_trajectory_ref=_array(_REFERENCE)
)
_METRICS = _object("", prompt_tokens=_COUNT, completion_tokens=_COUNT, cached_tokens=_COUNT)
_STEP = _object(
    "step_id source message",
    step_id={"type": "integer", "minimum": 1},
    source={"enum": ["system", "user", "agent"]},
    message=_TEXT,
    model_name=_TEXT,
    reasoning_content=_TEXT,
    tool_calls=_array(_CALL),
    observation=_object("results", results=_array(_RESULT)),
    metrics=_METRICS,
    llm_call_count=_COUNT,
)
_OF_AGENTS = ("model_name", "reasoning_content", "tool_calls", "metrics")
_STEP |= {
    "if": {"properties": {"source": {"enum": ["system", "user"]}}},
    "then": {"properties": dict.fromkeys(_OF_AGENTS, False)},
}
_TOTALS = _object(
    "",
    total_prompt_tokens=_COUNT,
    total_completion_tokens=_COUNT,
    total_cached_tokens=_COUNT,
    total_cost_usd={"type": "number"},
    total_steps=_COUNT,
)
SCHEMA = _object(
    "schema_version agent steps",
    schema_version={"pattern": r"^ATIF-v1\.[0-8]$"},
    session_id=_TEXT,
    trajectory_id=_TEXT,
    agent=_AGENT,
    steps=_array(_STEP) | {"minItems": 1},
    final_metrics=_TOTALS,
    subagent_trajectories=_array({"$ref": "#"}),
)
_VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def check(trajectory: dict[str, Any]) -> None:
    """Fail where a trajectory breaks a rule."""
    _VALIDATOR.validate(trajectory)
    embedded = trajectory.get("subagent_trajectories", [])
    names = [one["trajectory_id"] for one in embedded]
    assert len(names) == len(set(names))
    for one in (trajectory, *embedded):
        _check_steps(one["steps"], names)


def _check_steps(steps: list[dict[str, Any]], embedded: list[str]) -> None:
    assert [step["step_id"] for step in steps] == list(range(1, len(steps) + 1))
    for step in steps:
        calls = {call["tool_call_id"] for call in step.get("tool_calls", ())}
        for result in step.get("observation", {"results": ()})["results"]:
            assert result["source_call_id"] in calls
            for reference in result.get("subagent_trajectory_ref", ()):
                assert reference["trajectory_id"] in embedded
