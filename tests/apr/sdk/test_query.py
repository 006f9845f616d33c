"""`query()` of the public Agent SDK, with `apr` as its CLI."""

from pathlib import Path

from claude_agent_sdk import AssistantMessage, ResultMessage, SystemMessage, TextBlock, ToolUseBlock

from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import calls, says
from tests.apr.sdk.driving import all_of, options

FIX = {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}
TASK = [
    calls(("Read", {"file_path": "src/calc.py"}), text="I read the file first."),
    calls(("Edit", FIX), first=2),
    says("Fixed: add now adds."),
]


async def test_a_task_is_done_and_every_message_is_told(home: Path, project: Path) -> None:
    with serving(ScriptedModel(TASK)) as url:
        told = await all_of("fix add", options(url, project, home, permission_mode="acceptEdits"))
    assert (project / "src/calc.py").read_text() == "def add(a, b):\n    return a + b\n"
    init, read, *_, result = told
    assert isinstance(init, SystemMessage)
    assert init.subtype == "init"
    assert init.data["cwd"] == str(project)
    assert isinstance(read, AssistantMessage)
    assert read.content == [
        TextBlock("I read the file first."),
        ToolUseBlock("toolu_1", "Read", {"file_path": "src/calc.py"}),
    ]
    assert isinstance(result, ResultMessage)
    assert (result.subtype, result.is_error) == ("success", False)
    assert (result.num_turns, result.result) == (3, "Fixed: add now adds.")
    assert result.session_id == init.data["session_id"]
