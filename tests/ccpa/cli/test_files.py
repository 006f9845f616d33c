import json
import os
from pathlib import Path

import pytest

from ccpa.cli.main import main


@pytest.fixture
def trees(tmp_path: Path) -> tuple[str, str]:
    for side, text in (("left", '{"a": 1}'), ("right", '{"a":1}')):
        (tmp_path / side).mkdir()
        (tmp_path / side / "a.json").write_text(text)
    (tmp_path / "right/uv.lock").write_text("x")
    return str(tmp_path / "left"), str(tmp_path / "right")


def test_directories_are_compared_byte_for_byte(
    trees: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["files", *trees]) == 1
    assert capsys.readouterr().out == (
        "content\ta.json\nexcluded\tuv.lock (added)\nnot the same: 1 paths compared\n"
    )


def test_what_is_forgiven_is_said(
    trees: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["files", *trees, "--forgive"]) == 0
    assert "forgiven\ta.json (by data)" in capsys.readouterr().out


def test_a_notebook_is_forgiven_only_where_that_is_asked_for(
    trees: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for tree, text in zip(trees, ('{"cells": []}', '{"cells":[]}'), strict=True):
        (Path(tree) / "a.json").unlink()
        (Path(tree) / "a.ipynb").write_text(text)
    assert main(["files", *trees, "--python"]) == 1
    assert main(["files", *trees, "--forgive"]) == 0
    assert "forgiven\ta.ipynb (by notebook)" in capsys.readouterr().out


def test_exclusions_can_be_changed(
    trees: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["files", *trees, "--exclude", "*.json"]) == 0
    assert main(["files", *trees, "--no-default-excludes", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out.partition("compared\n")[2])
    assert [one["path"] for one in answer["differences"]] == ["a.json", "uv.lock"]
    assert answer["equal"] is False


def test_hostile_names_reach_neither_terminal_nor_json_raw(
    trees: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(trees[1], os.fsdecode(b"\x1b[2J\xff")).write_text("")
    assert main(["files", *trees]) == 1
    assert main(["files", *trees, "--json"]) == 1
    text, _, answer = capsys.readouterr().out.partition("compared\n")
    assert "\x1b" not in text
    assert json.loads(answer)["differences"][0]["path"] == "\x1b[2J\\udcff"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--formatter", "gofmt"], "give it as SUFFIX=NAME"),
        (["--formatter", ".go=indent"], "'indent' is no formatter known here"),
    ],
)
def test_wrong_usage_is_explained(
    trees: tuple[str, str], capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert main(["files", *trees, *extra]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_directory_is_named(
    trees: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["files", trees[0], str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err == f"ccpa: {tmp_path}/absent: No such file or directory\n"
