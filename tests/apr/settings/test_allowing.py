"""What a person allows from now on."""

import json
from pathlib import Path

import pytest

from apr.settings import SettingsError
from apr.settings.allowing import allow


def test_rules_are_added_once_and_the_rest_of_the_file_stays(project: Path) -> None:
    path = project / ".apr/settings.local.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"model": "m", "permissions": {"allow": ["Bash(a)"]}}))
    for _ in range(2):
        assert allow(["Bash(a)", "Edit(/b)"], project) == path
    assert json.loads(path.read_text()) == {
        "model": "m",
        "permissions": {"allow": ["Bash(a)", "Edit(/b)"]},
    }


def test_the_file_is_made_where_there_is_none(project: Path) -> None:
    path = allow(["Bash(a)"], project)
    assert json.loads(path.read_text()) == {"permissions": {"allow": ["Bash(a)"]}}


def test_a_broken_file_is_not_written_over(project: Path) -> None:
    path = project / ".apr/settings.local.json"
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(SettingsError):
        allow(["Bash(a)"], project)
    assert path.read_text() == "{"
