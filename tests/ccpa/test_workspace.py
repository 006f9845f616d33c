"""The tree id is git's own: every case is held against `git write-tree` in a SHA-256 repository."""

import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ccpa.workspace import Changes, Snapshot, compare, snapshot, tree_id, tree_of

_GIT_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}
GIT = shutil.which("git") or "git"


def git(root: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        [GIT, *arguments],
        cwd=root,
        env=_GIT_ENVIRONMENT,
        capture_output=True,
        check=check,
        text=True,
    )
    return done.stdout.strip()


def git_tree(root: Path) -> str:
    """The id that git gives the tree. The repository it takes is kept outside the tree."""
    with tempfile.TemporaryDirectory() as scratch:
        repository = Path(scratch, "repository")
        git(root, "init", "-q", "--bare", "--object-format=sha256", str(repository))
        where = [f"--git-dir={repository}", f"--work-tree={root}"]
        git(root, *where, "add", "-A")
        return git(root, *where, "write-tree")


def write(root: Path, path: str, content: str = "", *, executable: bool = False) -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)
    target.chmod(0o755 if executable else 0o644)
    return target


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    return tree


def test_an_empty_directory_is_the_empty_tree(root: Path) -> None:
    assert tree_id(root) == git_tree(root) == tree_of({})


def test_files_links_and_executables_count_and_empty_directories_do_not(root: Path) -> None:
    write(root, "README.md", "# hello\n")
    write(root, "bin/run", "#!/bin/sh\n", executable=True)
    write(root, "deep/er/and/deeper/file", "x")
    (root / "empty/inside").mkdir(parents=True)
    (root / "link").symlink_to("README.md")
    (root / "dangling").symlink_to("/no/such/place")
    (root / "to-a-directory").symlink_to("deep")
    assert tree_id(root) == git_tree(root)
    assert "to-a-directory/er/and/deeper/file" not in snapshot(root).entries


def test_a_directory_sorts_as_if_its_name_ended_in_a_slash(root: Path) -> None:
    for path in ("a/x", "a.b", "a-b", "a0", "ab/x", "a b/x"):
        write(root, path)
    assert tree_id(root) == git_tree(root)


def test_names_that_are_not_utf8_keep_their_bytes(root: Path) -> None:
    write(root, "caf\udce9 \n\x01", "latin 1")
    assert tree_id(root) == git_tree(root)
    assert list(snapshot(root).entries) == ["caf\udce9 \n\x01"]


def test_a_big_file_is_hashed_in_blocks(root: Path) -> None:
    (root / "big").write_bytes(bytes(range(256)) * 20_000)
    assert tree_id(root) == git_tree(root)


def test_a_tree_deeper_than_the_interpreter_recurses_is_hashed(root: Path) -> None:
    directory = str(root)
    for _ in range(sys.getrecursionlimit() + 200):
        directory += "/d"
        Path(directory).mkdir()
    write(Path(directory), "file", "x")
    try:
        assert len(snapshot(root).entries) == 1
        assert tree_id(root) == git_tree(root)
    finally:  # what clears up temporary directories does recurse
        subprocess.run(["rm", "-rf", str(root)], check=True)


def test_pipes_sockets_and_dot_git_are_no_files(root: Path) -> None:
    write(root, "file")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        git(root, "init", "-q")
        assert list(snapshot(root).entries) == ["file"]
        assert tree_id(root) == git_tree(root)


def test_what_cannot_be_read_is_named_and_left_out() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        root.chmod(0o755)
        write(root, "secret", "x").chmod(0)
        write(root, "closed/file").parent.chmod(0)
        write(root, "open", "x")
        result = without_privileges(lambda: snapshot(root))
        (root / "closed").chmod(0o755)
    assert result.unreadable == ("closed", "secret")
    assert list(result.entries) == ["open"]


def without_privileges(function: Callable[[], Snapshot]) -> Snapshot:
    """Call a function as an ordinary user, which root is not: root can read everything."""
    if os.geteuid() != 0:
        return function()
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setuid(65534)
        os.write(writing, pickle.dumps(tuple(function())))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        result = Snapshot(*pickle.load(answer))
    os.wait()
    return result


def test_files_may_come_and_go_while_they_are_hashed(root: Path) -> None:
    write(root, "steady", "x")
    restless = "while :; do mkdir d; echo x > d/f; ln -s f d/l; echo xx >> d/f; rm -r d; done"
    with subprocess.Popen(["bash", "-c", restless], cwd=root) as process:
        try:
            for _ in range(300):
                assert "steady" in snapshot(root).entries
        finally:
            process.kill()


def test_a_root_that_is_no_directory_is_an_error(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tree_id(root / "missing")
    with pytest.raises(NotADirectoryError):
        tree_id(write(root, "file"))


def test_ignored_files_are_left_out_at_every_level(root: Path) -> None:
    write(root, ".gitignore", "*.log\nbuild/\n/only-here\n!kept.log\n\n# comment\n\\#odd\n")
    write(root, "sub/.gitignore", "!*.log\n/only-here\n")
    for path in ("a.log", "kept.log", "build/x", "sub/build/x", "sub/a.log", "only-here", "#odd"):
        write(root, path)
    for path in ("sub/only-here", "sub/deeper/only-here", "deep/only-here", "buildx"):
        write(root, path)
    assert tree_id(root) == git_tree(root)
    assert "sub/a.log" in snapshot(root).entries


def test_a_linked_gitignore_is_not_followed(root: Path) -> None:
    write(root, "rules", "*.log\n")
    (root / ".gitignore").symlink_to("rules")
    write(root, "a.log")
    assert tree_id(root) == git_tree(root)
    assert "a.log" in snapshot(root).entries


def test_the_repositorys_own_exclude_file_counts_last(root: Path) -> None:
    git(root, "init", "-q", "--object-format=sha256")
    write(root, ".git/info/exclude", "*.tmp\nout/\n")
    write(root, ".gitignore", "!keep.tmp\n")
    for path in ("a.tmp", "keep.tmp", "out/x", "sub/b.tmp"):
        write(root, path)
    git(root, "add", "-A")
    assert tree_id(root) == git(root, "write-tree")
    assert set(snapshot(root).entries) == {".gitignore", "keep.tmp"}


def test_a_linked_worktree_shares_the_exclude_file(root: Path) -> None:
    git(root, "init", "-q", "--object-format=sha256")
    write(root, ".git/info/exclude", "*.tmp\n")
    git(root, "commit", "-q", "--allow-empty", "-m", "first")
    worktree = root.parent / "worktree"
    git(root, "worktree", "add", "-q", str(worktree))
    write(worktree, "a.tmp")
    write(worktree, "b")
    assert list(snapshot(worktree).entries) == ["b"]


def test_what_is_tracked_counts_although_it_is_ignored(root: Path) -> None:
    git(root, "init", "-q", "--object-format=sha256")
    write(root, ".gitignore", "generated/\n*.key\n")
    write(root, "generated/kept", "1")
    write(root, "generated/never-added", "2")
    write(root, "a.key", "3")
    git(root, "add", "-f", "generated/kept", "a.key")
    write(root, "generated/kept", "changed since")
    git(root, "add", "-A")
    assert tree_id(root) == git(root, "write-tree")
    (root / "a.key").unlink()
    git(root, "add", "-A")
    assert tree_id(root) == git(root, "write-tree")


def test_a_tracked_path_behind_a_link_is_not_followed(root: Path) -> None:
    git(root, "init", "-q", "--object-format=sha256")
    write(root, ".gitignore", "generated\n")
    write(root, "generated/file", "1")
    git(root, "add", "-f", "generated/file")
    shutil.rmtree(root / "generated")
    write(root.parent, "outside/file", "1")
    (root / "generated").symlink_to(root.parent / "outside")
    git(root, "add", "-A")
    assert tree_id(root) == git(root, "write-tree")


def test_a_hostile_repository_runs_nothing(root: Path) -> None:
    git(root, "init", "-q")
    trap = write(root, "trap", f"#!/bin/sh\ntouch {root.parent}/sprung\n", executable=True)
    write(root, ".gitignore", "ignored\n.gitattributes\n")
    write(root, "ignored")
    git(root, "config", "core.fsmonitor", str(trap))
    git(root, "config", "core.hooksPath", str(root))
    git(root, "config", "filter.trap.clean", str(trap))
    write(root, ".gitattributes", "* filter=trap\n")
    shutil.copy(trap, root / "post-index-change")
    tree_id(root)
    assert not (root.parent / "sprung").exists()


@pytest.mark.parametrize("packed", [False, True])
def test_a_nested_sha256_repository_is_its_commit(root: Path, packed: bool) -> None:
    write(root, "file")
    nested = write(root, "nested/file").parent
    git(nested, "init", "-q", "--object-format=sha256")
    git(nested, "add", "-A")
    git(nested, "commit", "-q", "-m", "first")
    if packed:
        git(nested, "pack-refs", "--all")
    write(root, "nested/changed-since-then")
    assert tree_id(root) == git_tree(root)
    git(nested, "checkout", "-q", "--detach")
    assert tree_id(root) == git_tree(root)


@pytest.mark.parametrize("commit", [False, True])
def test_a_nested_repository_that_git_would_refuse_counts_as_its_files(
    root: Path, commit: bool
) -> None:
    nested = write(root, "nested/file", "x").parent
    without = tree_id(root)
    git(nested, "init", "-q")
    if commit:
        git(nested, "add", "-A")
        git(nested, "commit", "-q", "-m", "first")
    assert tree_id(root) == without


@pytest.mark.parametrize(
    "head", ["ref: refs/heads/a", "ref: refs/../../../../etc/passwd", "", "é", "ref: refs/heads/b"]
)
def test_a_nested_repository_with_a_senseless_head_counts_as_its_files(
    root: Path, head: str
) -> None:
    write(root, "nested/file", "x")
    without = tree_id(root)
    write(root, "nested/.git/HEAD", head)
    write(root, "nested/.git/refs/heads/a", "ref: refs/heads/b")
    write(root, "nested/.git/refs/heads/b", "ref: refs/heads/a")
    assert tree_id(root) == without


def test_comparing_snapshots_names_what_changed(root: Path) -> None:
    write(root, "same", "x")
    write(root, "mode", "x")
    write(root, "content", "x")
    write(root, "gone", "x")
    before = snapshot(root)
    (root / "mode").chmod(0o755)
    write(root, "content", "y")
    (root / "gone").unlink()
    write(root, "new/file", "x")
    after = snapshot(root)
    assert compare(before, after) == Changes(("new/file",), ("gone",), ("content", "mode"))
    assert compare(after, after) == Changes((), (), ())


def test_the_ordinary_case_imports_nothing_and_starts_no_process(root: Path) -> None:
    git(root, "init", "-q")
    write(root, ".gitignore", "*.log\n")
    write(root, "file")
    program = (
        "import sys; from pathlib import Path; from ccpa.workspace import tree_id; "
        "tree_id(Path(sys.argv[1])); print(*{'subprocess', 'pathspec', 'msgspec'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", program, str(root)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ""


# Trees over few names, so that patterns hit often; globs from the characters that mean something.
_NAMES = st.sampled_from(["a", "b", "ab", "a.b", "a-b", "A", "c]", "a b", "é", "!a", "#a", "b\\"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_GLOBS = st.lists(
    st.sampled_from(
        [
            *"ab/*?!-]\\^#. é\t\r",
            *("**", "**/", "/**", "a*b", "\\*"),
            *("[ab]", "[!a]", "[^b-]", "[a-", "[]", "[z-a]", "[\\]]", "[A-b]"),
            *("[[:alpha:]]", "[[:x:]]", "[[:]"),
        ]
    ),
    max_size=6,
).map("".join)


def _plant(root: Path, paths: list[str], rules: dict[str, list[str]]) -> None:
    for path in paths:
        try:
            write(root, path, path)
        except OSError:
            continue  # a file stands where this path needs a directory
    for directory, lines in rules.items():
        place = root / directory
        if place.is_dir():
            (place / ".gitignore").write_bytes("\n".join(lines).encode())


@pytest.fixture(scope="module")
def bare_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("bare") / "repository"
    git(repository.parent, "init", "-q", "--bare", "--object-format=sha256", str(repository))
    return repository


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    paths=st.lists(_PATHS, min_size=1, max_size=12, unique=True),
    rules=st.dictionaries(
        st.sampled_from(["", "a", "ab", "a/b", "b"]), st.lists(_GLOBS, max_size=4), max_size=3
    ),
)
@example(paths=["aab/b", "a/b/a"], rules={"": ["a**/b"]})
@example(paths=["a b", "ab"], rules={"": ["a\\ b  ", "ab\\ "]})
@example(paths=["ab/ab/b", "ab/a/b", "b"], rules={"": ["**/a*b/**/b", "!/ab/ab"]})
@example(paths=["a/a", "a/b"], rules={"": ["a/*", "!a/b"], "a": ["b", "!a"]})
def test_any_tree_has_the_id_that_git_gives_it(
    bare_repository: Path, paths: list[str], rules: dict[str, list[str]]
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        _plant(root, paths, rules)
        where = [f"--git-dir={bare_repository}", f"--work-tree={root}"]
        git(root, *where, "read-tree", "--empty")
        git(root, *where, "add", "-A")
        assert tree_id(root) == git(root, *where, "write-tree")
