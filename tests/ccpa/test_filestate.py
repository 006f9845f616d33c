import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccpa.errors import CcpaError
from ccpa.filestate import Difference, FileState, compare_directories, compare_snapshots
from ccpa.sameness import Forgive, Verdict, forgiving_rule
from ccpa.workspace import Snapshot, snapshot


@pytest.fixture
def left(tmp_path: Path) -> Path:
    return tree(tmp_path / "left", {"same.txt": "x", "src/a.py": "a = 1\n"})


@pytest.fixture
def right(tmp_path: Path) -> Path:
    return tree(tmp_path / "right", {"same.txt": "x", "src/a.py": "a = 1\n"})


def tree(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def kinds(state: FileState) -> dict[str, str]:
    return {difference.path: difference.kind for difference in state.differences}


def test_equal_trees_are_equal(left: Path, right: Path) -> None:
    state = compare_directories(left, right)
    assert state.equal
    assert (state.compared, state.differences, state.excluded) == (2, (), ())


def test_every_kind_of_difference_is_named(left: Path, right: Path) -> None:
    tree(left, {"gone": "x", "mode": "x", "type": "x", "both": "x"})
    tree(right, {"new/file": "x", "mode": "x", "src/a.py": "a = 2\n", "both": "y"})
    (right / "mode").chmod(0o755)
    (right / "both").chmod(0o755)
    (right / "type").symlink_to("x")
    state = compare_directories(left, right)
    assert not state.equal
    assert kinds(state) == {
        "both": "content",
        "gone": "removed",
        "mode": "mode",
        "new/file": "added",
        "src/a.py": "content",
        "type": "type",
    }


def test_tools_output_is_excluded_and_listed(left: Path, right: Path) -> None:
    tree(left, {"node_modules/x/index.js": "1", "uv.lock": "1"})
    tree(right, {"src/__pycache__/a.pyc": "2", "uv.lock": "2"})
    state = compare_directories(left, right)
    assert state.equal
    assert state.compared == 2
    assert [(one.path, one.kind) for one in state.excluded] == [
        ("node_modules/x/index.js", "removed"),
        ("src/__pycache__/a.pyc", "added"),
        ("uv.lock", "content"),
    ]


def test_exclusions_are_gitignore_patterns(left: Path, right: Path) -> None:
    tree(right, {"logs/a.log": "", "logs/keep.log": "", "uv.lock": ""})
    exclude = ("*.log", "!keep.log")
    state = compare_directories(left, right, exclude=exclude)
    assert kinds(state) == {"logs/keep.log": "added", "uv.lock": "added"}
    assert state.excluded == (Difference(path="logs/a.log", kind="added"),)


def test_snapshots_are_compared_without_their_files(left: Path, right: Path) -> None:
    before = snapshot(left)
    tree(left, {"src/a.py": "a = 2\n"})
    assert kinds(compare_snapshots(before, snapshot(left))) == {"src/a.py": "content"}
    assert compare_snapshots(before, snapshot(right)).equal


def test_trees_that_cannot_be_read_are_not_equal(left: Path) -> None:
    readable = snapshot(left)
    partly = Snapshot(readable.entries, ("secret",))
    state = compare_snapshots(partly, partly)
    assert (state.equal, state.unreadable) == (False, ("secret",))


def test_bytes_count_unless_something_is_forgiven(left: Path, right: Path) -> None:
    tree(left, {"a.md": "one\n", "b.json": '{"a": 1, "b": [2]}', "c.txt": "x \n"})
    tree(right, {"a.md": "one  \n\n", "b.json": '{"b":[2],"a":1}\n', "c.txt": "x\n"})
    assert kinds(compare_directories(left, right)) == dict.fromkeys(
        ("a.md", "b.json", "c.txt"), "content"
    )
    state = compare_directories(left, right, forgive=Forgive())
    assert kinds(state) == {"c.txt": "content"}
    assert [(one.path, one.rule) for one in state.forgiven] == [
        ("a.md", "markdown"),
        ("b.json", "data"),
    ]


@pytest.mark.parametrize(
    ("path", "left", "right", "same"),
    [
        ("a.md", "one \ntwo", "one\ntwo\n\n", True),
        ("a.md", " one", "one", False),
        ("a.md", "one\n\ntwo", "one\ntwo", False),
        ("a.json", '{"a": 1, "b": 2}', '{ "b" : 2, "a" : 1 }', True),
        ("a.json", '{"a": 1}', '{"a": true}', False),
        ("a.json", '{"a": 1}', '{"a": 1.0}', False),
        ("a.json", "[1, 2]", "[2, 1]", False),
        ("a.json", "[NaN]", "[ NaN ]", True),
        ("a.json", '{"a": 1}', '{"a": 1, "a": 1}', False),
        ("a.json", "[1]", "[[1]]", False),
        ("a.json", '{"a": "b"}', '["a", "b"]', False),
        ("a.ipynb", '{"cells": []}', '{"cells":[]}\n', True),
        (
            "a.ipynb",
            '{"cells": [{"source": "a\\nb"}]}',
            '{"cells": [{"source": ["a\\n", "b"]}]}',
            True,
        ),
        ("a.ipynb", '{"cells": [{"source": "ab"}]}', '{"cells": [{"source": ["a", 1]}]}', False),
        ("a.ipynb", '{"cells": [{"outputs": 1}]}', '{"cells": [{"outputs": 2}]}', False),
        ("a.ipynb", '{"cells": [1]}', '{ "cells": [1] }', True),
        ("a.ipynb", '{"cells": 1}', '{ "cells": 1 }', False),
        ("a.toml", "a = 1\n[t]\nb = 2", "# comment\na=1\nt = {b = 2}", True),
        ("a.toml", "a = 1", "a = '1'", False),
        ("a.yaml", "a: [1, 2]", "a:\n- 1\n- 2\n", True),
        ("a.yml", "a: yes", "a: 'yes'", False),
        ("a.yaml", "a: 1\n---\nb: 2", "a: 1", False),
        ("a.txt", "a ", "a", False),
        ("a.py", "a = 1", "a=1", False),
    ],
)
def test_a_type_is_compared_by_its_rule(path: str, left: str, right: str, same: bool) -> None:
    assert forgiving_rule(path, left.encode(), right.encode(), Forgive()).same is same


def test_python_is_compared_by_its_syntax_tree_if_asked() -> None:
    forgive = Forgive(python=True)
    one, other = b"x = (1,\n 2)  # pair\n", b"x = (1, 2)\n"
    assert forgiving_rule("a.py", one, other, forgive) == Verdict(same=True, rule="python")
    assert not forgiving_rule("a.py", one, b"x = (1, 3)\n", forgive).same
    verdict = forgiving_rule("a.py", one, b"x = (", forgive)
    assert verdict.note is not None
    assert verdict.note.startswith("cannot be parsed: ")


@pytest.mark.parametrize("path", ["a.json", "a.toml", "a.yaml", "a.py"])
@pytest.mark.parametrize(
    "content", [b"\xff\x00", b"[" * 200_000, b"- " * 200_000, b"a: &a [*a]", b"{" * 900, b""]
)
def test_hostile_text_is_compared_by_its_bytes(path: str, content: bytes) -> None:
    assert not forgiving_rule(path, content, b"a = 1", Forgive(python=True)).same


def test_aliases_that_stand_for_billions_are_looked_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    bomb = "\n".join(lines)
    assert forgiving_rule("a.yaml", bomb.encode(), (bomb + "\n").encode(), Forgive()).same


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(_JSON, _JSON)
def test_json_is_the_same_exactly_if_it_is_written_the_same(one: object, other: object) -> None:
    import json

    left, right = (json.dumps(value, sort_keys=True) for value in (one, other))
    loose = json.dumps(other, indent=3).encode()
    assert forgiving_rule("a.json", left.encode(), loose, Forgive()).same is (left == right)


def test_a_formatter_makes_equal_what_it_writes_alike() -> None:
    forgive = Forgive(formatters={".py": "ruff"})
    verdict = forgiving_rule("a.py", b"a=1 # c\n", b"a = 1  # c\n", forgive)
    if shutil.which("ruff") is None:
        assert verdict == Verdict(same=False, rule="ruff", note="ruff is not installed")
        return
    assert verdict == Verdict(same=True, rule="ruff")
    assert not forgiving_rule("a.py", b"a=1 # c\n", b"a = 1  # d\n", forgive).same
    assert forgiving_rule("a.py", b"a = (", b"b", forgive).note == "ruff refuses it"


def test_a_formatter_that_is_missing_forgives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    verdict = forgiving_rule("a.go", b"x", b"y", Forgive(formatters={".go": "gofmt"}))
    assert verdict == Verdict(same=False, rule="gofmt", note="gofmt is not installed")


def test_a_formatter_nobody_knows_is_an_error() -> None:
    with pytest.raises(CcpaError, match="'indent' is no formatter known here"):
        Forgive(formatters={".c": "indent"})
