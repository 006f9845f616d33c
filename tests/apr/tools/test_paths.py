from pathlib import Path

import pytest

from apr.tools.base import Context
from apr.tools.edit import Edit, EditInput
from apr.tools.paths import resolve, show
from apr.tools.read import Read, ReadInput
from apr.tools.write import Write, WriteInput


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("a", "a"),
        ("./x/../a", "a"),
        ("link/new/a", "real/new/a"),
        ("missing/a", "missing/a"),
    ],
)
def test_relative_paths_are_relative_to_the_project(root: Path, name: str, meant: str) -> None:
    (root / "real").mkdir()
    (root / "link").symlink_to("real")
    assert resolve(name, root) == root / meant
    assert resolve(f"{root}/{name}", root) == root / meant
    assert show(root / meant, root) == meant


def test_a_tilde_is_the_home(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert resolve("~/a", root) == Path("/somewhere/a")
    assert show(Path("/somewhere/a"), root) == "/somewhere/a"


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "link", "folder/a", "hop/a", "dangling"])
def test_what_leads_out_of_the_project_is_seen_to(context: Context, name: str) -> None:
    root, outside = context.root, context.root.parent
    (outside / "a").touch()
    (root / "link").symlink_to("../a")
    (root / "folder").symlink_to(outside)
    (root / "hop").symlink_to("folder/.")
    (root / "dangling").symlink_to(outside / "not-there-yet")
    for access in (
        Read().access(ReadInput(name), context),
        Write().access(WriteInput(name, ""), context),
        Edit().access(EditInput(name, "", ""), context),
    ):
        (path,) = access.paths
        assert not path.is_relative_to(root)
