import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ccpa.cli.main import main
from ccpa.pairs import text_reader
from tests.ccpa.sessions import Step, bash, hook, say, skill, trace_bytes, use

REGRESSION = Path(__file__).parents[3] / "fixtures" / "regression"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, *steps: Step, **more: Any) -> None:
    Path(name).write_bytes(trace_bytes(*steps, **more))


def diff(*arguments: str) -> int:
    return main(["diff", "t.jsonl", "s.jsonl", *arguments])


@pytest.mark.usefixtures("folder")
def test_piped_it_prints_the_score_and_one_drift_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    put("t.jsonl", bash("ls"), bash("make"), say())
    put("s.jsonl", bash("ls"), bash("make all"), say())
    assert diff() == 1
    assert capsys.readouterr().out.splitlines() == [
        "FAIL  parity score 0.5000 (needs 0.80)",
        "recall 0.5000  precision 0.5000  drifts 1",
        "actions: 2 of the teacher, 2 of the student, 1 matched",
        "",
        "1\tmismatched_tool_input\t#1 t3\t#1 t3\tBash\tcommand: 'make', not 'make all'",
    ]


@pytest.mark.usefixtures("folder")
def test_equal_traces_pass(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("t.jsonl", "s.jsonl"):
        put(name, bash("ls"), say(), cwd_sha256_after="x")
    assert diff("--min", "1", "--strict") == 0
    out = capsys.readouterr().out
    assert out.startswith("PASS  parity score 1.0000 (needs 1.00)")
    assert "files in the end: the same" in out


@pytest.mark.usefixtures("folder")
def test_traces_without_actions_are_inconclusive_and_pass_no_gate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    put("t.jsonl", say())
    put("s.jsonl", say())
    assert diff("--json", "--min", "0") == 1
    value = json.loads(capsys.readouterr().out)
    assert (value["verdict"], value["parity_score"]) == ("inconclusive", None)


@pytest.mark.usefixtures("folder")
def test_the_json_has_all_there_is_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    put("t.jsonl", bash("ls"), use("Odd", x=1), say())
    put("s.jsonl", bash("ls"), use("Odd", x=2), say())
    assert diff("--json", "--weight", "Odd=3", "--min", "0.25") == 0
    assert json.loads(capsys.readouterr().out) == {
        "verdict": "pass",
        "parity_score": 0.25,
        "recall": 0.25,
        "precision": 0.25,
        "matched": 1,
        "teacher_actions": 2,
        "student_actions": 2,
        "alignment_cost": 2,
        "same_files": None,
        "weights": {"Odd": 3.0},
        "min": 0.25,
        "drifts": [
            {
                "category": "mismatched_tool_input",
                "name": "Odd",
                "teacher_position": 1,
                "teacher_turn": 3,
                "student_position": 1,
                "student_turn": 3,
                "reason": "x: 1, not 2",
                "notes": ["there is no rule for Odd: its input was compared as JSON"],
            }
        ],
    }


@pytest.mark.usefixtures("folder")
def test_strict_fails_on_a_drift_that_costs_no_score() -> None:
    put("t.jsonl", bash("ls"), say())
    put("s.jsonl", bash("ls"), say("max_tokens"))
    assert diff() == 0
    assert diff("--strict") == 1


@pytest.mark.usefixtures("folder")
def test_weights_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    put("t.jsonl", bash("ls"))
    put("s.jsonl", bash("ls"))
    assert diff("--weight", "Bash=2", "--weight", "hook_event=0.5") == 0
    assert "weights: Bash 2, hook_event 0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--min", "1.1"],
        ["--min", "x"],
        ["--weight", "Bash"],
        ["--weight", "=1"],
        ["--weight", "Bash=-1"],
        ["--weight", "Bash=nan"],
        ["--scoring", "vibes"],
    ],
)
@pytest.mark.usefixtures("folder")
def test_nonsense_on_the_command_line_is_refused(arguments: list[str]) -> None:
    put("t.jsonl", bash("ls"))
    put("s.jsonl", bash("ls"))
    with pytest.raises(SystemExit) as stop:
        diff(*arguments)
    assert stop.value.code == 2


@pytest.mark.usefixtures("folder")
def test_a_file_that_is_no_trace_is_an_error_not_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    put("t.jsonl", bash("ls"))
    assert diff() == 2
    assert "cannot read the trace s.jsonl" in capsys.readouterr().err
    Path("s.jsonl").write_text("{}\n")
    assert diff() == 2
    assert "s.jsonl: line 1: " in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_a_fixture_gives_the_files_that_edits_change(capsys: pytest.CaptureFixture[str]) -> None:
    def edit(old: str, new: str) -> Step:
        return use("Edit", file_path="a.txt", old_string=old, new_string=new)

    put("t.jsonl", edit("one", "1"), say())
    put("s.jsonl", edit("one\ntwo", "1\ntwo"), say())
    Path("f/workspace").mkdir(parents=True)
    Path("f/workspace/a.txt").write_text("one\ntwo\n")
    assert diff() == 1
    assert diff("--fixture", "f", "--strict") == 0
    assert diff("--fixture", ".") == 2
    assert "no workspace/" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_the_files_that_each_side_left_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    for side in ("t", "s"):
        put(f"{side}.jsonl", bash("make"), say())
        Path(side).mkdir()
        Path(side, "out").write_text("1")
    assert diff("--files", "t", "s", "--strict") == 0
    assert "files in the end: the same" in capsys.readouterr().out
    Path("s/out").write_text("2")
    assert diff("--files", "t", "s") == 1
    assert "mismatched_file_state" in capsys.readouterr().out
    assert diff("--files", "t", "absent") == 2
    assert "absent: cannot be read" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_a_trace_cannot_read_files_outside_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "w" / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (tmp_path / "w" / "a").write_text("a")
    (tmp_path / "w" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "w" / "loop").symlink_to(tmp_path / "w" / "loop")
    (tmp_path / "w" / "latin").write_bytes(b"\xff")
    read = text_reader(tmp_path / "w")
    assert read("a") == "a"
    outside = ["../secret", str(tmp_path / "secret"), "link", "loop", "sub", "latin", "no", "\0"]
    assert [read(path) for path in outside] == [None] * len(outside)


@pytest.mark.usefixtures("folder")
def test_another_spelling_of_the_root_can_be_given() -> None:
    put("t.jsonl", use("Read", file_path="/home/dev/shop/a"))
    put("s.jsonl", use("Read", file_path="/link/shop/a"))
    assert diff() == 1
    assert diff("--root", "/link/shop") == 0


@pytest.mark.usefixtures("folder")
def test_side_by_side_shows_both_streams(capsys: pytest.CaptureFixture[str]) -> None:
    put("t.jsonl", hook(), bash("a"), use("Read", path="x"), bash("b"), skill("s"))
    put("s.jsonl", bash("a"), use("Read", path="y"), use("Odd"), bash("b"), skill("s"), bash("c"))
    diff("--side-by-side")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["PreToolUse", "hook,", "allow", "(0)", "<"] in rows
    assert ["Bash", "a", "=", "Bash", "a"] in rows
    assert ["Read", "x", "!", "Read", "y"] in rows
    assert [">", "Odd"] in rows
    assert [">", "Bash", "c"] in rows


HOSTILE = "ls \x1b]0;owned\x07 \u202e" + "x" * 300


def on_a_terminal(folder: Path, *arguments: str, **settings: str) -> str:
    """Run `ccpa` on a terminal of 80 columns and return what it shows."""
    leader, follower = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    environment |= settings
    process = subprocess.Popen(
        [sys.executable, "-m", "ccpa.cli.main", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    process.wait()
    return shown.decode()


def test_on_a_terminal_of_80_columns_nothing_wraps_and_nothing_escapes(folder: Path) -> None:
    put("t.jsonl", bash(HOSTILE), use("Read", path="x" * 200), say())
    put("s.jsonl", bash("ls"), use("Read", path="y" * 200), say())
    for command in (["diff", "--side-by-side"], ["explain"]):
        shown = on_a_terminal(folder, command[0], "t.jsonl", "s.jsonl", *command[1:])
        assert "\x1b]0" not in shown
        assert "\u202e" not in shown
        assert "mismatched_tool_input" in shown
        if command[0] == "diff":
            plain = "".join(c for c in _without_colour(shown) if c != "\r")
            assert max(map(len, plain.split("\n"))) <= 80


def test_on_a_terminal_the_verdict_is_coloured_unless_colour_is_not_wanted(folder: Path) -> None:
    put("t.jsonl", bash("a"), bash("b"))
    put("s.jsonl", bash("a"), bash("b"))
    assert "\x1b[1;32mPASS\x1b[0m  parity score 1.0000" in on_a_terminal(
        folder, "diff", "t.jsonl", "s.jsonl"
    )
    put("s.jsonl", bash("b"), bash("b"), bash("b"))
    shown = on_a_terminal(folder, "diff", "t.jsonl", "s.jsonl")
    assert "\x1b[1;31mFAIL\x1b[0m  parity score 0.4000" in shown
    plain = on_a_terminal(folder, "diff", "t.jsonl", "s.jsonl", "--side-by-side", NO_COLOR="1")
    assert "FAIL" in plain  # bold, which is no colour
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain)


def _without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.usefixtures("folder")
def test_positional_scoring_prints_the_older_json(capsys: pytest.CaptureFixture[str]) -> None:
    put("t.jsonl", bash("a"), bash("b"))
    put("s.jsonl", bash("a"), bash("c"), hook("Stop"))
    assert diff("--scoring", "positional", "--json") == 1
    out = capsys.readouterr().out
    assert json.loads(out) == {
        "drifts": [
            {"category": "MismatchedToolInput", "position": 1, "tool_name": "Bash"},
            {"category": "ExtraHookEvent", "position": 2, "tool_name": "Stop"},
        ],
        "matched_count": 1,
        "passes_individual_floor": False,
        "score": 0.5,
        "student_count": 3,
        "teacher_count": 2,
    }
    assert out == json.dumps(json.loads(out), indent=2, sort_keys=True) + "\n"
    assert diff("--scoring", "positional", "--min", "0.5") == 0
    assert "positional score 0.5000" in capsys.readouterr().out


def explain(*arguments: str) -> int:
    return main(["explain", "t.jsonl", "s.jsonl", *arguments])


@pytest.mark.usefixtures("folder")
def test_explain_shows_both_sides_the_context_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    put("t.jsonl", bash("before"), bash("make\nall"), bash("after"), say())
    put("s.jsonl", bash("before"), bash("make"), bash("after"), say())
    assert explain("--drift", "1") == 0
    out = capsys.readouterr().out
    assert "drift 1 of 1: mismatched_tool_input" in out
    assert "  command: make\n    all\n" in out
    assert "why: command: 'make\\nall', not 'make'" in " ".join(out.split("\n"))
    assert "what counts in Bash" in out
    assert "-> Bash make" in out
    assert "Bash before" in out
    assert "Bash after" in out


@pytest.mark.usefixtures("folder")
def test_explain_knows_drifts_that_are_on_one_side_only(capsys: pytest.CaptureFixture[str]) -> None:
    put("t.jsonl", bash("a"), say())
    put("s.jsonl", bash("a"), hook("Stop", output="no"), say("max_tokens"), end="max_tokens")
    for number in ("1", "2"):
        assert explain("--drift", number) == 0
    out = capsys.readouterr().out
    assert "teacher: nothing here" in out
    assert "  output: no" in out
    assert "why: end_turn for the teacher, max_tokens for the student" in out
    assert explain("--drift", "1", "--json") == 0
    value = json.loads(capsys.readouterr().out)
    assert value["category"] == "extra_hook_event"
    assert value["sides"]["teacher"] is None


@pytest.mark.parametrize("number", ["0", "2", "-1"])
@pytest.mark.usefixtures("folder")
def test_explain_refuses_a_drift_that_is_not_there(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put("t.jsonl", bash("a"))
    put("s.jsonl", bash("b"))
    assert explain("--drift", number) == 2
    assert "`ccpa diff` lists 1" in capsys.readouterr().err


@pytest.mark.parametrize("pair", sorted(REGRESSION.iterdir()), ids=lambda pair: pair.name)
def test_explain_has_something_to_say_of_every_regression_pair(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = [str(pair / f"{side}.ccpa-trace.jsonl") for side in ("teacher", "student")]
    assert main(["explain", *traces]) == 0
    assert "\nwhy: " in capsys.readouterr().out
