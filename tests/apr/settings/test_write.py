"""One value changed in a file, the rest left as it was."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.settings import SettingsError, dotted, undotted
from apr.settings.locate import line_of
from apr.settings.write import change


def test_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"zork": [1, 2], "permissions": {"allow": ["A"]}, "model": "m"}')
    path.chmod(0o640)
    change(path, ("permissions", "defaultMode"), "plan")
    expected = {
        "zork": [1, 2],
        "permissions": {"allow": ["A"], "defaultMode": "plan"},
        "model": "m",
    }
    assert json.loads(path.read_text()) == expected
    assert list(json.loads(path.read_text())) == list(expected)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["settings.json"]


def test_a_link_is_followed_and_stays_one(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    link = tmp_path / "settings.json"
    link.symlink_to("dotfiles/settings.json")
    change(link, ("model",), "5")
    assert link.is_symlink()
    assert json.loads((tmp_path / "dotfiles/settings.json").read_text()) == {"model": "5"}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (("permissions", "defaultMode"), "yolo", "permissions.defaultMode: invalid"),
        (("sandbox", "enabled"), "yes", "sandbox.enabled: expected `bool`"),
        (("sandbox", "zork"), "1", "no such key"),
        (("model", "zork"), "1", "model: expected"),
    ],
)
def test_a_value_that_does_not_fit_changes_nothing(
    tmp_path: Path, key: tuple[str, ...], value: str, said: str
) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}")
    with pytest.raises(SettingsError, match=said):
        change(path, key, value)
    assert path.read_text() == "{}"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_a_key_is_read_as_it_is_written(parts: list[str]) -> None:
    assert undotted(dotted(tuple(parts))) == tuple(parts)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), _JSON, min_size=1, max_size=4), st.data())
def test_the_line_of_a_value_is_where_it_stands(
    value: dict[str, object], data: st.DataObject
) -> None:
    path: list[str | int] = []
    inner: object = value
    while isinstance(inner, (dict, list)) and inner:
        step = data.draw(
            st.sampled_from(list(inner) if isinstance(inner, dict) else range(len(inner)))
        )
        path.append(step)
        inner = inner[step]
    holder: object = value
    for step in path[:-1]:
        holder = holder[step]  # type: ignore[index]
    marker = "\ue000marker"
    holder[path[-1]] = marker  # type: ignore[index]
    text = json.dumps(value, indent=1, ensure_ascii=False)
    found = line_of(text, path)
    assert marker in text.split("\n")[found - 1]
