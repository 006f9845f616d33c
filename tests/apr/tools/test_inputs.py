from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.tools.bash import Bash, BashInput
from apr.tools.bash_output import BashOutput, BashOutputInput
from apr.tools.edit import Edit, EditInput
from apr.tools.errors import ToolError
from apr.tools.grep import Grep, GrepInput
from apr.tools.inputs import parse
from apr.tools.read import Read, ReadInput
from apr.tools.registry import BUILTIN
from apr.tools.write import Write


def test_values_in_text_form_are_understood() -> None:
    assert parse(Read(), {"file_path": "a", "offset": "5", "limit": 2.0}) == ReadInput("a", 5, 2)
    edit = {"file_path": "a", "old_string": "1", "new_string": "2", "replace_all": "True"}
    assert parse(Edit(), edit) == EditInput("a", "1", "2", True)
    assert parse(Grep(), {"pattern": "x", "-A": "3", "-i": "true"}) == GrepInput(
        pattern="x", after=3, ignore_case=True
    )


def test_null_is_as_good_as_nothing() -> None:
    assert parse(Bash(), {"command": "x", "timeout": None}) == BashInput("x")


def test_a_field_may_have_the_name_other_tools_use_for_it() -> None:
    assert parse(Read(), {"path": "a"}) == ReadInput("a")
    assert parse(Grep(), {"pattern": "x", "file_path": "a"}) == GrepInput(pattern="x", path="a")
    assert parse(BashOutput(), {"task_id": "bash_1"}) == BashOutputInput("bash_1")


@pytest.mark.parametrize(
    ("tool", "given", "message"),
    [
        (
            Read(),
            {},
            "Read: it lacks the required field `file_path`. It takes file_path (string, required), "
            "offset (integer), limit (integer).",
        ),
        (Read(), {"file_path": "a", "lines": 3}, "Read: unknown field `lines`. It takes file_path"),
        (Read(), {"file_path": "a", "path": "b"}, "Read: unknown field `path`."),
        (Write(), {"file_path": "a", "content": "\ud800"}, "half a character"),
        (Write(), {"file_path": "a", "\ud800": "x"}, "half a character"),
        (Read(), {"file_path": 5}, "Read: `file_path`: expected `str`, got `int`."),
        (
            Read(),
            {"file_path": "a", "offset": "x"},
            "Read: `offset`: expected `int | null`, got `str`.",
        ),
        (Read(), {"file_path": "a", "limit": 0}, "Read: `limit`: expected `int` >= 1."),
        (Write(), {"file_path": "a", "content": {"x": 1}}, "`content`: expected `str`"),
        (
            Grep(),
            {"pattern": "x", "output_mode": "lines"},
            "Grep: `output_mode`: invalid enum value 'lines'. It takes pattern (string, required), "
            "path (string), glob (string), type (string), "
            "output_mode (content|count|files_with_matches), -A (integer)",
        ),
    ],
)
def test_a_wrong_input_is_explained(tool: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ToolError) as error:
        parse(tool, given)
    assert message in str(error.value)


@given(
    tool=st.sampled_from(BUILTIN),
    given_=st.dictionaries(
        st.sampled_from(["file_path", "path", "pattern", "command", "-A", "-n", "bash_id"])
        | st.text(max_size=5),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=5)
        | st.just("\ud800")
        | st.lists(st.none()),
        max_size=4,
    ),
)
def test_whatever_a_model_gives_is_an_input_or_an_error(tool: Any, given_: dict[str, Any]) -> None:
    try:
        assert isinstance(parse(tool, given_), tool.Input)
    except ToolError as error:
        assert str(error).startswith(f"{tool.name}: ")  # noqa: PT017
