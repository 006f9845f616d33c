import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa.cli.main import main
from tests.ccpa.traces import end, lines, prompt, session, whole

GOOD = lines(whole())
BAD = lines([session(), prompt(1), {**end(1), "stop_reason": "bored"}])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a good and a bad trace, which is also the working directory."""
    (tmp_path / "good.jsonl").write_bytes(GOOD)
    (tmp_path / "bad.jsonl").write_bytes(BAD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validate(*arguments: str | Path) -> int:
    return main(["validate", *map(str, arguments)])


@pytest.mark.usefixtures("folder")
def test_piped_it_prints_one_fact_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert validate("good.jsonl", "bad.jsonl") == 1
    assert capsys.readouterr().out.splitlines() == [
        f"good.jsonl: valid, {len(whole())} records",
        "bad.jsonl:2: $.turn: must be 0, the next message; it is 1",
        "bad.jsonl:3: $.stop_reason: must be one of end_turn, error, max_tokens, stop_sequence; "
        'it is "bored"',
        "bad.jsonl: invalid, 2 errors, 2 records",
    ]


@pytest.mark.usefixtures("folder")
def test_json_holds_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert validate("--json", "good.jsonl", "bad.jsonl", "absent.jsonl") == 2
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["valid"] is False
    good, bad, absent = outcome["files"]
    assert good == {
        "file": "good.jsonl",
        "valid": True,
        "records": len(whole()),
        "cut": False,
        "error_count": 0,
        "errors": [],
    }
    assert bad["errors"][0] == {
        "line": 2,
        "field": "$.turn",
        "message": "must be 0, the next message; it is 1",
    }
    assert absent["unreadable"] == "No such file or directory"


@pytest.mark.usefixtures("folder")
def test_the_listing_is_bounded_and_says_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert validate("--max-errors", "1", "bad.jsonl") == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "bad.jsonl: invalid, 2 errors, 2 records (1 of them not listed: --max-errors 0 lists all)"
    ]


def test_it_reads_stdin_and_knows_prefixes() -> None:
    command = [sys.executable, "-m", "ccpa.cli.main", "validate", "-"]
    for data, options, status, said in (
        (GOOD, [], 0, f"-: valid, {len(whole())} records\n"),
        (
            GOOD[:-9],
            ["--prefix"],
            0,
            f"-: valid, {len(whole()) - 1} records, then a line cut short\n",
        ),
        (GOOD[:-9], [], 1, None),
    ):
        done = subprocess.run([*command, *options], input=data, capture_output=True)
        assert done.returncode == status
        assert said is None or done.stdout.decode() == said


def test_globs_are_expanded_sorted_and_go_deep(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = folder / "x" / "y"
    deep.mkdir(parents=True)
    (deep / "deep.jsonl").write_bytes(GOOD)
    (folder / "x.jsonl").mkdir()  # a folder is no trace, whatever it is called
    assert validate("**/*.jsonl", folder / "x" / "*" / "deep.jsonl", "--json") == 1
    files = [file["file"] for file in json.loads(capsys.readouterr().out)["files"]]
    assert files == ["bad.jsonl", "good.jsonl", "x/y/deep.jsonl", str(deep / "deep.jsonl")]


def test_a_file_whose_name_is_a_glob_is_that_file(folder: Path) -> None:
    (folder / "[a].jsonl").write_bytes(GOOD)
    assert validate("[a].jsonl") == 0


def test_loops_of_links_are_no_trap(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (folder / name).symlink_to(folder, target_is_directory=True)
    (folder / "self.jsonl").symlink_to("self.jsonl")
    assert validate("**/*.jsonl") == 2
    printed = capsys.readouterr()
    assert "self.jsonl: Too many levels of symbolic links" in printed.err
    assert "good.jsonl: valid" in printed.out


def test_what_cannot_be_read_is_told_and_the_rest_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate("absent.jsonl", folder, "/dev/zero", "good.jsonl") == 2
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "ccpa: absent.jsonl: No such file or directory",
        f"ccpa: {folder}: is a directory; name the traces in it: {folder}/*.jsonl",
        "ccpa: /dev/zero: is a device, which may never end",
    ]
    assert "good.jsonl: valid" in printed.out


def test_without_a_standard_input_it_says_so() -> None:
    command = [sys.executable, "-m", "ccpa.cli.main", "validate", "-"]
    closed = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *command], capture_output=True)
    assert closed.returncode == 2
    assert closed.stderr == b"ccpa: -: there is no standard input\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "good.jsonl").chmod(0)
    assert validate("good.jsonl") == 2
    assert "Permission denied" in capsys.readouterr().err


def test_nothing_in_a_file_or_its_name_reaches_the_terminal_raw(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;owned\x07\nforged.jsonl: valid"
    wrong = {**prompt(0), evil: 1, "turn": evil}
    (folder / f"{evil}.jsonl").write_bytes(lines([session(actor=evil), wrong, end(0)]))
    assert validate(f"{evil}.jsonl") == 1
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert all(line.startswith("\\x1b]0;owned\\x07\\nforged") for line in printed.splitlines())


def on_a_terminal(arguments: list[str], environment: dict[str, str]) -> str:
    """Return what `ccpa validate` shows on a terminal of 80 columns."""
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ccpa.cli.main", "validate", *arguments],
        stdout=follower,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"} | environment,
    )
    os.close(follower)
    shown = bytearray()
    try:
        while chunk := os.read(leader, 65536):
            shown += chunk
    except OSError:  # how Linux tells that the other end was closed
        pass
    os.close(leader)
    process.wait()
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.usefixtures("folder")
def test_on_a_terminal_it_is_a_coloured_list_that_fits() -> None:
    shown = on_a_terminal(["good.jsonl", "bad.jsonl"], {})
    assert "\x1b[32m" in shown
    assert "✓" in shown
    plain = on_a_terminal(["good.jsonl", "bad.jsonl", "--max-errors", "1"], {"NO_COLOR": "1"})
    assert "\x1b[3" not in plain
    assert "and 1 more: --max-errors 0 lists all" in plain
    assert all(len(line) <= 80 for line in plain.splitlines())
