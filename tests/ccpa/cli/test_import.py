import contextlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ccpa.cli.main import main
from ccpa.trace import SessionStart
from tests.ccpa.importers.reading import EXAMPLES, PROJECT, SAMPLES, jsonl

USER = {"role": "user", "content": "Hi."}
FIXTURES = EXAMPLES.parents[2] / "fixtures" / "canonical"
ANSWER = {"role": "assistant", "content": "Hello."}
KEY = "ghp_" + "a8Kd93jLs02mXvBnQ7wErTyUiOpZ4cFgH1k2"


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    path = tmp_path / "chat.jsonl"
    path.write_bytes(jsonl(USER, ANSWER))
    return path


@pytest.mark.parametrize(("form", "path"), SAMPLES, ids=lambda value: getattr(value, "stem", value))
def test_every_sample_becomes_a_valid_trace(form: str, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "trace.jsonl"
    assert main(["import", form, str(path), "-o", str(out)]) == 0
    assert main(["validate", "--prefix", str(out)]) == 0


def test_one_session_goes_to_stdout(chat: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["import", "openai-chat", str(chat)]) == 0
    out, err = capfdbinary.readouterr()
    assert len(out.splitlines()) == 3
    assert err == b""


def test_a_session_may_come_from_a_pipe(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ccpa.cli.main", "import", "openai-chat", "-"]
    done = subprocess.run(command, input=jsonl(USER, ANSWER), capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == 3


def test_a_reader_that_has_gone_is_no_error(chat: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "ccpa.cli.main", "import", "openai-chat", str(chat)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_secrets_are_replaced_and_counted_unless_they_are_to_be_kept(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_bytes(jsonl(USER, {"role": "assistant", "content": f"It is {KEY}."}))
    assert main(["import", "openai-chat", str(path)]) == 0
    out, err = capfd.readouterr()
    assert KEY not in out
    assert err == "ccpa: secrets redacted: github-pat (1)\n"
    assert main(["import", "openai-chat", "--no-redact", str(path)]) == 0
    out, err = capfd.readouterr()
    assert KEY in out
    assert err == ""


def test_what_is_not_known_is_counted(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["import", *map(str, SAMPLES[0])]) == 0
    assert "ccpa: not known, passed over: line marble-run (1)\n" in capfd.readouterr().err


def test_many_files_go_to_a_directory_and_are_told(
    chat: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "traces"
    other = tmp_path / "other.jsonl"
    other.write_bytes(jsonl({"id": "../../up", "messages": [USER, ANSWER]}))
    command = ["import", "openai-chat", str(chat), str(other), str(chat), "-o", str(out), "--json"]
    assert main(command) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "chat-2.ccpa-trace.jsonl",
        "chat.ccpa-trace.jsonl",
        "up.ccpa-trace.jsonl",
    ]
    told = json.loads(capfd.readouterr().out)
    assert [one["original_id"] for one in told["sessions"]] == [None, "../../up", None]
    assert told["failed"] == []
    assert told["redacted"] == {"secrets": {}, "places": {}}


def test_a_file_that_cannot_be_imported_does_not_keep_the_others_from_it(
    chat: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text("no\x1b[31m JSON")
    files = [str(tmp_path / name) for name in ("missing", "bad.jsonl", "chat.jsonl")]
    assert main(["import", "openai-chat", *files, "-o", str(tmp_path / "out")]) == 2
    assert len(list((tmp_path / "out").iterdir())) == 1
    errors = capfd.readouterr().err.splitlines()
    assert errors[0] == f"ccpa: {files[0]}: cannot be read: No such file or directory"
    assert errors[1].startswith(f"ccpa: {files[1]}: no list of messages")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["openai-chat"], "name a FILE"),
        (["openai-chat", "a", "b"], "-o DIR"),
        (["openai-chat", "a", "--json"], "-o OUT"),
        (["claude-code", "a", "--all", "-o", "x"], "--all takes no files"),
        (["claude-code", "--all", "nowhere"], "-o DIR"),
        (["claude-code", "--all", "nowhere", "-o", "x"], "nowhere: no session"),
    ],
)
def test_wrong_usage_says_what_is_missing(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", *arguments]) == 2
    assert reason in capsys.readouterr().err


def test_a_file_without_a_session_says_what_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text('{"type":"nonsense"}\n')
    assert main(["import", "claude-code", str(tmp_path / "log")]) == 2
    assert "no model answers (found line nonsense: 1)" in capsys.readouterr().err


def test_several_sessions_of_one_file_need_a_directory(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(jsonl(*[{"messages": [USER, ANSWER]}] * 3))
    assert main(["import", "openai-chat", str(rows)]) == 2
    assert "3 sessions in it" in capfd.readouterr().err
    assert main(["import", "openai-chat", str(rows), "-o", str(tmp_path / "new")]) == 0
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_all_makes_a_corpus_that_can_be_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus"
    assert main(["import", "claude-code", "--all", str(PROJECT.parent), "-o", str(corpus)]) == 0
    ids = sorted(path.stem for path in PROJECT.glob("*.jsonl"))
    assert sorted(path.name for path in corpus.iterdir()) == ids
    about = tomllib.loads((corpus / ids[1] / "meta.toml").read_text())["fixture"]
    assert about["id"] == ids[1]
    assert {"Agent", "hooks", "skills", "compaction", "denials", "subagents"} <= set(
        about["covers"]
    )
    assert ids[1] in about["description"]
    capsys.readouterr()
    # Against itself: every session is its own best student.
    scored = ["corpus", str(corpus), "--students", str(corpus), "--json"]
    assert main(scored) == 0
    assert json.loads(capsys.readouterr().out)["parity_score"] == 1.0


def test_all_starts_where_claude_code_keeps_its_projects(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ccpa.cli.main", "import", "claude-code", "--all"]
    environment = os.environ | {"CLAUDE_CONFIG_DIR": str(tmp_path)}
    (tmp_path / "projects").symlink_to(EXAMPLES / "projects")
    out = tmp_path / "corpus"
    subprocess.run([*command, "-o", str(out)], env=environment, check=True, capture_output=True)
    assert len(list(out.iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_person_sees_how_far_it_is(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    command = [sys.executable, "-m", "ccpa.cli.main", "import", "claude-code", "--all"]
    terminal, end = os.openpty()
    done = subprocess.run(
        [*command, str(PROJECT.parent), "-o", str(out)],
        stdout=subprocess.PIPE,
        stderr=end,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
        check=True,
    )
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # Linux tells in this way that the other end is closed
        while chunk := os.read(terminal, 1 << 16):
            shown += chunk
    os.close(terminal)
    assert b"Importing" in shown
    assert b"100%" in shown
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("depth", [90, 300, 600, 900, 990, 5000])
def test_an_input_of_any_depth_is_imported_or_an_error(depth: int, tmp_path: Path) -> None:
    exported, out = tmp_path / "trajectory.json", tmp_path / "out.jsonl"
    trace = FIXTURES / "subagent-explores" / "teacher.ccpa-trace.jsonl"
    assert main(["export", "atif", str(trace), "-o", str(exported)]) == 0
    deep = '"description":' + "[" * depth + "]" * depth
    changed = re.sub(r'"description":\s*"Find the VAT rate"', deep, exported.read_text())
    assert changed != exported.read_text()
    exported.write_text(changed)
    status = main(["import", "atif", str(exported), "-o", str(out)])
    assert status == (0 if out.exists() else 2)
    if out.exists():
        assert main(["validate", "--prefix", str(out)]) == 0


def test_importing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        out = str(tmp_path / name)
        assert main(["import", "claude-code", "--all", str(PROJECT.parent), "-o", out]) == 0
    first = {
        p.relative_to(tmp_path / "one"): p.read_bytes() for p in (tmp_path / "one").rglob("*.*")
    }
    second = {
        p.relative_to(tmp_path / "two"): p.read_bytes() for p in (tmp_path / "two").rglob("*.*")
    }
    assert first == second


def test_without_the_detector_the_way_out_is_told(chat: Path) -> None:
    script = (
        "import sys; sys.modules['betterleaks'] = None\n"
        "from ccpa.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "import", "openai-chat", str(chat)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"ccpa: .*apr-code\[import\].*--no-redact\n", done.stderr)


def test_the_original_id_can_be_read_off_the_new_one(tmp_path: Path) -> None:
    out = tmp_path / "trace.jsonl"
    form, path = SAMPLES[0]
    assert main(["import", form, str(path), "-o", str(out)]) == 0
    import msgspec

    start = msgspec.json.decode(out.read_bytes().splitlines()[0], type=SessionStart)
    assert f"{start.session_id[:14]}4{start.session_id[15:]}" == path.stem


def test_a_transcript_is_never_overwritten(chat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = chat.read_bytes()
    assert main(["import", "openai-chat", str(chat), "-o", str(chat)]) == 2
    assert chat.read_bytes() == before
    assert "is the transcript itself" in capsys.readouterr().err
