"""Answers that are JSON of a given shape: the schema, and whether an answer keeps to it.

The engine makes a grammar of the schema, which holds the shape but not all that a schema can say
(the least and the greatest number, say). So the answer is held against the schema itself as well.
"""

import json
from pathlib import Path
from typing import Any

from apr.errors import AprError


class BadSchema(AprError):
    """What was given is no JSON Schema that can be used."""


class NotOfTheSchema(AprError):
    """The model's answer is not what the schema describes."""

    exit_code = 1


class _Lost(Exception):
    """A reference that leads to nothing."""


def read_schema(text: str) -> dict[str, Any]:
    """Return the schema that `text` is, or that is in the file of that name.

    Raises:
        BadSchema: it cannot be read, or is none.
    """
    where = "--json-schema"
    if not text.lstrip().startswith("{"):
        where = text
        try:
            text = Path(text).expanduser().read_text(encoding="utf-8-sig")
        except (OSError, RuntimeError, UnicodeDecodeError, ValueError) as error:
            raise BadSchema(f"--json-schema: cannot read {where}: {error}") from None
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadSchema(f"{where} is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise BadSchema(f"{where}: a JSON Schema is an object, not {json.dumps(schema)[:40]}")
    if not isinstance(schema.get("$schema", ""), str):
        raise BadSchema(f"{where} is no JSON Schema: $.$schema is not a text")
    from jsonschema.exceptions import SchemaError

    try:
        _validator(schema).check_schema(schema)
        _check_references(schema)
    except SchemaError as error:
        raise BadSchema(f"{where} is no JSON Schema: {error.json_path}: {error.message}") from None
    except RecursionError:
        raise BadSchema(f"{where} is nested too deeply") from None
    except _Lost as error:
        raise BadSchema(f"{where} refers to what is not in it: {error}") from None
    return schema


def response_format(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that ask for JSON of the schema.

    A grammar binds every token, so reasoning in front of the answer is turned off.
    """
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema},
        },
        "chat_template_kwargs": {"enable_thinking": False},
    }


def value_of(text: str, schema: dict[str, Any], *, cut: bool) -> Any:
    """Return what an answer says; with `cut` it ended at a limit.

    Raises:
        NotOfTheSchema: it is not JSON, or not of the schema.
        BadSchema: the schema refers to what is not in it.
    """
    from jsonschema.exceptions import ValidationError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "was cut off (see --max-tokens and --ctx)" if cut else f"is not JSON: {error}"
        raise NotOfTheSchema(f"The answer {what}") from None
    try:
        # An empty registry: a reference to elsewhere is an error, never a download.
        _validator(schema)(schema, registry=Registry()).validate(value)
    except ValidationError as error:
        raise NotOfTheSchema(
            f"The answer is not of the schema: {error.json_path}: {error.message}"
        ) from None
    except Unresolvable as error:  # behind a reference to what is no schema by itself
        raise BadSchema(f"--json-schema refers to what is not in it: {error.ref}") from None
    except RecursionError:
        raise NotOfTheSchema("The answer, or its schema, is nested too deeply") from None
    return value


def _check_references(schema: dict[str, Any]) -> None:
    """Follow every reference in a schema.

    Raises:
        _Lost: one leads out of it, or to nothing.
    """
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012, specification_with

    dialect = str(schema.get("$schema", ""))
    whole = specification_with(dialect, default=DRAFT202012).create_resource(schema)
    base = whole.id() or ""
    left = [(whole, Registry().with_resource(base, whole).resolver(base))]
    while left:
        resource, resolver = left.pop()
        if isinstance(resource.contents, dict):
            for keyword in ("$ref", "$dynamicRef"):
                reference = resource.contents.get(keyword)
                try:
                    if isinstance(reference, str):
                        resolver.lookup(reference)
                except (Unresolvable, ValueError):
                    raise _Lost(reference) from None
        left += [(inside, resolver.in_subresource(inside)) for inside in resource.subresources()]


def _validator(schema: dict[str, Any]) -> Any:
    from jsonschema.validators import Draft202012Validator, validator_for

    return validator_for(schema, default=Draft202012Validator)
