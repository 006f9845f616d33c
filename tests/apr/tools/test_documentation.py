"""docs/tools.md names each tool with its input, and its limits are those of the code."""

import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from apr.agent.gate import Gate
from apr.agent.permissions import Policy
from apr.tools import documents, files, images, monitor, notebook, read, tasks
from apr.tools.ask_user_question import AskUserQuestion
from apr.tools.base import Tool, parameters
from apr.tools.documents import worker
from apr.tools.exit_plan_mode import ExitPlanMode
from apr.tools.monitor import Monitor
from apr.tools.notebook_edit import NotebookEdit
from apr.tools.registry import BUILTIN
from apr.tools.task_create import TaskCreate
from apr.tools.task_get import TaskGet
from apr.tools.task_list import TaskList
from apr.tools.task_update import TaskUpdate
from apr.tools.tasks import Tasks
from apr.tools.todo_write import TodoWrite
from apr.tools.web import client, pages, searxng
from apr.tools.web_fetch import WebFetch
from apr.tools.web_search import WebSearch

PAGE = (Path(__file__).parents[3] / "docs" / "tools.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (.*?) ?\| .* \|$", re.MULTILINE)


def tools(root: Path) -> list[Tool[Any]]:
    gate, list_of = Gate(Policy(root=root)), Tasks()
    of_tasks = (TodoWrite, TaskCreate, TaskGet, TaskList, TaskUpdate)
    return [
        *BUILTIN,
        *(kind(list_of) for kind in of_tasks),
        *(WebFetch(gate), WebSearch(None), ExitPlanMode(gate)),
        *(AskUserQuestion(), NotebookEdit(), Monitor()),
    ]


def test_every_tool_is_there_with_its_input(tmp_path: Path) -> None:
    described = {name: re.findall(r"`(.+?)`", fields) for name, fields in ROW.findall(PAGE)}
    assert described == {
        tool.name: list(parameters(tool)["properties"]) for tool in tools(tmp_path)
    }


def test_every_schema_stands_for_itself(tmp_path: Path) -> None:
    for tool in tools(tmp_path):
        schema = parameters(tool)
        Draft202012Validator.check_schema(schema)
        assert "$ref" not in str(schema)
        assert "answers" not in schema["properties"]  # the user's, not the model's
    todos = parameters(TodoWrite(Tasks()))["properties"]["todos"]["items"]
    assert list(todos["properties"]) == ["content", "status", "activeForm"]
    status = parameters(TaskUpdate(Tasks()))["properties"]["status"]
    assert set(status["enum"]) == {"pending", "in_progress", "completed", "deleted"}
    questions = parameters(AskUserQuestion())["properties"]["questions"]["items"]
    assert list(questions["properties"]["options"]["items"]["properties"]) == [
        "label",
        "description",
        "preview",
    ]


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("{:,} of them", read.LINES),
        ("{:,} characters of each", read.LINE),
        ("{:,} in all", read.CHARACTERS),
        ("({:,} characters of an output)", notebook.SHOWN),
        ("larger\n  than {} MB", files.WHOLE // 1_000_000),
        ("; {} MB at most)", images.LARGEST // 1_000_000),
        ("with {} s,", int(documents.SECONDS)),
        ("{} GB of memory", worker.MEMORY // 1_000_000_000),
        ("more than {:,} characters", pages.CHARACTERS),
        ("{} MB unpacked at most", client.LARGEST // 1_000_000),
        ("within {} s.", int(client.SECONDS)),
        ("kept for {} minutes", pages.KEPT_S // 60),
        ("{} tasks at most", tasks.MOST),
        ("({} minutes;", monitor.TIMEOUT_MS // 60_000),
    ],
)
def test_limits_are_those_of_the_code(words: str, value: int) -> None:
    text = words.format(value)
    assert " ".join(text.split()) in " ".join(PAGE.split())


def test_ten_results_are_shown() -> None:
    assert "Ten results" in PAGE
    assert searxng.MOST == 10
