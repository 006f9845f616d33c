import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccpa.schema import json_schema, schema_text
from ccpa.trace import record_type
from tests.ccpa.traces import Value, whole

CONTRACT = Path(__file__).parents[2] / "contracts" / "trace.schema.json"
VERSIONS: tuple[Literal[2, 3], ...] = (2, 3)
SCHEMAS = {v: jsonschema.Draft202012Validator(json_schema(v)) for v in VERSIONS}
TYPES = {v: msgspec.json.Decoder(record_type(v)) for v in VERSIONS}

Path_ = tuple[str | int, ...]


def test_the_contract_is_the_schema_of_the_types() -> None:
    assert CONTRACT.read_text(encoding="utf-8") == schema_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_is_one_of_draft_2020_12(version: Literal[2, 3]) -> None:
    schema = json_schema(version)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_version_2_knows_no_compaction_and_no_usage() -> None:
    assert "Compaction" in json_schema(3)["$defs"]
    assert not {"Compaction", "Usage"} & set(json_schema(2)["$defs"])


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield the path of everything in a record, the record itself first."""
    yield path
    if isinstance(value, dict | list):
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(member, (*path, key))


def parent_of(record: Value, path: Path_) -> Any:
    parent: Any = record
    for step in path[:-1]:
        parent = parent[step]
    return parent


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1, 2, 3, 1.5, -0.5, 2**53 - 1, 2**53, -(2**31), 2**32, 10**25),
        *("", "x", "tool_use", "end_turn", "block", "Not-Kebab", "kebab-case\n", "apr-code"),
        *([], {}, [{}], ["a", 1], [None], {"type": "text", "text": ""}, {"input_tokens": 1}),
    ]
).map(copy.deepcopy)
RECORDS = st.sampled_from(whole()).map(copy.deepcopy)
OTHER_TAGS = st.sampled_from(["session_end", "compaction", "text", "thinking", "tool_use", "nope"])


@st.composite
def mutated(draw: st.DrawFn) -> Value:
    """Return a valid record, with up to three places changed, dropped or added to."""
    record = draw(RECORDS)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(list(places(record))))
        target = record if not path else parent_of(record, path)[path[-1]]
        match draw(st.sampled_from(["replace", "drop", "add", "retag", "borrow"])):
            case "replace" if path:
                parent_of(record, path)[path[-1]] = draw(ODD)
            case "drop" if path:
                del parent_of(record, path)[path[-1]]
            case "add" if isinstance(target, dict):
                target[draw(st.sampled_from(["x", "usage", "error", "turn", "v"]))] = draw(ODD)
            case "add" if isinstance(target, list):
                target.append(draw(ODD))
            case "retag" if isinstance(target, dict):
                target["type" if "type" in target else "kind"] = draw(OTHER_TAGS)
            case "borrow":
                record |= draw(RECORDS)
            case _:
                pass
    return record


def accepts(decoder: msgspec.json.Decoder[Any], text: str) -> bool:
    try:
        decoder.decode(text)
    except msgspec.ValidationError:
        return False
    return True


@given(mutated(), st.sampled_from(VERSIONS))
@settings(max_examples=600, deadline=None)
def test_types_and_schema_accept_and_reject_the_same_records(
    record: Value, version: Literal[2, 3]
) -> None:
    assert accepts(TYPES[version], json.dumps(record)) == SCHEMAS[version].is_valid(record)


def test_the_one_exception_is_that_json_schema_takes_1_0_for_an_integer() -> None:
    record = next(value for value in whole() if value["kind"] == "user_prompt") | {"turn": 1.0}
    assert SCHEMAS[3].is_valid(record)
    assert not accepts(TYPES[3], json.dumps(record))
