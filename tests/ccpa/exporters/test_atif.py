import importlib
import io
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings

from ccpa import trace
from ccpa.actions import decode_views
from ccpa.compare import compare
from ccpa.errors import CcpaError
from ccpa.exporters.atif import trajectory
from ccpa.importers import atif
from ccpa.importers.notes import Notes
from ccpa.importers.reading import Source
from ccpa.trace import Record
from ccpa.validate import check
from tests.ccpa.exporters import atif_rules
from tests.ccpa.exporters.generated import traces
from tests.ccpa.exporters.reading import TEACHERS, encoded, session
from tests.ccpa.traces import Value, asked, end, prompt, result, said, whole
from tests.ccpa.traces import session as started


def exported(records: list[Value] | list[Record] | bytes) -> dict[str, Any]:
    """Return the trajectory as somebody reads it who gets the file."""
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(trajectory(session(records))))
    return made


def imported(document: dict[str, Any]) -> list[Record]:
    source = Source("trajectory.json", io.BytesIO(msgspec.json.encode(document)))
    return atif.read(source, Notes())[0].records


@settings(max_examples=40)
@given(traces())
def test_a_round_trip_loses_nothing(records: list[Record]) -> None:
    original = encoded(records)
    assert check(io.BytesIO(original), prefix=True).problems == []
    document = exported(records)
    atif_rules.check(document)
    returned = imported(document)
    assert returned == records
    compared = compare(decode_views(original), decode_views(encoded(returned)))
    assert compared.score.parity in (1.0, None)  # None: nothing was done
    assert compared.drifts == []


@pytest.mark.parametrize("path", TEACHERS, ids=lambda path: path.parent.name)
def test_every_teacher_survives_the_round_trip(path: Path) -> None:
    document = exported(path.read_bytes())
    atif_rules.check(document)
    assert imported(document) == list(trace.read(path.read_bytes().splitlines()))


def test_harbor_itself_accepts_what_is_exported() -> None:
    if sys.version_info < (3, 12):
        pytest.skip("harbor needs Python 3.12; atif_rules has what its documentation says")
    try:
        models = importlib.import_module("harbor.models.trajectories")
    except ImportError:
        pytest.skip("harbor is not installed: it brings a hundred packages; pip install harbor")
    for path in TEACHERS:
        document = exported(path.read_bytes())
        assert models.Trajectory.model_validate(document).to_json_dict() == document


def test_each_record_is_where_a_reader_of_atif_looks_for_it() -> None:
    document = exported(whole())
    assert document["schema_version"] == "ATIF-v1.7"
    assert document["agent"] == {"name": "apr-code", "version": "1.0", "model_name": "demo"}
    sources = [step["source"][0] for step in document["steps"]]  # system, user or agent
    assert "".join(sources) == "susassauas"
    step = document["steps"][3]
    assert step["tool_calls"][0] == {
        "tool_call_id": "bash-1",
        "function_name": "Bash",
        "arguments": {"command": "ls"},
    }
    assert step["metrics"] == {"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 4}
    assert step["observation"]["results"][0]["content"] == "README.md\n"
    assert document["steps"][6]["reasoning_content"] == "Hm."
    assert document["final_metrics"] == {"total_steps": 10, "total_cost_usd": 0.5}


def test_a_subagent_is_a_trajectory_of_its_own() -> None:
    document = exported(whole())
    (subagent,) = document["subagent_trajectories"]
    assert subagent["trajectory_id"] == "agent-1"
    results = document["steps"][3]["observation"]["results"]
    assert results[1]["subagent_trajectory_ref"] == [{"trajectory_id": "agent-1"}]


def test_a_subagent_begins_with_what_it_was_asked() -> None:
    use = {"prompt": "Look for tea.", "subagent_type": "Explore"}
    call = {"type": "tool_use", "id": "k", "name": "Agent", "input": use}
    records = [started(), prompt(0), asked(1, blocks=[call]), said(1, parent_tool_use_id="k")]
    (subagent,) = exported(records)["subagent_trajectories"]
    assert subagent["agent"]["name"] == "Explore"
    assert subagent["steps"][0] == {"step_id": 1, "source": "user", "message": "Look for tea."}


def test_tokens_are_added_up_only_where_every_answer_tells_them() -> None:
    usage = {"input_tokens": 7, "output_tokens": 2}
    both = [started(), prompt(0), said(1, usage=usage), prompt(2), said(3, usage=usage)]
    assert exported(both)["final_metrics"]["total_prompt_tokens"] == 14
    one = [started(), prompt(0), said(1, usage=usage), prompt(2), said(3)]
    assert "total_prompt_tokens" not in exported(one)["final_metrics"]


def test_a_trajectory_that_was_changed_is_read_as_it_now_is() -> None:
    document = exported([started(), prompt(0), asked(1, "k"), result(2, "k"), said(3), end(3)])
    document["steps"][1]["tool_calls"][0]["arguments"] = {"command": "rm -r ."}
    (_, _, answer, *_) = imported(document)
    assert msgspec.to_builtins(answer)["blocks"][0]["input"] == {"command": "rm -r ."}


def test_a_trajectory_that_lies_about_its_records_is_still_imported_as_a_valid_trace() -> None:
    document = exported([started(), prompt(0), said(1), end(1)])
    document["steps"][1]["extra"]["ccpa"]["turn"] = 77
    records = imported(document)
    assert check(io.BytesIO(encoded(records)), prefix=True).valid


def test_a_session_in_which_nothing_happened_makes_no_trajectory() -> None:
    with pytest.raises(CcpaError, match=r"run\.jsonl: nothing happened"):
        trajectory(session([started()]))


def test_the_rules_can_fail() -> None:
    document = exported(whole())
    document["steps"][0]["tool_calls"] = []
    with pytest.raises(jsonschema.ValidationError):
        atif_rules.check(document)
    document = exported(whole())
    document["steps"][3]["observation"]["results"][0]["source_call_id"] = "nobody"
    with pytest.raises(AssertionError):
        atif_rules.check(document)
