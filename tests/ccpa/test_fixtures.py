import shutil
from pathlib import Path

import pytest

from ccpa.fixtures import (
    FixtureError,
    find_fixtures,
    load_corpus,
    load_fixture,
    materialise,
    read_trace,
)
from ccpa.layout import FIXTURE_FILE, WEB_FILE
from ccpa.trace import UserPrompt
from ccpa.workspace import snapshot

CANONICAL = """\
id = "a"
covers = ["hooks"]
description = "Something to do."
teacher_source = "authored"

[settings]
permission_mode = "acceptEdits"
allow = ["Bash(make:*)"]

[[check]]
command = "make test"

[[check]]
file = "README.md"
pattern = "^# "
"""
LEGACY = '[fixture]\nid = "old"\ncovers = ["hooks"]\ndescription = "From before."\nextra = 1\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A canonical fixture; the test changes what it is about."""
    directory = tmp_path / "a"
    (directory / "workspace").mkdir(parents=True)
    (directory / "workspace/README.md").write_text("# Hello\n")
    (directory / "teacher.ccpa-trace.jsonl").write_text("")
    (directory / "fixture.toml").write_text(CANONICAL)
    return directory


def test_a_canonical_fixture_is_its_files(directory: Path) -> None:
    fixture = load_fixture(directory)
    assert (fixture.id, fixture.kind, fixture.covers) == ("a", "canonical", ("hooks",))
    assert fixture.settings.allow == ("Bash(make:*)",)
    assert [check.command or check.file for check in fixture.checks] == ["make test", "README.md"]
    assert fixture.workspace == directory / "workspace"
    assert fixture.student_trace is None


def test_a_students_trace_makes_it_a_regression_pair(directory: Path) -> None:
    student = directory / "student.ccpa-trace.jsonl"
    student.write_text("")
    text = CANONICAL.replace("[settings]", 'expect = [{category = "extra_tool_call"}]\n[settings]')
    (directory / "fixture.toml").write_text(text)
    fixture = load_fixture(directory)
    assert (fixture.kind, fixture.student_trace) == ("regression", student)
    assert fixture.expect == ({"category": "extra_tool_call"},)


def test_the_older_meters_fixtures_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "meta.toml").write_text(LEGACY)
    for side in ("teacher", "student"):
        (tmp_path / f"{side}.ccpa-trace.jsonl").write_text("")
    fixture = load_fixture(tmp_path)
    assert (fixture.kind, fixture.id, fixture.workspace) == ("legacy", "old", None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "a"', 'id = "b"', "fixture.toml: id: 'b' is not the directory's name, 'a'"),
        ('id = "a"', "id = 1", "fixture.toml:1: id: Expected `str`, got `int`"),
        ('covers = ["hooks"]', "", "missing required field `covers`"),
        ('"acceptEdits"', '"yolo"', "fixture.toml:7: settings.permission_mode: Invalid enum"),
        ("allow", "alow", "fixture.toml:6: settings: Object contains unknown field `alow`"),
        ("# ", "(", "fixture.toml:13: check[1]: bad pattern"),
        ('file = "README.md"', "", "fixture.toml:13: check[1]: needs exactly one of"),
        ('command = "make test"', 'pattern = ""\ncommand = ""', "fixture.toml:10: check[0]: `patt"),
        ("[settings]", "[settings", "fixture.toml: not TOML"),
        ("[settings]", "expect = [{}]\n[settings]", "needs a student.ccpa-trace.jsonl"),
    ],
)
def test_a_malformed_file_is_named_with_its_line_and_field(
    directory: Path, old: str, new: str, message: str
) -> None:
    assert old in CANONICAL
    (directory / "fixture.toml").write_text(CANONICAL.replace(old, new))
    with pytest.raises(FixtureError) as caught:
        load_fixture(directory)
    assert message in str(caught.value)


def test_a_missing_part_is_named(directory: Path) -> None:
    (directory / "teacher.ccpa-trace.jsonl").unlink()
    with pytest.raises(FixtureError, match=r"teacher\.ccpa-trace\.jsonl: missing"):
        load_fixture(directory)
    (directory / "workspace").rename(directory / "other")
    with pytest.raises(FixtureError, match="workspace: missing"):
        load_fixture(directory)
    with pytest.raises(FixtureError, match="no fixture here"):
        load_fixture(directory / "other")


def test_bytes_that_are_no_text_are_an_error(directory: Path) -> None:
    (directory / "fixture.toml").write_bytes(b"id = '\xff'")
    with pytest.raises(FixtureError, match="not UTF-8 at byte 6"):
        load_fixture(directory)


def test_a_corpus_is_every_fixture_below(directory: Path, tmp_path: Path) -> None:
    legacy = tmp_path / "deeper/old"
    legacy.mkdir(parents=True)
    (legacy / "meta.toml").write_text(LEGACY)
    for side in ("teacher", "student"):
        (legacy / f"{side}.ccpa-trace.jsonl").write_text("")
    (directory / "workspace/fixture.toml").write_text("a workspace may hold anything")
    assert [fixture.id for fixture in load_corpus(tmp_path)] == ["a", "old"]
    assert find_fixtures(directory) == [directory]


def test_two_fixtures_of_one_id_are_an_error(directory: Path, tmp_path: Path) -> None:
    shutil.copytree(directory, tmp_path / "b/a")
    with pytest.raises(FixtureError, match="id: 'a' is taken by"):
        load_corpus(tmp_path)


def test_links_in_a_circle_are_an_error(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/up").symlink_to(tmp_path)
    with pytest.raises(FixtureError, match=r"b/up: a link to .*, which is in the corpus already"):
        load_corpus(tmp_path)


def test_links_that_multiply_are_an_error(directory: Path, tmp_path: Path) -> None:
    for depth in range(30):  # 2^30 ways down, none of them a circle
        (tmp_path / f"{depth}").mkdir()
        (tmp_path / f"{depth}/left").symlink_to(tmp_path / f"{depth + 1}")
        (tmp_path / f"{depth}/right").symlink_to(tmp_path / f"{depth + 1}")
    (tmp_path / "30").symlink_to(directory)
    with pytest.raises(FixtureError, match="which is in the corpus already"):
        load_corpus(tmp_path)


def test_links_to_a_corpus_elsewhere_are_followed(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/linked").symlink_to(directory)
    assert [fixture.id for fixture in load_corpus(tmp_path / "other")] == ["a"]


def test_a_corpus_without_fixtures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FixtureError, match="no fixture here or below"):
        load_corpus(tmp_path)
    with pytest.raises(FixtureError, match="missing: cannot be read: No such file"):
        load_corpus(tmp_path / "missing")


def test_a_trace_is_read_whole_and_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"kind":"user_prompt","v":1,"turn":0,"text":"hi"}\n\n')
    assert read_trace(path) == [UserPrompt(v=1, turn=0, text="hi")]
    path.write_text(path.read_text() + '{"kind":"user_prompt","v":1,"turn":0}\n')
    with pytest.raises(FixtureError, match=r"t.jsonl:3: .*missing required field `text`"):
        read_trace(path)
    path.write_text("[" * 100_000)
    with pytest.raises(FixtureError, match=r"t.jsonl:1: "):
        read_trace(path)


def test_a_workspace_is_copied_with_its_links_and_modes(directory: Path, tmp_path: Path) -> None:
    script = directory / "workspace/run"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (directory / "workspace/link").symlink_to("run")
    copy = tmp_path / "copy"
    materialise(load_fixture(directory), copy)
    assert snapshot(copy) == snapshot(directory / "workspace")


def test_a_git_workspace_has_the_same_commit_everywhere(directory: Path, tmp_path: Path) -> None:
    (directory / "fixture.toml").write_text(CANONICAL + "[setup]\ngit = true\n")
    heads = set()
    for name in ("one", "two"):
        copy = tmp_path / name
        materialise(load_fixture(directory), copy)
        heads.add((copy / ".git/refs/heads/main").read_text())
    assert len(heads) == 1


def test_the_session_before_is_a_fixture_of_its_own_and_has_none_before_it(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "fixtures/canonical/session-resumed"
    resumed = tmp_path / source.name
    shutil.copytree(source, resumed)
    before = load_fixture(resumed).before
    assert before is not None
    assert (before.id, before.directory) == ("before", resumed / "before")
    assert find_fixtures(tmp_path) == [resumed]
    shutil.copytree(source / "before", resumed / "before" / "before")
    with pytest.raises(FixtureError, match="one session before is all that is played"):
        load_fixture(resumed)
    (resumed / "before" / FIXTURE_FILE).unlink()
    with pytest.raises(FixtureError, match="before: no fixture here"):
        load_fixture(resumed)


def test_a_web_that_is_none_is_an_error_with_its_line(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "fixtures/canonical/web-search-and-fetch"
    fixture = tmp_path / source.name
    shutil.copytree(source, fixture)
    assert load_fixture(fixture).web is not None
    (fixture / WEB_FILE).write_text('[[page]]\nurl = "https://a.example/"\ntext = 1\n')
    with pytest.raises(FixtureError, match=r"web\.toml:3: page\[0\]\.text: "):
        load_fixture(fixture)
