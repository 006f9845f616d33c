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

CANONICAL = Path(__file__).parents[3] / "fixtures/canonical"
MATRIX = '[[capability]]\nid = "x"\ntitle = "X"\n[[capability.case]]\nname = "c"\n'


def test_a_covered_corpus_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", str(CANONICAL)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "covered\thooks\t5/5" in lines
    assert "unobservable\tstatus-line\t-" in lines


def test_json_names_the_fixtures_of_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", str(CANONICAL), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    rows = {row["id"]: row for row in answer["rows"]}
    assert answer["complete"] is True
    assert rows["mcp-client"]["cases"][1]["fixtures"] == ["mcp-tool-that-fails"]


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


def test_a_terminal_shows_a_table_that_fits_it() -> None:
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "ccpa.cli.main", "coverage", str(CANONICAL)]
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
