"""A result that could not have happened is found: every test tampers with a sound trace."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccpa.consistency import check_teacher, replay_teacher
from ccpa.fixtures import load_fixture

pytestmark = pytest.mark.usefixtures("own_python")
CANONICAL = Path(__file__).parents[2] / "fixtures/canonical"
Records = list[dict[str, Any]]


@pytest.fixture
def tampered(tmp_path: Path) -> Callable[[str, Callable[[Records], object]], list[tuple[str, str]]]:
    """Check a copy of a canonical fixture after `change` was made to its records."""

    def check(name: str, change: Callable[[Records], object]) -> list[tuple[str, str]]:
        directory = tmp_path / name
        directory.mkdir()
        source = CANONICAL / name
        (directory / "workspace").symlink_to(source / "workspace")
        (directory / "fixture.toml").write_text((source / "fixture.toml").read_text())
        lines = (source / "teacher.ccpa-trace.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        change(records)
        text = "\n".join(json.dumps(record) for record in records)
        (directory / "teacher.ccpa-trace.jsonl").write_text(text)
        return [(found.tool, found.problem) for found in check_teacher(load_fixture(directory))]

    return check


def result_of(records: Records, tool: str, number: int = 0) -> dict[str, Any]:
    """The result of the `number`th use of a tool."""
    use = [block for block in uses(records) if block["name"] == tool][number]
    return next(r for r in records if r.get("tool_use_id") == use["id"] and "content" in r)


def uses(records: Records) -> list[dict[str, Any]]:
    turns = [record for record in records if record["kind"] == "assistant_turn"]
    return [block for turn in turns for block in turn["blocks"] if block["type"] == "tool_use"]


def use_of(records: Records, tool: str, number: int = 0) -> dict[str, Any]:
    return [block for block in uses(records) if block["name"] == tool][number]


def hook(records: Records) -> dict[str, Any]:
    return next(record for record in records if record["kind"] == "hook_event")


def test_a_sound_trace_is_sound(tampered: Any) -> None:
    assert tampered("grep-then-edit-javascript", lambda _: None) == []


@pytest.mark.parametrize(
    ("name", "tool", "change", "problem"),
    [
        (
            "grep-then-edit-javascript",
            "Read",
            lambda r: result_of(r, "Read").update(content="1\tnothing of the sort"),
            "line 1 is",
        ),
        (
            "grep-then-edit-javascript",
            "Read",
            lambda r: result_of(r, "Read").update(ok=False),
            "the result says that it failed, but: 1\t",
        ),
        (
            "grep-then-edit-javascript",
            "Read",
            lambda r: result_of(r, "Read")["side_effects"].update(files_read=["other.py"]),
            "files read: ['src/config/limits.js'], not ['other.py']",
        ),
        (
            "markdown-table-of-contents",
            "Read",
            lambda r: result_of(r, "Read").update(content="1\t# Guide\n2\t"),
            "there are 6 lines, not 2",
        ),
        (
            "grep-then-edit-javascript",
            "Edit",
            lambda r: use_of(r, "Edit")["input"].update(old_string="no such text"),
            "the result says that it went well, but: <tool_use_error>old_string was not found",
        ),
        (
            "edits-that-fail-first",
            "Edit",
            lambda r: result_of(r, "Edit", 1).update(ok=True, content="The file was updated."),
            "old_string was found 2 times",
        ),
        (
            "edits-that-fail-first",
            "Edit",
            lambda r: result_of(r, "Edit").update(content="something went wrong"),
            "not a <tool_use_error>, but:",
        ),
        (
            "edit-of-a-changed-file",
            "Edit",
            lambda r: result_of(r, "Edit").update(ok=True),
            "has changed since it was read",
        ),
        (
            "version-bump-in-three-formats",
            "Edit",
            lambda r: use_of(r, "Read", 2)["input"].update(file_path="/workspace/chart.yaml"),
            "has not been read yet",
        ),
        (
            "grep-then-edit-javascript",
            "Edit",
            lambda r: result_of(r, "Edit").update(content="Done."),
            "the result does not name src/config/limits.js",
        ),
        (
            "grep-then-edit-javascript",
            "Grep",
            lambda r: result_of(r, "Grep").update(
                content=result_of(r, "Grep")["content"] + "\nsrc/x.js:1:maxBytes"
            ),
            "not found here: 'src/x.js:1:maxBytes'",
        ),
        (
            "grep-then-edit-javascript",
            "Grep",
            lambda r: result_of(r, "Grep").update(content="No matches found"),
            "missing from the result:",
        ),
        (
            "rust-fix-off-by-one",
            "Glob",
            lambda r: result_of(r, "Glob").update(content="/workspace/src/main.rs"),
            "not found here: 'src/main.rs'",
        ),
        (
            "rust-fix-off-by-one",
            "Glob",
            lambda r: result_of(r, "Glob").update(content="No files found"),
            "missing from the result: 'src/lib.rs'",
        ),
        (
            "remove-dead-code",
            "Bash",
            lambda r: result_of(r, "Bash").update(content="12.567"),
            "line 1 is '12.566', not '12.567'",
        ),
        (
            "remove-dead-code",
            "Bash",
            lambda r: result_of(r, "Bash").update(ok=False, side_effects={"exit_code": 1}),
            "the result says that it failed, but: 12.566",
        ),
        (
            "shell-script-with-spaces",
            "Bash",
            lambda r: result_of(r, "Bash")["side_effects"].update(exit_code=2),
            "the exit code is 1, not 2",
        ),
        (
            "large-output-is-cut",
            "Bash",
            lambda r: result_of(r, "Bash").update(content_sha256="0" * 64),
            "the whole content has digest",
        ),
        (
            "background-command",
            "BashOutput",
            lambda r: result_of(r, "BashOutput").update(content="[running]\nadding parts/9.txt"),
            "not found here: 'adding parts/9.txt'",
        ),
        (
            "background-command",
            "BashOutput",
            lambda r: use_of(r, "BashOutput")["input"].update(bash_id="bash_2"),
            "there is no background shell 'bash_2'",
        ),
        (
            "notebook-insert-cells",
            "NotebookEdit",
            lambda r: use_of(r, "NotebookEdit", 1)["input"].update(cell_id="c9"),
            "there is no cell 'c9'",
        ),
        (
            "subagent-explores",
            "Agent",
            lambda r: result_of(r, "Agent").update(content="I found nothing."),
            "does not hold the subagent's last words",
        ),
        (
            "web-search-and-fetch",
            "WebFetch",
            lambda r: result_of(r, "WebFetch").update(content=" "),
            "the result is empty",
        ),
        (
            "denied-by-rule",
            "Grep",
            lambda r: use_of(r, "Read", 1).update(name="Grep"),
            "no settings have a rule that denies Grep",
        ),
        (
            "hook-blocks-generated-file",
            "Edit",
            lambda r: hook(r).update(tool_use_id="another"),
            "denied by a hook, but no hook blocked this tool use",
        ),
        (
            "hook-blocks-generated-file",
            "hook_event",
            lambda r: hook(r).update(decision="allow", exit_code=0, output=None),
            "the hook exits 2 and says 'gen/ is generated",
        ),
        (
            "hook-adds-context",
            "hook_event",
            lambda r: hook(r).update(output="On call this week: nobody"),
            "the hook exits 0 and says 'On call this week: Priya",
        ),
        (
            "hook-adds-context",
            "hook_event",
            lambda r: hook(r).update(event="PreCompact"),
            "no hook is declared for PreCompact",
        ),
        (
            "mcp-issue-tracker",
            "session_start",
            lambda r: r[0].update(cwd_sha256="0" * 64),
            "starts from tree 0000",
        ),
        (
            "mcp-issue-tracker",
            "session_end",
            lambda r: r[-1].update(cwd_sha256_after="0" * 64),
            "ends with tree 0000",
        ),
    ],
)
def test_what_could_not_have_happened_is_reported(
    tampered: Any, name: str, tool: str, change: Callable[[Records], object], problem: str
) -> None:
    found = tampered(name, change)
    assert any(tool == where and problem in what for where, what in found), found


def test_a_result_without_a_use_is_reported(tampered: Any) -> None:
    found = tampered("plan-mode", lambda r: result_of(r, "Grep").update(tool_use_id="none"))
    assert ("tool_result", "answers no tool use") in found


def test_durations_and_addresses_may_differ(tampered: Any) -> None:
    def change(records: Records) -> None:
        result = result_of(records, "Bash")
        assert " in 0.0" in result["content"]
        result["content"] = result["content"].replace(" in 0.0", " in 1.9")

    assert tampered("fix-failing-test-python", change) == []


def test_an_answer_may_be_worded_and_ordered_otherwise(tampered: Any) -> None:
    def change(records: Records) -> None:
        grep, edit = result_of(records, "Grep"), result_of(records, "Edit")
        grep["content"] = "\n".join(reversed(grep["content"].split("\n")))
        edit["content"] = "Edited src/config/limits.js."

    assert tampered("grep-then-edit-javascript", change) == []


def test_what_cannot_be_done_again_is_counted_apart() -> None:
    replay = replay_teacher(load_fixture(CANONICAL / "web-search-and-fetch"))
    assert (replay.rerun, replay.shape_only) == (2, {"WebSearch": 1, "WebFetch": 1})


def test_a_path_that_leads_out_of_the_workspace_is_not_touched(
    tampered: Any, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do not read")

    def change(records: Records) -> None:
        use_of(records, "Read")["input"]["file_path"] = str(secret)
        result_of(records, "Read")["content"] = "1\tguessed"
        use_of(records, "Write")["input"]["file_path"] = "/workspace/../escaped"

    tampered("denied-by-rule", change)
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda r: r[0].update(parent_session_id="another"), "parent_session_id: another, but"),
        (lambda r: r[0].update(cwd="/elsewhere"), "cwd: /elsewhere, but"),
        (lambda r: r[1].update(turn=8), "turn: 8, but by the session before it is 6"),
    ],
)
def test_a_session_goes_on_with_the_one_before_it(
    change: Callable[[Records], object], problem: str, tmp_path: Path
) -> None:
    fixture = tmp_path / "session-resumed"
    shutil.copytree(CANONICAL / fixture.name, fixture)
    assert check_teacher(load_fixture(fixture)) == []
    trace = fixture / "teacher.ccpa-trace.jsonl"
    records = [json.loads(line) for line in trace.read_text().splitlines()]
    change(records)
    trace.write_text("".join(json.dumps(record) + "\n" for record in records))
    found = check_teacher(load_fixture(fixture))
    assert any(one.problem.startswith(problem) for one in found), found


def test_what_is_wrong_with_the_session_before_is_reported(tmp_path: Path) -> None:
    fixture = tmp_path / "session-resumed"
    shutil.copytree(CANONICAL / fixture.name, fixture)
    (fixture / "before" / "workspace" / "deploy" / "values.yaml").write_text("replicas: 7\n")
    problems = [one.problem for one in check_teacher(load_fixture(fixture))]
    assert any(problem.startswith("before: starts from tree") for problem in problems)
