"""What the tools change can be undone: real files, changed by the real tools."""

import asyncio
import contextlib
import os
import resource
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from apr.errors import AprError
from apr.sessions import checkpoints as module
from apr.sessions.checkpoints import Checkpoints
from apr.sessions.keeping import Keeping
from apr.tools.base import Context
from apr.tools.files import Disk, FileLedger, look
from apr.tools.shells import Shells
from apr.tools.write import Write, WriteInput
from ccpa.trace import AssistantTurn, HookEvent, TextBlock

Tree = dict[str, tuple[int, bytes | None] | None]
FILES = ("there.py", "run.sh", "new.txt", "deep/er/new.txt", "deep/beside.txt", "n\udcffme")


class Session:
    """A project, tools that write in it, and turns that go on."""

    def __init__(self, folder: Path) -> None:
        self.root = (folder / "project").resolve()
        self.root.mkdir()
        (self.root / "there.py").write_bytes(b"first\r\n")
        (self.root / "run.sh").write_bytes(b"#!/bin/sh\n")
        (self.root / "run.sh").chmod(0o755)
        self.turn = 0
        self.warnings: list[str] = []
        self.kept = folder / "kept"
        self.checkpoints = self.opened()

    def opened(self) -> Checkpoints:
        """What is kept, as another process finds it."""
        self.checkpoints = Checkpoints(self.kept, lambda: self.turn, self.warnings.append)
        self.keeping = Keeping(Disk(), lambda: self.checkpoints, self.root)
        return self.checkpoints

    def prompt(self) -> int:
        """The next prompt comes: its turn. Whatever is done for it has a later one."""
        self.turn += 1
        turn = self.turn
        self.turn += 2
        return turn

    def write(self, name: str, content: str) -> None:
        """Have the tool write a file, which the model has read."""
        path, ledger = self.root / name, FileLedger()
        with contextlib.suppress(FileNotFoundError):
            ledger.note(path, look(path, name).stamp)
        context = Context(
            root=self.root, cwd=self.root, files=ledger, shells=Shells(), storage=self.keeping
        )
        asyncio.run(Write().run(WriteInput(str(path), content), context))

    def back(self, turn: int, *, theirs: bool = True) -> list[str]:
        """Go back to before a prompt; return what could not be put back, and why."""
        steps = [s for s in self.checkpoints.since(turn) if theirs or not s.foreign]
        return [f"{s.path.name}: {why}" for s, why in self.checkpoints.restore(steps)]

    def tree(self) -> Tree:
        """All there is: modes and contents."""
        found: Tree = {}
        for path in sorted(self.root.rglob("*")):
            mode = stat.S_IMODE(path.lstat().st_mode)
            found[str(path.relative_to(self.root))] = (
                mode,
                path.read_bytes() if path.is_file() else None,
            )
        return found


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


class Edit(Struct, frozen=True):
    name: str
    content: str


class Prompt(Struct, frozen=True):
    pass


class Back(Struct, frozen=True):
    which: int


class Restart(Struct, frozen=True):
    pass


DEEDS = st.one_of(
    st.builds(Edit, st.sampled_from(FILES), st.sampled_from(["", "a\n", "b\n", "é\n" * 50])),
    st.builds(Prompt),
    st.builds(Back, st.integers(0, 20)),
    st.builds(Restart),
)


@given(st.lists(DEEDS, max_size=14))
def test_after_any_edits_and_any_going_back_the_files_are_what_they_were(
    deeds: list[Edit | Prompt | Back | Restart],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder))
        before = {session.prompt(): session.tree()}
        for deed in deeds:
            match deed:
                case Edit(name, content):
                    session.write(name, content)
                case Prompt():
                    tree = session.tree()
                    before[session.prompt()] = tree
                case Restart():
                    session.opened()
                case Back(which):
                    turn = list(before)[which % len(before)]
                    assert not any(step.foreign for step in session.checkpoints.since(turn))
                    assert session.back(turn) == []
                    assert session.tree() == before[turn]
        assert session.warnings == []


class Theirs(Struct, frozen=True):
    """A person writes a file; without a content they delete it."""

    name: str
    content: str | None


CONTENTS = st.sampled_from(["", "a\n", "b\n", "c\n"])
THEIRS = st.one_of(DEEDS, st.builds(Theirs, st.sampled_from(FILES), CONTENTS | st.none()))


@given(st.lists(THEIRS, max_size=14))
def test_what_a_person_wrote_last_stays_where_nobody_asked_them(
    deeds: list[Edit | Prompt | Back | Restart | Theirs],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder))
        turns, left, touched = [session.prompt()], Tree(), set[str]()
        for deed in deeds:
            match deed:
                case Edit(name, content):
                    session.write(name, content)
                    left[name] = session.tree()[name]
                    touched.discard(name)
                case Prompt():
                    turns.append(session.prompt())
                case Restart():
                    session.opened()
                case Theirs(name, content):
                    written_by_hand(session.root / name, content)
                    touched.add(name)
                case Back(which):
                    before = session.tree()
                    assert session.back(turns[which % len(turns)], theirs=False) == []
                    after = session.tree()
                    # Who writes the very content that the tool left has changed nothing.
                    theirs = {n for n in touched if n not in left or before.get(n) != left[n]}
                    assert {n: after.get(n) for n in theirs} == {n: before.get(n) for n in theirs}
                    left |= {n: after.get(n) for n in left.keys() - theirs}


def written_by_hand(path: Path, content: str | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_what_a_person_has_changed_since_is_known(session: Session) -> None:
    turn = session.prompt()
    session.write("there.py", "ours\n")
    session.write("new.txt", "ours\n")
    (session.root / "there.py").write_text("theirs\n")
    foreign = {step.path.name: step.foreign for step in session.checkpoints.since(turn)}
    assert foreign == {"there.py": True, "new.txt": False}
    session.back(turn, theirs=False)
    assert (session.root / "there.py").read_text() == "theirs\n"
    assert not (session.root / "new.txt").exists()


def test_what_a_person_has_changed_between_two_edits_is_known(session: Session) -> None:
    turn = session.prompt()
    session.write("there.py", "ours\n")
    (session.root / "there.py").write_text("theirs\n")
    later = session.prompt()
    session.write("there.py", "ours again\n")
    assert [step.foreign for step in session.checkpoints.since(turn)] == [True]
    assert [step.foreign for step in session.checkpoints.since(later)] == [False]
    session.back(later)
    assert (session.root / "there.py").read_text() == "theirs\n"


@pytest.mark.parametrize("mode", [0o600, 0o755])
def test_a_mode_that_a_person_has_changed_is_a_change(session: Session, mode: int) -> None:
    turn = session.prompt()
    session.write("there.py", "ours\n")
    (session.root / "there.py").chmod(mode)
    assert [step.foreign for step in session.checkpoints.since(turn)] == [True]


def test_a_file_that_was_deleted_or_renamed_comes_back_with_its_mode(session: Session) -> None:
    turn = session.prompt()
    session.write("run.sh", "#!/bin/bash\n")
    (session.root / "run.sh").rename(session.root / "other.sh")
    (step,) = session.checkpoints.since(turn)
    assert (step.foreign, step.now.kind) == (True, "nothing")
    session.back(turn)
    assert (session.root / "run.sh").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((session.root / "run.sh").stat().st_mode) == 0o755
    assert (session.root / "other.sh").exists()


def test_a_folder_that_has_vanished_is_made_again_for_what_was_in_it(session: Session) -> None:
    session.write("deep/er/new.txt", "first\n")
    turn = session.prompt()
    session.write("deep/er/new.txt", "second\n")
    shutil.rmtree(session.root / "deep")
    session.back(turn)
    assert (session.root / "deep/er/new.txt").read_text() == "first\n"


def test_a_folder_that_others_use_stays(session: Session) -> None:
    turn = session.prompt()
    session.write("deep/er/new.txt", "ours\n")
    (session.root / "deep/theirs.txt").write_text("theirs\n")
    session.back(turn)
    assert sorted(p.name for p in (session.root / "deep").iterdir()) == ["theirs.txt"]


def test_nothing_is_written_through_a_link_that_has_come_in_the_way(
    session: Session, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    turn = session.prompt()
    session.write("deep/beside.txt", "ours\n")
    session.write("there.py", "ours\n")
    shutil.rmtree(session.root / "deep")
    (session.root / "deep").symlink_to(elsewhere)
    (session.root / "there.py").unlink()
    (session.root / "there.py").symlink_to(elsewhere / "new.py")
    (elsewhere / "beside.txt").write_text("theirs\n")
    failed = session.back(turn)
    assert len(failed) == 2
    assert all("link" in why for why in failed)
    assert sorted(p.name for p in elsewhere.iterdir()) == ["beside.txt"]


def test_a_folder_in_the_place_of_a_file_stays(session: Session) -> None:
    turn = session.prompt()
    session.write("there.py", "ours\n")
    (session.root / "there.py").unlink()
    (session.root / "there.py").mkdir()
    assert "no file that can be read" in session.back(turn)[0]
    assert (session.root / "there.py").is_dir()


def test_a_file_too_large_to_be_kept_is_said_to_be_that(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apr.tools.files.WHOLE", 3)
    turn = session.prompt()
    session.write("there.py", "x\n")
    assert "are not kept" in session.back(turn)[0]
    assert (session.root / "there.py").read_text() == "x\n"


def test_the_oldest_contents_go_where_there_are_too_many(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    turns = []
    for size in (60, 61, 62):
        turns.append(session.prompt())
        session.write("there.py", "x" * size)
    turns.append(session.prompt())
    session.write("there.py", "end")
    assert sum(p.stat().st_size for p in contents(session)) <= 100
    assert "not kept any more" in session.back(turns[1])[0]
    assert session.back(turns[3]) == []
    assert (session.root / "there.py").read_text() == "x" * 62


def test_what_is_put_back_does_not_go_for_what_it_replaces(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 50)
    turn = session.prompt()
    session.write("there.py", "x" * 60)
    assert session.back(turn) == []
    assert (session.root / "there.py").read_bytes() == b"first\r\n"


def test_a_file_that_changes_while_a_person_decides_stays(session: Session) -> None:
    turn = session.prompt()
    session.write("there.py", "ours\n")
    steps = session.checkpoints.since(turn)
    (session.root / "there.py").write_text("theirs\n")
    assert [why for _, why in session.checkpoints.restore(steps)] == ["it has changed just now"]
    assert (session.root / "there.py").read_text() == "theirs\n"


def contents(session: Session) -> Iterator[Path]:
    return (path for path in session.kept.iterdir() if path.name != "journal.jsonl")


def test_what_is_kept_is_for_its_owner_alone(session: Session) -> None:
    session.prompt()
    session.write("there.py", "x\n")
    assert stat.S_IMODE(session.kept.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in session.kept.iterdir()} == {0o600}


def test_a_damaged_content_is_not_put_back(session: Session) -> None:
    turn = session.prompt()
    session.write("there.py", "x\n")
    (kept,) = contents(session)
    kept.write_bytes(b"something else")
    assert "damaged" in session.back(turn)[0]
    assert (session.root / "there.py").read_text() == "x\n"


def test_a_content_of_which_half_is_left_is_kept_again(session: Session) -> None:
    session.prompt()
    session.write("there.py", "x\n")
    (kept,) = contents(session)
    kept.write_bytes(b"")
    (session.root / "there.py").write_bytes(b"first\r\n")
    turn = session.prompt()
    session.write("there.py", "y\n")
    assert session.back(turn) == []
    assert (session.root / "there.py").read_bytes() == b"first\r\n"


def test_of_a_content_that_does_not_fit_on_the_disk_nothing_stays(session: Session) -> None:
    session.prompt()
    session.write("there.py", "x\n")
    before = list(contents(session))
    (session.root / "there.py").write_bytes(bytes(100_000))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
    try:
        session.checkpoints.keep(session.root / "there.py")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "cannot be undone" in session.warnings[0]
    assert list(contents(session)) == before


def test_a_folder_that_a_person_has_made_meanwhile_stays(session: Session) -> None:
    turn = session.prompt()
    path = session.root / "deep/er/new.txt"
    with contextlib.suppress(FileNotFoundError):  # the model looks for it
        asyncio.run(session.keeping.look(path, "new.txt"))
    path.parent.mkdir(parents=True)
    session.write("deep/er/new.txt", "x\n")
    assert session.back(turn) == []
    assert path.parent.is_dir()


def test_nothing_is_kept_where_nothing_is_changed(session: Session) -> None:
    assert session.checkpoints.since(session.prompt()) == []
    assert not session.kept.exists()


def test_a_tool_that_was_killed_as_it_wrote_leaves_what_can_be_undone(session: Session) -> None:
    """The journal may end anywhere behind what was announced: at a line's end, or in it."""
    turn = session.prompt()
    session.write("there.py", "ours\n")
    journal = session.kept / "journal.jsonl"
    first, second = journal.read_bytes().splitlines(keepends=True)
    for end in (b"", second[:10]):
        journal.write_bytes(first + end)
        session.opened()
        (step,) = session.checkpoints.since(turn)
        assert step.foreign  # it was never said what the tool left: a person is asked
        session.write("new.txt", f"{len(end)} more\n")
        assert {s.path.name for s in session.checkpoints.since(turn)} == {"there.py", "new.txt"}
    session.back(turn)
    assert (session.root / "there.py").read_bytes() == b"first\r\n"


def test_a_damaged_journal_is_named_with_its_line(session: Session) -> None:
    session.prompt()
    session.write("there.py", "x\n")
    (session.kept / "journal.jsonl").write_bytes(b"{}\n")
    with pytest.raises(AprError, match=r"journal\.jsonl:1"):
        session.checkpoints.changed()


def test_where_nothing_can_be_kept_the_tool_still_writes(session: Session) -> None:
    session.kept.write_text("in the way")
    session.write("there.py", "x\n")
    session.write("there.py", "y\n")
    assert (session.root / "there.py").read_text() == "y\n"
    assert len(session.warnings) == 1
    assert "cannot be undone" in session.warnings[0]


def test_what_a_hook_makes_of_a_file_counts_as_the_tools_doing(session: Session) -> None:
    turn = session.prompt()
    session.write("there.py", "ours\n")
    (session.root / "there.py").write_text("formatted\n")
    hook = HookEvent(v=1, turn=2, event="PostToolUse", decision="allow", exit_code=0)
    session.keeping(hook)
    assert [step.foreign for step in session.checkpoints.since(turn)] == [False]
    session.keeping(AssistantTurn(v=1, turn=3, blocks=[TextBlock("")], stop_reason="end_turn"))
    (session.root / "there.py").write_text("theirs\n")
    session.keeping(hook)
    assert [step.foreign for step in session.checkpoints.since(turn)] == [True]


def test_a_subagents_own_worktree_is_not_the_projects(session: Session) -> None:
    turn = session.prompt()
    session.write(".claude/worktrees/one/there.py", "theirs\n")
    assert session.checkpoints.since(turn) == []


def test_a_program_finds_its_own_prompt_again(session: Session) -> None:
    session.checkpoints.mark("one")
    turn = session.prompt()
    session.write("there.py", "x\n")
    assert session.opened().marked("one") == turn
    with pytest.raises(AprError, match="nothing is kept of a prompt 'two'"):
        session.checkpoints.marked("two")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said_to_be_that(session: Session) -> None:
    turn = session.prompt()
    session.write("deep/beside.txt", "x\n")
    (session.root / "deep").chmod(0o500)
    try:
        assert session.back(turn)
    finally:
        (session.root / "deep").chmod(0o700)
