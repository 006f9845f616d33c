"""Small readings: what a result says of itself, what the prompt is, whose a changed file is."""

import pytest

from ccpa.paths import Root
from ccpa.record.effects import told_to
from ccpa.record.heard import Told
from ccpa.record.outcomes import Came, outcome
from ccpa.record.prompts import prompt_in
from ccpa.trace import ToolUseBlock

ROOT = Root("/work")


@pytest.mark.parametrize(
    ("content", "ok", "code"),
    [
        ("fine", True, None),
        ("<tool_use_error>no such tool</tool_use_error>", False, None),
        ("Permission denied. A rule forbids it.", False, None),
        ("unsupported call: Read", False, None),
        ("Exit code 2\nout", False, 2),
        ("Exit code 1", False, 1),
        ("Exit code 10 is what it says", True, None),
        ("the log says\nExit code 1\n", True, None),
        ("<returncode>0</returncode>\n<output>\n</output>", True, 0),
        ("<returncode>-1</returncode>", False, -1),
        ('{"returncode": 1, "output": "x"}', False, 1),
        ('{"returncode": "1"}', True, None),
        ("out\n\n\nCommand exited with code 1", False, 1),
        ("Command: ls\nOutput: x\nError: (none)\nExit Code: 3\nSignal: 0", False, 3),
        ("Command: ls\nOutput: \nExit Code: 9\nError: (none)\nExit Code: 0\nSignal: 0", True, 0),
        ("x\nExit Code: 3\nSignal: 0", True, None),
    ],
)
def test_a_result_without_a_flag_tells_by_its_form(content: str, ok: bool, code: int) -> None:
    came = outcome(Told("t", content))
    assert (came.ok, came.exit_code) == (ok, code)
    assert came.known is (not ok or code is not None)


def test_a_flag_is_believed_whatever_the_text() -> None:
    assert outcome(Told("t", "Exit code 1", failed=False)) == Came(True, None, known=True)
    assert outcome(Told("t", "all is well", failed=True)) == Came(False, None, known=True)
    assert outcome(Told("t", "Exit code 4\nx", failed=True)) == Came(False, 4, known=True)


def test_a_denial_is_told_by_the_words_of_an_error() -> None:
    words = "Permission to use Bash has been denied."
    assert outcome(Told("t", words, failed=True)).denied_by == "rule"
    assert outcome(Told("t", words, failed=False)).denied_by is None


@pytest.mark.parametrize(
    ("parts", "arguments", "prompt"),
    [
        (["fix it"], [], "fix it"),
        (["<environment>\n/work\n</environment>\n\nfix it"], ["code", "fix it"], "fix it"),
        (["Please solve: fix it\n\nRules follow."], ["-t", "fix it"], "fix it"),
        (["about the code", "fix"], ["code", "fix"], "fix"),
        (["<where/>\n\nfix"], ["code", "fix"], "fix"),
        (["explain the code"], ["code"], "explain the code"),
        (["see code", "a longer prompt"], ["code", "a longer prompt"], "a longer prompt"),
        (["where", "what"], ["other"], "where\n\nwhat"),
        (["<system-reminder>\nx\n</system-reminder>\nfix it"], [], "fix it"),
        (["<system-reminder>x</system-reminder>"], [], ""),
        ([], ["fix it"], ""),
        (["fix it"], ["", " "], "fix it"),
    ],
)
def test_the_prompt_is_what_the_agent_was_started_with(
    parts: list[str], arguments: list[str], prompt: str
) -> None:
    assert prompt_in(parts, arguments) == prompt


def use(name: str, **given: object) -> ToolUseBlock:
    return ToolUseBlock(name, name, given)


@pytest.mark.parametrize(
    ("uses", "written", "left"),
    [
        ([use("Read", file_path="b.txt")], {"Read": ["a.txt", "d/b.txt"]}, []),
        (
            [use("Write", file_path="/work/a.txt"), use("Edit", path="./d/b.txt")],
            {"Write": ["a.txt"], "Edit": ["d/b.txt"]},
            [],
        ),
        (
            [use("Write", filePath="a.txt"), use("Bash", command="make")],
            {"Write": ["a.txt"], "Bash": ["d/b.txt"]},
            [],
        ),
        (
            [use("p", input="*** Begin Patch\n*** Update File: d/b.txt\n*** End Patch"), use("x")],
            {"p": ["d/b.txt"], "x": ["a.txt"]},
            [],
        ),
        ([use("Bash", command="x"), use("sh", command="y")], {}, ["a.txt", "d/b.txt"]),
        ([use("Write", path="a.txt"), use("Edit", path="a.txt")], {}, ["a.txt", "d/b.txt"]),
        ([], {}, ["a.txt", "d/b.txt"]),
    ],
)
def test_changed_files_go_to_the_tool_use_that_fits(
    uses: list[ToolUseBlock], written: dict[str, list[str]], left: list[str]
) -> None:
    found = told_to(["a.txt", "d/b.txt"], {one.id: one for one in uses}, ROOT)
    assert found == (written, left)
