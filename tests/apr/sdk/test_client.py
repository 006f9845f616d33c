"""`ClaudeSDKClient`: a conversation with `apr`, and what is asked of it meanwhile."""

from pathlib import Path

import pytest
from claude_agent_sdk import (
    AssistantMessage,
    ClaudeSDKClient,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    UserMessage,
)

from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import calls, says
from tests.apr.sdk.driving import ask, options, result_of, results

WRITE = {"file_path": "new.txt", "content": "hello\n"}


async def test_prompts_follow_each_other_in_one_session(home: Path, project: Path) -> None:
    model = ScriptedModel([says("one"), says("two")])
    with serving(model) as url:
        async with ClaudeSDKClient(options(url, project, home)) as client:
            first = result_of(await ask(client, "first"))
            second = result_of(await ask(client, "second"))
    assert (first.result, second.result) == ("one", "two")
    assert first.session_id == second.session_id
    assert len(model.requests[1]["messages"]) == 4


async def test_the_session_says_what_there_is_in_it(home: Path, project: Path) -> None:
    (project / ".claude" / "commands").mkdir(parents=True)
    (project / ".claude" / "commands" / "greet.md").write_text(
        "---\ndescription: Greets somebody\nargument-hint: <name>\n---\nGreet $ARGUMENTS.\n"
    )
    with serving(ScriptedModel([])) as url:
        async with ClaudeSDKClient(options(url, project, home, model="m")) as client:
            info = await client.get_server_info()
    assert info is not None
    assert {
        "name": "greet",
        "description": "Greets somebody",
        "argumentHint": "<name>",
    } in info["commands"]
    assert "Explore" in {agent["name"] for agent in info["agents"]}


async def test_work_is_interrupted_and_the_session_goes_on(home: Path, project: Path) -> None:
    model = ScriptedModel([says("a long answer that is never said to its end"), says("Yes?")])
    with serving(model) as url:
        model.pause_after = 2
        given = options(url, project, home, include_partial_messages=True)
        async with ClaudeSDKClient(given) as client:
            await client.query("tell me a story")
            async for message in client.receive_response():
                if isinstance(message, StreamEvent) and message.event["type"].endswith("delta"):
                    await client.interrupt()
            assert isinstance(message, ResultMessage)
            assert message.subtype == "error_during_execution"
            assert message.terminal_reason == "aborted_streaming"
            model.pause_after = None
            model.go_on()
            after = result_of(await ask(client, "are you there?"))
    assert (after.result, after.is_error) == ("Yes?", False)


async def test_a_command_is_interrupted(home: Path, project: Path) -> None:
    script = [calls(("Bash", {"command": "touch begun; sleep 1000"})), says("Yes?")]
    with serving(ScriptedModel(script)) as url:
        given = options(url, project, home, allowed_tools=["Bash"])
        async with ClaudeSDKClient(given) as client:
            await client.query("wait")
            told = []
            async for message in client.receive_response():
                told.append(message)
                if isinstance(message, AssistantMessage):
                    await client.interrupt()
            assert "Interrupted" in str(results(told)[0].content)
            assert result_of(await ask(client, "go on")).result == "Yes?"


async def test_the_permission_mode_changes_from_then_on(home: Path, project: Path) -> None:
    script = [calls(("Write", WRITE)), says("No."), calls(("Write", WRITE), first=2), says("Yes.")]
    with serving(ScriptedModel(script)) as url:
        async with ClaudeSDKClient(options(url, project, home)) as client:
            before = await ask(client, "write")
            await client.set_permission_mode("acceptEdits")
            after = await ask(client, "write")
    assert results(before)[0].is_error
    assert not results(after)[0].is_error
    assert isinstance(after[0], SystemMessage)
    assert after[0].data["permissionMode"] == "acceptEdits"
    assert (project / "new.txt").read_text() == "hello\n"


async def test_a_mode_that_there_is_not_or_that_is_forbidden_is_refused(
    home: Path, project: Path
) -> None:
    settings = '{"permissions": {"disableBypassPermissionsMode": "disable"}}'
    with serving(ScriptedModel([])) as url:
        async with ClaudeSDKClient(options(url, project, home, settings=settings)) as client:
            with pytest.raises(Exception, match="no permission mode 'auto'"):
                await client.set_permission_mode("auto")
            with pytest.raises(Exception, match="forbids the mode bypassPermissions"):
                await client.set_permission_mode("bypassPermissions")


async def test_the_model_changes_from_the_next_request_on(home: Path, project: Path) -> None:
    model = ScriptedModel([says("one"), says("two"), says("three")])
    with serving(model) as url:
        async with ClaudeSDKClient(options(url, project, home, model="first")) as client:
            await ask(client, "hi")
            await client.set_model("second")
            told = await ask(client, "hi")
            await client.set_model(None)
            await ask(client, "hi")
    assert [request["model"] for request in model.requests] == ["first", "second", "first"]
    assert isinstance(told[0], SystemMessage)
    assert told[0].data["model"] == "second"


async def test_how_full_the_context_is(home: Path, project: Path) -> None:
    given = {"extra_args": {"ctx": "10000"}}
    with serving(ScriptedModel([says("Hello.")])) as url:
        async with ClaudeSDKClient(options(url, project, home, **given)) as client:
            await ask(client, "hi")
            usage = await client.get_context_usage()
    assert usage["totalTokens"] == 110  # what the server has counted
    assert usage["maxTokens"] == 10000
    assert usage["percentage"] == 1.1


async def test_a_background_command_is_stopped_by_its_id(home: Path, project: Path) -> None:
    start = {"command": "echo begun; sleep 1000", "run_in_background": True}
    script = [
        calls(("Bash", start)),
        says("Started."),
        calls(("BashOutput", {"bash_id": "bash_1"}), first=2),
        says("Stopped."),
    ]
    with serving(ScriptedModel(script)) as url:
        given = options(url, project, home, allowed_tools=["Bash"])
        async with ClaudeSDKClient(given) as client:
            started = results(await ask(client, "start it"))[0]
            assert "bash_1" in str(started.content)
            await client.stop_task("bash_1")
            seen = results(await ask(client, "look"))[0]
            with pytest.raises(Exception, match="bash_9"):
                await client.stop_task("bash_9")
    assert "killed" in str(seen.content) or "exit" in str(seen.content)


async def test_files_are_put_back_to_what_they_were_before_a_prompt(
    home: Path, project: Path
) -> None:
    fix = {"file_path": "README.md", "old_string": "It adds.", "new_string": "It subtracts."}
    again = {**fix, "old_string": "subtracts", "new_string": "multiplies"}
    script = [
        calls(("Read", {"file_path": "README.md"}), ("Edit", fix), ("Write", WRITE)),
        says("Done."),
        calls(("Edit", again), first=4),
        says("Done."),
        says("I see."),
    ]
    model = ScriptedModel(script)
    with serving(model) as url:
        given = options(
            url,
            project,
            home,
            permission_mode="acceptEdits",
            enable_file_checkpointing=True,
            extra_args={"replay-user-messages": None},
        )
        async with ClaudeSDKClient(given) as client:
            prompts = []
            for text in ("change it", "change it more"):
                told = await ask(client, text)
                prompts += [
                    m.uuid for m in told if isinstance(m, UserMessage) and m.content == text
                ]
            first, second = map(str, prompts)
            assert "multiplies" in (project / "README.md").read_text()
            await client.rewind_files(second)
            assert "subtracts" in (project / "README.md").read_text()
            await client.rewind_files(first)
            with pytest.raises(Exception, match="nothing is kept of a prompt 'x'"):
                await client.rewind_files("x")
            await ask(client, "what now?")
    assert (project / "README.md").read_text() == "# Calc\n\nIt adds.\n"
    assert not (project / "new.txt").exists()
    assert "README.md" in model.requests[-1]["messages"][-1]["content"]


async def test_files_are_put_back_in_a_session_that_is_gone_on_with(
    home: Path, project: Path
) -> None:
    model = ScriptedModel([calls(("Write", WRITE)), says("Done.")])
    with serving(model) as url:
        given = options(
            url,
            project,
            home,
            permission_mode="acceptEdits",
            enable_file_checkpointing=True,
            extra_args={"replay-user-messages": None},
        )
        async with ClaudeSDKClient(given) as client:
            told = await ask(client, "write it")
        prompt = next(m.uuid for m in told if isinstance(m, UserMessage) and m.content)
        given.resume = result_of(told).session_id
        async with ClaudeSDKClient(given) as client:
            assert (project / "new.txt").exists()
            await client.rewind_files(str(prompt))
    assert not (project / "new.txt").exists()


async def test_files_are_not_kept_unless_that_is_wanted(home: Path, project: Path) -> None:
    with serving(ScriptedModel([])) as url:
        async with ClaudeSDKClient(options(url, project, home)) as client:
            with pytest.raises(Exception, match="enable_file_checkpointing"):
                await client.rewind_files("11111111-1111-4111-8111-111111111111")
