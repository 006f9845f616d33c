"""What `docs/trace.md` shows is valid, and what it lists is what there is."""

import io
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from msgspec import Struct

from ccpa.trace import VERSION_3_FIELDS, Compaction, record_type
from ccpa.validate import check

TEXT = (Path(__file__).parents[2] / "docs" / "trace.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```json\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
KINDS: list[type[Struct]] = list(get_args(record_type(3)))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_valid_trace(example: str) -> None:
    assert check(io.BytesIO(example.encode())).problems == []


def test_there_is_an_example_of_plain_turns_and_one_of_a_subagent() -> None:
    assert len(EXAMPLES) == 3
    assert sum("parent_tool_use_id" in example for example in EXAMPLES) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_of_a_kind_has_its_fields_and_says_which_are_required_and_which_new(
    kind: type[Struct],
) -> None:
    tag = kind.__struct_config__.tag
    section = re.search(rf"^### `{tag}`.*?(?=^##)", TEXT, re.MULTILINE | re.DOTALL)
    assert section is not None
    documented = {}
    for row in re.findall(r"^\| ([^|]*`[^|]*)\|", section[0], re.MULTILINE):
        for bold, name in re.findall(r"(\*\*)?`(\w+)`", row):
            documented[name] = (bool(bold), "*3*" in row)
    later = VERSION_3_FIELDS.get(kind, ())
    assert documented == {
        field.name: (field.required, kind is not Compaction and field.name in later)
        for field in msgspec.structs.fields(kind)
        if field.name != "v"
    }
