import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from ccpa.cli.main import main
from ccpa.coverage import default_matrix, load_matrix
from ccpa.testreport import key

CANONICAL = Path(__file__).parents[3] / "fixtures/canonical"
MATRIX = '[[capability]]\nid = "x"\ntitle = "X"\n[[capability.case]]\nname = "c"\n'


def test_a_covered_corpus_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["coverage", str(CANONICAL), "--tests", str(_all_passed(tmp_path))]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "covered\thooks\t5/5" in lines
    assert "covered\tstatus-line\t3/3" in lines


def test_what_tests_show_cannot_be_told_without_a_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["coverage", str(CANONICAL)]) == 1
    captured = capsys.readouterr()
    assert "not derived\tstatus-line\t0/3" in captured.out.splitlines()
    assert "ccpa coverage --tests FILE" in captured.err


def test_json_names_the_fixtures_and_tests_of_every_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _all_passed(tmp_path)
    assert main(["coverage", str(CANONICAL), "--json", "--tests", str(report)]) == 0
    answer = json.loads(capsys.readouterr().out)
    rows = {row["id"]: row for row in answer["rows"]}
    assert answer["complete"] is True
    assert rows["mcp-client"]["cases"][1]["fixtures"] == ["mcp-tool-that-fails"]
    assert rows["ide-integrations"]["cases"][0]["tests"] == [
        "tests/apr/acp/test_editor.py::test_a_task_is_done_and_the_editor_sees_all_of_it"
    ]


def test_a_report_that_is_none_is_unusable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["coverage", str(CANONICAL), "--tests", str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def _all_passed(folder: Path) -> Path:
    """Write the report of a run in which all that the matrix asks for has passed."""
    keys = [
        key(test)
        for capability in load_matrix(default_matrix()).capability
        for case in capability.case
        for test in case.tests
    ]
    cases = "".join(f'<testcase classname="{place}" name="{name}"/>' for place, name in keys)
    file = folder / "report.xml"
    file.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    return file


def test_an_uncovered_row_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "matrix.toml"
    file.write_text(MATRIX + 'records = [{ kind = "hook_event", event = "Nothing" }]\n')
    directory = CANONICAL / "hook-adds-context"
    assert main(["coverage", str(directory), "--matrix", str(file)]) == 1
    captured = capsys.readouterr()
    assert captured.out == "uncovered\tx\t0/1\n\tc\t-\n"
    assert "hook-adds-context: covers 'hooks', which is no row of the matrix" in captured.err


def test_a_directory_without_fixtures_is_unusable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["coverage", str(tmp_path)]) == 2
    assert "no fixture here or below" in capsys.readouterr().err


def test_a_hostile_path_does_not_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "\x1b[2J"
    directory.mkdir()
    (directory / "fixture.toml").write_text("nonsense")
    assert main(["coverage", str(tmp_path)]) == 2
    assert r"\x1b[2J/fixture.toml: not TOML" in capsys.readouterr().err


def test_a_terminal_shows_a_table_that_fits_it(tmp_path: Path) -> None:
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "ccpa.cli.main", "coverage", str(CANONICAL)]
    command += ["--tests", str(_all_passed(tmp_path))]
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "NO_COLOR": "1"}
    with subprocess.Popen(command, stdout=writing, env=environment) as process:
        os.close(writing)
        shown = b""
        with suppress(OSError):  # Linux says so when the other end is closed
            while piece := os.read(reading, 4096):
                shown += piece
        assert process.wait() == 0
    os.close(reading)
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.decode()).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(re.match(r" hooks +covered +5/5 +5 fixtures", line) for line in lines)
