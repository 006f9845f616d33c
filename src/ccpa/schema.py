"""The trace's JSON Schema, made from the types so that it cannot drift from them."""

import json
from typing import Any, Literal

import msgspec

from ccpa.trace import record_type

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(version: Literal[2, 3] = 3) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one record, that is, of one line of a trace.

    It accepts what the types accept, with one exception that JSON Schema cannot express: to it,
    `1.0` is an integer; to the types it is not.
    """
    schema = msgspec.json.schema(record_type(version))
    # An OpenAPI keyword; the tags, which are required constants, already tell the kinds apart.
    _drop(schema, "discriminator")
    return {
        "$schema": DIALECT,
        "title": f"One record of an action trace, schema version {version}",
        **schema,
    }


def schema_text(version: Literal[2, 3] = 3) -> str:
    """Return the schema as the text that `contracts/trace.schema.json` holds."""
    return json.dumps(json_schema(version), indent=2, ensure_ascii=False) + "\n"


def _drop(node: Any, keyword: str) -> None:
    """Take a keyword out of a schema and everything under it."""
    if isinstance(node, dict):
        node.pop(keyword, None)
        for child in node.values():
            _drop(child, keyword)
    elif isinstance(node, list):
        for child in node:
            _drop(child, keyword)
