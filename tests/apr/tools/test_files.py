import os
from pathlib import Path

import pytest

from apr.tools.errors import ToolError
from apr.tools.files import look, replace


def test_a_file_of_any_name_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / ("\N{CRAB}" * 63)  # 252 of the 255 bytes that a name may have
    path.write_text("old")
    replace(path, "crabs", b"new", look(path, "crabs").status)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "new"


def test_nothing_is_left_where_a_file_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ToolError, match="folder: is a directory"):
        replace(tmp_path / "folder", "folder", b"x", None)
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_a_reader_goes_on_with_the_file_it_opened(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with path.open() as reader:
        replace(path, "a", b"new", look(path, "a").status)
        assert reader.read() == "old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    os.chown(path, 1234, 4321)
    replace(path, "a", b"new", look(path, "a").status)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


def test_a_link_put_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """The path was resolved before it was allowed: a link there now is somebody's trick."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to("secret")
    with pytest.raises(ToolError, match="link: "):
        look(tmp_path / "link", "link")
