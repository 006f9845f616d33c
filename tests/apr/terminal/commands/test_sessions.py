"""The sessions of a project, listed and gone on with."""

import pytest

from apr.agent.prompt import Rewrite
from apr.terminal.commands import Leave
from tests.apr.terminal.commands.conftest import Sit


async def test_sessions_are_listed_and_one_is_gone_on_with(sit: Sit) -> None:
    earlier = sit({"first thing": ["Done."]}, persist=True)
    await earlier.prompt("first thing")
    await earlier.type("/rename the first")
    old = earlier.desk.assembled.agent.session.id
    store = earlier.desk.assembled.store
    assert store is not None
    store.close()
    await earlier.desk.assembled.close()
    person = sit({"second thing": ["Done."]}, persist=True)
    await person.prompt("second thing")
    now = person.desk.assembled.agent.session.id
    shown = await person.type("/sessions")
    assert "the first  (1 answer, m)" in shown
    assert "second thing" in next(line for line in shown.splitlines() if "●" in line)
    with pytest.raises(Leave) as left:
        await person.type("/resume the first")
    assert left.value.to == old
    assert "You are in that session" in await person.type(f"/resume {now}")
    assert "there is no session 'nobody'" in await person.type("/resume nobody")
    person.desk.screen.doing = "answering"
    assert "at work" in await person.type(f"/resume {old}")
    await person.desk.assembled.close()


async def test_a_project_without_sessions_says_so(sit: Sit) -> None:
    person = sit()
    assert "No session of this project is stored." in await person.type("/sessions")
    assert "there is no other session" in await person.type("/resume")


async def test_names_are_for_sessions_that_are_stored(sit: Sit) -> None:
    person = sit()
    assert "not stored" in await person.type("/rename it")
    assert "usage" in await person.type("/rename")


async def test_the_mode_changes_as_far_as_the_settings_let_it(sit: Sit) -> None:
    person = sit()
    assert "There are: default, acceptEdits" in await person.type("/mode")
    assert await person.type("/mode plan") == "mode: plan\n"
    assert person.desk.policy.mode == "plan"
    await person.type("/config permissions.disableBypassPermissionsMode disable")
    shown = await person.type("/mode bypassPermissions")
    assert "forbids the mode bypassPermissions" in shown.replace("\n", " ")
    assert "no permission mode 'fast'" in await person.type("/mode fast")
    assert person.desk.policy.mode == "plan"


async def test_to_begin_anew_stands_among_the_prompts(sit: Sit) -> None:
    person = sit()
    await person.type("/clear")
    assert person.prompts == [Rewrite("/clear")]
