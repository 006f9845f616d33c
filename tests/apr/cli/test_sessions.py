"""`apr sessions`, and taking sessions up again: real processes, a scripted model."""

import fcntl
import json
import os
from pathlib import Path

from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import AssistantTurn, SessionStart, ToolResult, UserPrompt, read
from tests.apr.program import apr, calls, problems, records, says

READ = calls(("Read", {"file_path": "src/calc.py"}))
EDIT = calls(
    ("Edit", {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}), first=2
)


def stored(home: Path) -> list[Path]:
    return sorted((home / ".apr/projects").glob("*/*.jsonl"))


def code(home: Path, project: Path, model: ScriptedModel, *words: str | Path) -> str:
    with serving(model) as url:
        done = apr("code", "--base-url", url, *words, home=home, cwd=project)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_session_is_taken_up_where_it_was_left(home: Path, project: Path, tmp_path: Path) -> None:
    code(home, project, ScriptedModel([READ, says("I know it.")]), "look at add")
    trace = tmp_path / "second.ccpa-trace.jsonl"
    model = ScriptedModel([EDIT, says("Fixed.")])
    accept = ("--permission-mode", "acceptEdits")
    code(home, project, model, "-c", *accept, "--emit-trace", trace, "fix it")
    assert (project / "src/calc.py").read_text() == "def add(a, b):\n    return a + b\n"
    start, prompt, *_ = records(trace)
    assert isinstance(start, SessionStart)
    assert isinstance(prompt, UserPrompt)
    assert start.parent_session_id == start.session_id
    assert prompt.turn == 4
    assert problems(trace) == []
    assert len(stored(home)) == 1


def test_a_session_has_its_list_of_tasks_when_it_is_taken_up(
    home: Path, project: Path, tmp_path: Path
) -> None:
    made = calls(("TaskCreate", {"subject": "fix add"}), ("TaskCreate", {"subject": "test it"}))
    code(home, project, ScriptedModel([made, says("Two tasks.")]), "plan it")
    done = calls(("TaskUpdate", {"taskId": "1", "status": "completed"}), first=3)
    model = ScriptedModel([done, calls(("TaskList", {}), first=4), says("One left.")])
    trace = tmp_path / "second.ccpa-trace.jsonl"
    code(home, project, model, "-c", "--emit-trace", trace, "what is left?")
    *_, listed = (record for record in records(trace) if isinstance(record, ToolResult))
    assert listed.content == "1. completed: fix add\n2. pending: test it"


def test_a_copy_leaves_the_session_as_it_was(home: Path, project: Path) -> None:
    code(home, project, ScriptedModel([says("One.")]), "first")
    (first,) = stored(home)
    before = first.read_bytes()
    code(home, project, ScriptedModel([says("Two.")]), "-c", "--fork-session", "second")
    assert len(stored(home)) == 2
    assert first.read_bytes() == before


def test_a_session_is_found_by_the_beginning_of_its_id_and_by_its_name(
    home: Path, project: Path
) -> None:
    code(home, project, ScriptedModel([says("One.")]), "--name", "tidy up", "first")
    (path,) = stored(home)
    for wanted in (path.stem, path.stem[:13], "tidy up"):
        code(home, project, ScriptedModel([says("More.")]), "--resume", wanted, "go on")
    assert len(stored(home)) == 1


def test_two_processes_cannot_work_on_one_session(home: Path, project: Path) -> None:
    code(home, project, ScriptedModel([says("One.")]), "first")
    (path,) = stored(home)
    with path.open("r+b") as file, serving(ScriptedModel([says("Two.")])) as url:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = apr("code", "--base-url", url, "-c", "again", home=home, cwd=project)
    assert done.returncode == 2
    assert "another process works on the session" in done.stderr


def test_an_id_can_be_chosen_once(home: Path, project: Path) -> None:
    own = "11111111-2222-4333-8444-555555555555"
    code(home, project, ScriptedModel([says("One.")]), "--session-id", own, "first")
    assert [path.stem for path in stored(home)] == [own]
    with serving(ScriptedModel([says("Two.")])) as url:
        done = apr("code", "--base-url", url, "--session-id", own, "again", home=home, cwd=project)
    assert (done.returncode, "there is a session" in done.stderr) == (2, True)


def test_a_session_that_is_not_to_be_stored_is_not(home: Path, project: Path) -> None:
    code(home, project, ScriptedModel([says("One.")]), "--no-session-persistence", "first")
    assert stored(home) == []


def test_a_crash_at_any_byte_loses_at_most_the_last_line(home: Path, project: Path) -> None:
    """The file is cut at every line's middle: what is left is taken up, whatever is missing."""
    code(home, project, ScriptedModel([READ, says("I know it.")]), "look")
    (path,) = stored(home)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for count in range(2, len(lines)):
        kept = b"".join(lines[:count])
        path.write_bytes(kept + lines[count][: len(lines[count]) // 2])
        shown = apr("sessions", "show", path.stem, home=home, cwd=project)
        assert shown.returncode == 0, shown.stderr
    path.write_bytes(b"".join(lines[:6]))  # the call was made, and its result never came
    code(home, project, ScriptedModel([says("Good.")]), "-c", "go on")
    assert path.read_bytes().startswith(b"".join(lines[:6]))


def test_sessions_are_listed_searched_shown_exported_and_removed(
    home: Path, project: Path, tmp_path: Path
) -> None:
    code(home, project, ScriptedModel([READ, says("It subtracts.")]), "what does add do?")
    code(home, project, ScriptedModel([says("Hello.")]), "hi")

    def sessions(*words: str) -> str:
        done = apr("sessions", *words, home=home, cwd=project)
        assert done.returncode == 0, done.stderr
        return done.stdout

    newest, oldest = json.loads(sessions("list", "--json"))
    assert (newest["first_prompt"], oldest["first_prompt"]) == ("hi", "what does add do?")
    assert oldest["id"] in sessions("list")
    assert sessions("search", "SUBTRACTS").startswith(oldest["id"])
    assert "● Read src/calc.py" in sessions("show", oldest["id"])
    exported = list(read(sessions("export", oldest["id"]).encode().splitlines()))
    assert [type(record) for record in exported][1:4] == [UserPrompt, AssistantTurn, ToolResult]
    trace = tmp_path / "exported.ccpa-trace.jsonl"
    trace.write_text(sessions("export", oldest["id"]))
    assert problems(trace) == []
    kept = Path(oldest["path"]).with_suffix(".files")
    kept.mkdir()
    sessions("rm", oldest["id"])
    assert not kept.exists()
    assert [one["id"] for one in json.loads(sessions("list", "--json"))] == [newest["id"]]


def test_nothing_found_is_said_by_the_exit_code(home: Path, project: Path) -> None:
    assert apr("sessions", "search", "x", home=home, cwd=project).returncode == 1
    assert apr("sessions", "show", "nope", home=home, cwd=project).returncode == 2


def test_a_damaged_session_is_named_with_its_line(home: Path, project: Path) -> None:
    code(home, project, ScriptedModel([says("One.")]), "first")
    (path,) = stored(home)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"{}\n", *lines[1:]]))
    done = apr("sessions", "list", home=home, cwd=project)
    assert f"{path.name}:2: not a session's line" in done.stderr


def test_a_damaged_session_can_be_removed(home: Path, project: Path) -> None:
    code(home, project, ScriptedModel([says("One.")]), "first")
    (path,) = stored(home)
    path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\nno line\n")
    done = apr("sessions", "rm", path.stem, home=home, cwd=project)
    assert (done.returncode, done.stdout) == (0, f"removed {path.stem}\n")
    assert stored(home) == []


def test_a_session_that_another_process_works_on_is_not_removed(home: Path, project: Path) -> None:
    code(home, project, ScriptedModel([says("One.")]), "first")
    (path,) = stored(home)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = apr("sessions", "rm", path.stem, home=home, cwd=project)
    assert done.returncode == 2
    assert "another process works on the session" in done.stderr
    assert stored(home) == [path]


def test_a_session_in_which_nothing_was_written_is_not_gone_on_with(
    home: Path, project: Path
) -> None:
    code(home, project, ScriptedModel([says("One.")]), "first")
    (path,) = stored(home)
    for name, left in ("killed-1", b""), ("killed-2", b'{"type":"opened","id'):
        path.with_name(f"{name}.jsonl").write_bytes(left)
    code(home, project, ScriptedModel([says("Two.")]), "-c", "go on")
    assert path.read_bytes().count(b'"kind":"user_prompt"') == 2
    done = apr("sessions", "list", home=home, cwd=project)
    assert "is empty: apr sessions rm killed-1" in done.stderr


def test_what_is_no_file_is_no_session(home: Path, project: Path) -> None:
    code(home, project, ScriptedModel([says("One.")]), "first")
    (path,) = stored(home)
    os.mkfifo(path.with_name("pipe.jsonl"))  # to open it would wait for ever
    path.with_name("folder.jsonl").mkdir()
    path.with_name("link.jsonl").symlink_to(path.name)
    done = apr("sessions", "list", home=home, cwd=project)
    assert done.stderr == ""
    assert [line.split()[0] for line in done.stdout.splitlines()] == [path.stem]


def test_a_session_is_called_as_its_file_is(home: Path, project: Path) -> None:
    code(home, project, ScriptedModel([says("One.")]), "first")
    (path,) = stored(home)
    copy = path.with_name("a-copy.jsonl")
    copy.write_bytes(path.read_bytes())
    code(home, project, ScriptedModel([says("Two.")]), "--resume", "a-copy", "go on")
    assert b"go on" in copy.read_bytes()
    assert b"go on" not in path.read_bytes()
    listed = apr("sessions", "list", "--json", home=home, cwd=project)
    assert {one["id"] for one in json.loads(listed.stdout)} == {path.stem, "a-copy"}


def test_resume_without_a_session_says_which_there_are(home: Path, project: Path) -> None:
    done = apr("code", "--resume", "--model", "demo", home=home, cwd=project)
    assert (done.returncode, "there is no session of" in done.stderr) == (2, True)
    code(home, project, ScriptedModel([says("One.")]), "first of all")
    (path,) = stored(home)
    done = apr("code", "-p", "--resume", home=home, cwd=project)
    assert done.returncode == 2
    assert f"{path.stem}  first of all" in done.stderr


def test_a_session_of_another_project_is_known_to_be_that(home: Path, project: Path) -> None:
    code(home, project, ScriptedModel([says("One.")]), "first")
    (path,) = stored(home)
    other = project / "src"
    nowhere = ("--base-url", "http://127.0.0.1:9/v1")
    wanted = ("--resume", path.stem[:14])
    done = apr("code", *nowhere, *wanted, "go on", home=home, cwd=other)
    assert done.returncode == 2
    assert f"belongs to {project}, not to {other}" in done.stderr
    assert f"apr code -C {project} --resume {path.stem}" in done.stderr


def test_projects_whose_sessions_share_a_folder_do_not_see_each_others(
    home: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "a" / "b", tmp_path / "a-b"
    for project in (one, two):
        project.mkdir(parents=True)
        code(home, project, ScriptedModel([says("Ok.")]), f"in {project.name}")
    assert len({path.parent for path in stored(home)}) == 1
    for project in (one, two):
        (only,) = json.loads(apr("sessions", "list", "--json", home=home, cwd=project).stdout)
        assert only["first_prompt"] == f"in {project.name}"


def test_old_sessions_go_when_another_one_ends(home: Path, project: Path) -> None:
    for prompt in ("old", "locked", "recent"):
        code(home, project, ScriptedModel([says("Ok.")]), "--name", prompt, prompt)
    old, locked, recent = sorted(stored(home), key=lambda path: path.stat().st_mtime)
    for path, days in ((old, 8), (locked, 8), (recent, 6)):
        then = path.stat().st_mtime - days * 86_400
        os.utime(path, (then, then))
    settings = home / ".apr/settings.json"
    settings.write_text('{"cleanupPeriodDays": 7}')
    files = [path.with_suffix(".files") for path in (old, recent)]
    for folder in files:
        folder.mkdir()
        (folder / "journal.jsonl").write_text("")
    with locked.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code(home, project, ScriptedModel([says("Ok.")]), "now")
    left = stored(home)
    assert old not in left
    assert {locked, recent} <= set(left)
    assert [folder.exists() for folder in files] == [False, True]
    settings.write_text('{"cleanupPeriodDays": 0}')
    code(home, project, ScriptedModel([says("Ok.")]), "keep nothing")
    assert stored(home) == []
