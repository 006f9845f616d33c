"""The list of tasks: written whole by TodoWrite, or task by task."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.tools.base import Access, Context
from apr.tools.errors import ToolError
from apr.tools.inputs import parse
from apr.tools.task_create import TaskCreate
from apr.tools.task_get import TaskGet
from apr.tools.task_list import TaskList
from apr.tools.task_replay import replay
from apr.tools.task_update import TaskUpdate
from apr.tools.tasks import MOST, Tasks
from apr.tools.todo_write import TodoWrite
from ccpa.trace import ToolUseBlock

TOOLS = (TaskCreate, TaskGet, TaskList, TaskUpdate, TodoWrite)


class Desk:
    """The tools of one list."""

    def __init__(self, context: Context) -> None:
        self.tasks = Tasks()
        self._context = context
        self._tools = {kind.name: kind(self.tasks) for kind in TOOLS}

    async def __call__(self, name: str, **fields: Any) -> str:
        tool: Any = self._tools[name]
        call = parse(tool, fields)
        assert tool.access(call, self._context) == Access(kind="none")
        outcome = await tool.run(call, self._context)
        assert outcome.ok
        content: str = outcome.content
        return content


@pytest.fixture
def desk(context: Context) -> Desk:
    return Desk(context)


def todo(content: str, status: str = "pending", **more: Any) -> dict[str, Any]:
    return {"content": content, "status": status, "activeForm": f"Doing {content}", **more}


async def test_todo_write_puts_one_list_in_the_place_of_another(desk: Desk) -> None:
    written = await desk("TodoWrite", todos=[todo("a", "in_progress"), todo("b")])
    assert written == "The list is saved: 2 of 2 still to be done."
    written = await desk("TodoWrite", todos=[todo("a", "completed", id="7", priority="high")])
    assert written == "The list is saved: 0 of 1 still to be done."
    assert await desk("TaskList") == "1. completed: a"
    assert await desk("TodoWrite", todos=[]) == "The list is saved: 0 of 0 still to be done."
    assert await desk("TaskList") == "The list is empty."


async def test_what_is_still_to_be_done_can_be_told(desk: Desk) -> None:
    await desk("TodoWrite", todos=[todo("a", "completed"), todo("b", "in_progress"), todo("c")])
    assert desk.tasks.open() == ["b", "c"]


async def test_tasks_are_added_and_changed_one_by_one(desk: Desk) -> None:
    created = await desk(
        "TaskCreate", subject="Fix\nit", description="All of it.", metadata={"area": "core"}
    )
    assert created == "Added 1. pending: Fix it"
    changed = await desk("TaskUpdate", taskId="1", status="in_progress", owner="me")
    assert changed == "1. in_progress: Fix it [me]"
    await desk("TaskUpdate", taskId="1", subject="Fix all", metadata={"area": None, "n": 2})
    shown = await desk("TaskGet", taskId="1")
    assert shown == '1. in_progress: Fix all [me]\n\nAll of it.\n\n{"n":2}'
    await desk("TaskUpdate", taskId="1", description="", owner="", metadata={"n": None})
    assert await desk("TaskGet", taskId="1") == "1. in_progress: Fix all"


async def test_a_task_waits_for_others_until_they_are_done_or_gone(desk: Desk) -> None:
    for subject in "abc":
        await desk("TaskCreate", subject=subject)
    waiting = await desk("TaskUpdate", taskId="3", addBlockedBy=["1", "2", "1"])
    assert waiting == "3. pending: c (waits for 1, 2)"
    await desk("TaskUpdate", taskId="1", status="completed")
    await desk("TaskUpdate", taskId="2", addBlocks=["1"])
    assert (await desk("TaskList")).split("\n") == [
        "1. completed: a (waits for 2)",
        "2. pending: b",
        "3. pending: c (waits for 2)",
    ]
    assert await desk("TaskUpdate", taskId="2", status="deleted") == "Task 2 is off the list."
    assert await desk("TaskGet", taskId="3") == "3. pending: c"


async def test_the_number_of_a_task_is_given_once(desk: Desk) -> None:
    await desk("TaskCreate", subject="a")
    await desk("TaskUpdate", taskId="1", status="deleted")
    assert await desk("TaskCreate", subject="b") == "Added 2. pending: b"


@pytest.mark.parametrize(
    "fields",
    [
        {"addBlockedBy": ["1"]},
        {"addBlocks": ["1"]},
        {"addBlockedBy": ["2"], "addBlocks": ["2"]},
        {"addBlockedBy": ["3"]},
        {"addBlockedBy": ["9"]},
        {"addBlocks": ["2", "9"]},
    ],
)
async def test_what_cannot_be_changes_nothing(desk: Desk, fields: dict[str, Any]) -> None:
    for subject in "abc":
        await desk("TaskCreate", subject=subject)
    await desk("TaskUpdate", taskId="2", addBlockedBy=["1"])
    await desk("TaskUpdate", taskId="3", addBlockedBy=["2"])
    before = await desk("TaskList")
    with pytest.raises(ToolError, match=r"would wait for itself|there is no task '9'"):
        await desk("TaskUpdate", taskId="1", status="completed", **fields)
    assert await desk("TaskList") == before


pairs = st.tuples(st.sampled_from("12345"), st.sampled_from("12345"))


@given(st.lists(st.lists(pairs, max_size=4), max_size=8))
def test_tasks_never_wait_in_circles(steps: list[list[tuple[str, str]]]) -> None:
    tasks = Tasks()
    for subject in "abcde":
        tasks.add(subject)
    for waits in steps:
        before = [list(task.blocked_by) for task in tasks]
        try:
            tasks.block(waits)
        except ToolError:
            assert [task.blocked_by for task in tasks] == before
    left = {task.id: set(task.blocked_by) for task in tasks}
    while ready := [name for name, waits in left.items() if not waits & left.keys()]:
        for name in ready:
            del left[name]
    assert not left


async def test_an_unknown_task_brings_up_those_there_are(desk: Desk) -> None:
    for tool in ("TaskGet", "TaskUpdate"):
        with pytest.raises(ToolError, match=r"there is no task '4'\. There are: none"):
            await desk(tool, taskId="4")
    await desk("TaskCreate", subject="a")
    with pytest.raises(ToolError, match="There are: 1"):
        await desk("TaskGet", taskId="4")


async def test_a_list_has_an_end(desk: Desk) -> None:
    with pytest.raises(ToolError, match=f"{MOST} tasks at most"):
        await desk("TodoWrite", todos=[todo("a")] * (MOST + 1))
    await desk("TodoWrite", todos=[todo("a")] * MOST)
    with pytest.raises(ToolError, match=f"there are {MOST} tasks already"):
        await desk("TaskCreate", subject="one more")


@pytest.mark.parametrize(
    ("tool", "fields"),
    [
        ("TodoWrite", {"todos": [todo("a", "done")]}),
        ("TodoWrite", {"todos": [todo("")]}),
        ("TodoWrite", {"todos": "a"}),
        ("TaskCreate", {"subject": ""}),
        ("TaskUpdate", {"taskId": "1", "status": "finished"}),
        ("TaskUpdate", {"taskId": "1", "subject": ""}),
    ],
)
async def test_input_that_means_nothing_is_refused(
    desk: Desk, tool: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(ToolError):
        await desk(tool, **fields)


async def test_a_tool_can_be_given_another_list(desk: Desk, context: Context) -> None:
    own = Tasks()
    create = TaskCreate(desk.tasks).on(own)
    await create.run(parse(create, {"subject": "theirs"}), context)
    assert own.open() == ["theirs"]
    assert not desk.tasks.open()


async def test_the_calls_of_a_session_make_its_list_again(desk: Desk) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("TodoWrite", {"todos": [todo("a"), todo("b")]}),
        ("TaskCreate", {"subject": "c", "metadata": {"size": "small"}}),
        ("TaskUpdate", {"taskId": "1", "status": "completed"}),
        ("TaskUpdate", {"taskId": "3", "addBlockedBy": ["2"]}),
        ("TaskUpdate", {"taskId": "2", "status": "deleted"}),
        ("TaskCreate", {"subject": "d"}),
    ]
    for name, fields in calls:
        await desk(name, **fields)
    again = Tasks()
    replay(again, [ToolUseBlock(f"toolu_{n}", *call) for n, call in enumerate(calls)])
    assert list(again) == list(desk.tasks)
    assert again.add("e").id == desk.tasks.add("e").id


def test_a_call_that_cannot_be_made_again_changes_nothing() -> None:
    tasks = Tasks()
    given: list[dict[str, Any]] = [{"subject": "a"}, {"subject": ""}, {}, {"subject": "b"}]
    replay(tasks, [ToolUseBlock("toolu_1", "TaskCreate", fields) for fields in given])
    assert tasks.open() == ["a", "b"]
