"""Schemas for answers: what is taken, and what an answer is held to."""

import json
from typing import Any

import pytest

from apr.structured import BadSchema, NotOfTheSchema, read_schema, value_of

DRAFT_7 = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}},
        {"$schema": DRAFT_7, "$ref": "#/definitions/a", "definitions": {"a": {}}},
        {"$id": "https://example.org/s", "$defs": {"b": {"$id": "other"}}, "$ref": "other"},
        {"properties": {"$ref": {"type": "string"}}},
        {"properties": {"x": {"enum": [{"$ref": "https://example.org/data"}]}}},
    ],
    ids=["inside", "older draft", "by name", "a property of that name", "mere data"],
)
def test_references_within_a_schema_are_followed(schema: dict[str, Any]) -> None:
    assert read_schema(json.dumps(schema)) == schema
    assert value_of("{}", schema, cut=False) == {}


@pytest.mark.parametrize(
    ("schema", "lost"),
    [
        ({"$ref": "https://example.org/schema.json"}, "https://example.org/schema.json"),
        ({"items": {"properties": {"a": {"$ref": "#/$defs/none"}}}}, "#/$defs/none"),
        ({"$schema": DRAFT_7, "allOf": [{"$ref": "file:///etc/passwd"}]}, "file:///etc/passwd"),
    ],
)
def test_references_out_of_a_schema_are_named_before_anybody_is_asked(
    schema: dict[str, Any], lost: str
) -> None:
    with pytest.raises(BadSchema, match=f"refers to what is not in it: {lost}".replace("$", r"\$")):
        read_schema(json.dumps(schema))


def test_a_reference_behind_data_is_found_out_when_it_is_followed() -> None:
    data = {"$ref": "https://example.org/s"}
    schema = {"$ref": "#/properties/a/enum/0", "properties": {"a": {"enum": [data]}}}
    with pytest.raises(BadSchema, match="refers to what is not in it"):
        value_of("{}", read_schema(json.dumps(schema)), cut=False)


def test_a_schema_without_an_end_is_no_fault_of_json() -> None:
    with pytest.raises(NotOfTheSchema, match="nested too deeply"):
        value_of("{}", read_schema('{"$ref": "#"}'), cut=False)


def test_a_dialect_must_be_a_text() -> None:
    with pytest.raises(BadSchema, match="not a text"):
        read_schema('{"$schema": 3}')
