"""Where apr keeps its files, and that they are private."""

import os
import stat
from pathlib import Path

import pytest

from apr.home import beside, home, open_private, private_directory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_environment_may_name_another_home(tmp_path: Path) -> None:
    assert home({"APR_HOME": str(tmp_path)}) == tmp_path
    assert home({"APR_HOME": "~/elsewhere"}) == Path.home() / "elsewhere"
    assert home({}) == home({"APR_HOME": ""}) == Path.home() / ".apr"


def test_it_is_in_the_home_of_the_user_whose_environment_it_is(tmp_path: Path) -> None:
    user = {"HOME": str(tmp_path)}
    assert home(user) == tmp_path / ".apr"
    assert home({**user, "APR_HOME": "~/elsewhere"}) == tmp_path / "elsewhere"
    assert home({**user, "APR_HOME": "~"}) == tmp_path
    assert home({**user, "APR_HOME": "/srv/apr"}) == Path("/srv/apr")


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert home({"APR_HOME": "here"}) == tmp_path / "here"


def test_a_private_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    path = private_directory(tmp_path / "a" / "b")
    assert mode(path) == 0o700


def test_a_directory_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.mkdir(mode=0o755)
    private_directory(path)
    assert mode(path) == 0o700


def test_a_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="set APR_HOME"):
        private_directory(tmp_path)


def test_a_private_file_is_new_and_never_behind_a_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    path = tmp_path / "log"
    path.symlink_to(precious)
    descriptor = open_private(path)
    os.write(descriptor, b"text")
    os.close(descriptor)
    assert precious.read_text() == "mine"
    assert not path.is_symlink()
    assert path.read_text() == "text"
    assert mode(path) == 0o600


def test_a_name_beside_is_in_the_same_directory_and_unused(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    assert beside(path).parent == tmp_path
    assert beside(path) != beside(path)
