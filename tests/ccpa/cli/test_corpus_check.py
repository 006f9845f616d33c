import json
import shutil
from pathlib import Path

import pytest

from ccpa.cli.main import main

CANONICAL = Path(__file__).parents[3] / "fixtures/canonical"


def test_a_sound_teacher_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", str(CANONICAL / "edits-that-fail-first"), "--check"]) == 0
    assert capsys.readouterr().out == (
        "4 results produced again, 0 looked at for their shape: all could have happened\n"
    )


def test_a_tampered_teacher_fails_and_the_line_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "edits-that-fail-first"
    shutil.copytree(CANONICAL / "edits-that-fail-first", copy)
    teacher = copy / "teacher.ccpa-trace.jsonl"
    teacher.write_text(teacher.read_text().replace(r"1\t.button", r"1\t.knob"))
    assert main(["corpus", str(tmp_path), "--check"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{teacher}:4: Read: line 1 is '1\\t.button {{', not '1\\t.knob")
    assert last.endswith("1 could not have happened")
    assert main(["corpus", str(tmp_path), "--check", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["edits-that-fail-first"]["inconsistencies"][0]["record"] == 4
