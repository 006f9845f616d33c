"""What is wrong with one line: every fault of its JSON and of its fields.

msgspec decides whether a line is a record, fast, and stops at the first fault. This module is asked
about the lines it refused, and about lines in which a key might stand twice; it can take its time.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct, inspect

from ccpa.trace import VERSION_3_FIELDS, record_type
from ccpa.validate import repeats
from ccpa.validate.wording import any_of, quoted, shown, type_name

Fault = tuple[str, str]
"""A field, as a JSON path from the record (`$.blocks[0].id`), and what is wrong with it."""

REPEATED = "this key stands more than once in its object"
SALVAGEABLE = 50
"""A record with so many faults is not worth more effort."""
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")

_LATER = {kind.__struct_config__.tag: fields for kind, fields in VERSION_3_FIELDS.items()}
_PYTHON: dict[type[inspect.Type], Any] = {
    inspect.AnyType: object,
    inspect.BoolType: bool,
    inspect.DictType: dict,
    inspect.FloatType: int | float,
    inspect.IntType: int,
    inspect.ListType: list,
    inspect.StrType: str,
    inspect.StructType: dict,
}
_NAMES: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.DictType: "an object",
    inspect.FloatType: "a number",
    inspect.IntType: "an integer",
    inspect.ListType: "an array",
    inspect.StrType: "a string",
    inspect.StructType: "an object",
}


def parse(line: bytes) -> tuple[Any, Iterator[Fault]]:
    """Return the line's JSON value, and its faults as JSON: repeated keys, lone surrogates.

    Raises:
        ValueError: it is not JSON at all; the message says why and where.
    """
    try:
        value = repeats.decode(line)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: {error.reason} at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if repeats.any_in(line) or _SURROGATE_ESCAPE.search(line):
        return value, _json_faults(value)
    return value, iter(())


def _json_faults(value: Any) -> Iterator[Fault]:
    waiting = [("$", value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, repeats.Object):
            for key in item.repeated:
                yield _member(path, key), REPEATED
            for key in filter(_SURROGATE.search, item):
                yield _member(path, key), "a key with half a surrogate pair: it is no text"
            waiting.extend((_member(path, key), member) for key, member in item.items())
        elif isinstance(item, list):
            waiting.extend((f"{path}[{index}]", member) for index, member in enumerate(item))
        elif isinstance(item, str) and _SURROGATE.search(item):
            yield path, "half a surrogate pair: it is no text"


def kind_of(value: Any) -> str | None:
    """Return what kind of record a value claims to be."""
    kind = value.get("kind") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else None


def faults(value: Any, version: Literal[2, 3]) -> Iterator[Fault]:
    """Yield all that keeps a JSON value from being a record of this version, field by field."""
    if not isinstance(value, dict):
        yield "$", f"a record is an object, not {type_name(value)}"
        return
    known = _kinds(version)
    kind = kind_of(value)
    if kind in known:
        yield from _object_faults(value, known[kind], "$")
    elif "kind" not in value:
        yield "$.kind", "required, but missing"
    elif kind in _kinds(3):
        yield "$.kind", f"only version 3 has {kind}"
    else:
        yield "$.kind", f"must be {any_of(known)}; it is {shown(value['kind'])}"


def salvage(value: Any, faults: list[Fault], version: Literal[2, 3]) -> Any:
    """Return the record that is left when the fields at fault are left out, or None where none is.

    So one unknown field, say, does not keep the rest of the record from being checked.
    """
    if not isinstance(value, dict) or len(faults) >= SALVAGEABLE:
        return None
    kind = _kinds(version).get(kind_of(value) or "")
    if kind is None:
        return None
    rest = {key: member for key, member in value.items() if not _is_at_fault(key, faults)}
    try:
        return msgspec.convert(rest, kind.cls)
    except (msgspec.ValidationError, RecursionError):
        return None


def _is_at_fault(key: str, faults: list[Fault]) -> bool:
    path = _member("$", key)
    inside = (f"{path}.", f"{path}[")
    return any(
        field.startswith(inside) or (field == path and message != REPEATED)
        for field, message in faults
    )


@cache
def _kinds(version: Literal[2, 3]) -> dict[str, inspect.StructType]:
    return _by_tag(map(_struct, get_args(record_type(version))))


def _struct(kind: type[Struct]) -> inspect.StructType:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)  # noqa: S101 - for the type checker
    return described


def _by_tag(structs: Iterable[inspect.StructType]) -> dict[str, inspect.StructType]:
    return {str(struct.tag): struct for struct in structs}


def _object_faults(value: dict[str, Any], struct: inspect.StructType, path: str) -> Iterator[Fault]:
    fields = {field.encode_name: field for field in struct.fields}
    for name, field in fields.items():
        if name in value:
            yield from _value_faults(value[name], field.type, _member(path, name))
        elif field.required:
            yield _member(path, name), "required, but missing"
    for name in value:
        if name not in fields and name != struct.tag_field:
            later = struct.cls not in VERSION_3_FIELDS and name in _LATER.get(struct.tag, ())
            yield _member(path, name), "only version 3 has this field" if later else "unknown field"


def _value_faults(value: Any, wanted: inspect.Type, path: str) -> Iterator[Fault]:
    match wanted:
        case inspect.Metadata(type=inner):
            yield from _value_faults(value, inner, path)
        case inspect.UnionType(types=options):
            yield from _union_faults(value, options, path)
        case inspect.LiteralType(values=allowed):
            if not any(type(value) is type(one) and value == one for one in allowed):
                yield path, f"must be {any_of(allowed)}; it is {shown(value)}"
        case _ if not isinstance(value, _PYTHON[type(wanted)]) or (
            isinstance(value, bool) and not isinstance(wanted, inspect.BoolType | inspect.AnyType)
        ):
            yield path, f"must be {_NAMES[type(wanted)]}, not {type_name(value)}"
        case inspect.StructType():
            yield from _object_faults(value, wanted, path)
        case inspect.ListType(item_type=item_type, min_length=least):
            if len(value) < (least or 0):
                yield path, f"must have at least {least} item"
            for index, item in enumerate(value):
                yield from _value_faults(item, item_type, f"{path}[{index}]")
        case inspect.IntType(ge=least, le=most) | inspect.FloatType(ge=least, le=most):
            if least is not None and value < least:
                yield path, f"must be at least {least}; it is {shown(value)}"
            if most is not None and value > most:
                yield path, f"must be at most {most}; it is {shown(value)}"
        case inspect.StrType(pattern=pattern):
            if pattern is not None and not re.search(pattern, value):
                yield path, f"must match {pattern}; it is {shown(value)}"


def _union_faults(value: Any, options: tuple[inspect.Type, ...], path: str) -> Iterator[Fault]:
    """Unions of the schema are of two sorts: something or null, and objects told apart by a tag."""
    if value is None and any(isinstance(option, inspect.NoneType) for option in options):
        return
    some = [option for option in options if not isinstance(option, inspect.NoneType)]
    structs = [option for option in some if isinstance(option, inspect.StructType)]
    if len(some) == 1 or not isinstance(value, dict):
        yield from _value_faults(value, some[0], path)
        return
    tag_field = structs[0].tag_field or ""
    known = _by_tag(structs)
    tag = value.get(tag_field)
    if isinstance(tag, str) and tag in known:
        yield from _object_faults(value, known[tag], path)
    elif tag_field in value:
        yield _member(path, tag_field), f"must be {any_of(known)}; it is {shown(tag)}"
    else:
        yield _member(path, tag_field), "required, but missing"


def _member(path: str, key: str) -> str:
    return f"{path}.{key}" if _PLAIN_KEY.match(key) else f"{path}[{quoted(key)}]"
