"""`apr acp` as an editor uses it: the protocol's own client, a real process, a scripted model."""

import asyncio
import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acp import RequestError, helpers, schema

from ccpa.scripted.chaos import Chaos
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.acp.editor import Editor, begin, editing, prompt, starting
from tests.apr.program import calls, says

READ = calls(("Read", {"file_path": "src/calc.py"}))
FIX = {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}
EDIT = calls(("Edit", FIX), first=2)
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n...").decode()
FIXED = "def add(a, b):\n    return a + b\n"


@pytest.fixture
def url() -> Iterator[str]:
    with serving(ScriptedModel([READ, EDIT, says("Fixed.")])) as url:
        yield url


async def test_a_task_is_done_and_the_editor_sees_all_of_it(
    home: Path, project: Path, url: str
) -> None:
    editor = Editor()
    words = ("--base-url", url, "--model", "m")
    async with starting(editor, home, project, *words) as connection:
        session = await connection.new_session(cwd=str(project), mcp_servers=[])
        done = await prompt(connection, session.session_id, "fix add")
    assert done.stop_reason == "end_turn"
    assert done.usage is not None
    assert done.usage.output_tokens > 0
    assert (project / "src/calc.py").read_text() == FIXED
    assert editor.text() == "Fixed."
    (question,) = editor.asked
    assert question.kind == "edit"
    (diff,) = question.content or []
    assert (diff.old_text, diff.new_text) == ("a - b", "a + b")
    starts = [u for u in editor.told if isinstance(u, schema.ToolCallStart)]
    assert [start.kind for start in starts] == ["read", "edit"]
    assert starts[0].locations is not None
    assert starts[0].locations[0].path == str(project / "src/calc.py")
    ends = [u.status for u in editor.told if getattr(u, "status", None) == "completed"]
    assert len(ends) == 2


async def test_what_a_person_rejects_is_not_done(home: Path, project: Path, url: str) -> None:
    before = (project / "src/calc.py").read_text()
    editor = Editor("no")
    async with editing(editor, home, project, url) as connection:
        session = await connection.new_session(cwd=str(project), mcp_servers=[])
        done = await prompt(connection, session.session_id, "fix add")
    assert done.stop_reason == "end_turn"
    assert (project / "src/calc.py").read_text() == before
    failed = [u for u in editor.told if getattr(u, "status", None) == "failed"]
    assert "did not allow" in failed[0].content[0].content.text


async def test_a_question_that_is_withdrawn_ends_the_work(
    home: Path, project: Path, url: str
) -> None:
    editor = Editor(None)
    async with editing(editor, home, project, url) as connection:
        session = await connection.new_session(cwd=str(project), mcp_servers=[])
        done = await prompt(connection, session.session_id, "fix add")
    assert done.stop_reason == "cancelled"


async def test_a_session_rule_asks_once(home: Path, project: Path) -> None:
    again = calls(("Edit", {**FIX, "old_string": "a + b", "new_string": "b + a"}), first=3)
    editor = Editor("session")
    with serving(ScriptedModel([READ, EDIT, again, says("Done.")])) as url:
        async with editing(editor, home, project, url) as connection:
            session = await connection.new_session(cwd=str(project), mcp_servers=[])
            await prompt(connection, session.session_id, "fix add twice")
    assert len(editor.asked) == 1
    assert "b + a" in (project / "src/calc.py").read_text()


async def test_a_mode_is_chosen(home: Path, project: Path, url: str) -> None:
    editor = Editor()
    async with editing(editor, home, project, url) as connection:
        session = await connection.new_session(cwd=str(project), mcp_servers=[])
        assert session.modes is not None
        modes = [mode.id for mode in session.modes.available_modes]
        assert "acceptEdits" in modes
        assert "bypassPermissions" not in modes
        await connection.set_session_mode(session_id=session.session_id, mode_id="acceptEdits")
        await prompt(connection, session.session_id, "fix add")
        with pytest.raises(RequestError):
            await connection.set_session_mode(
                session_id=session.session_id, mode_id="bypassPermissions"
            )
    assert editor.asked == []
    assert (project / "src/calc.py").read_text() == FIXED


async def test_the_work_is_cancelled_and_the_session_goes_on(home: Path, project: Path) -> None:
    model = ScriptedModel(
        [says("Slowly."), says("And again.")], chaos=[Chaos(on_request=1, latency_s=60)]
    )
    editor = Editor()
    with serving(model) as url:
        async with editing(editor, home, project, url) as connection:
            session = await connection.new_session(cwd=str(project), mcp_servers=[])
            work = asyncio.create_task(prompt(connection, session.session_id, "begin"))
            while not model.requests:
                await asyncio.sleep(0.01)
            await connection.cancel(session_id=session.session_id)
            assert (await work).stop_reason == "cancelled"
            assert (await prompt(connection, session.session_id, "go on")).stop_reason == "end_turn"


async def test_a_session_is_loaded_with_what_was_said(home: Path, project: Path, url: str) -> None:
    editor = Editor()
    async with editing(editor, home, project, url) as connection:
        session = await connection.new_session(cwd=str(project), mcp_servers=[])
        await prompt(connection, session.session_id, "fix add")
    later = Editor()
    with serving(ScriptedModel([says("I did.")])) as again:
        async with editing(later, home, project, again) as connection:
            (listed,) = (await connection.list_sessions(cwd=str(project))).sessions
            assert (listed.session_id, listed.title) == (session.session_id, "fix add")
            await connection.load_session(
                cwd=str(project), session_id=session.session_id, mcp_servers=[]
            )
            assert later.kinds()[0] == "user_message_chunk"
            assert later.text() == "Fixed."
            await prompt(connection, session.session_id, "did you?")
    assert later.text() == "Fixed.I did."


async def test_what_the_editor_shows_is_read_with_the_prompt(home: Path, project: Path) -> None:
    model = ScriptedModel([says("I see.")])
    with serving(model) as url:
        async with editing(Editor(), home, project, url, "--vision") as connection:
            session = await connection.new_session(cwd=str(project), mcp_servers=[])
            text = helpers.embedded_text_resource(
                "file:///notes.md", "Buy milk. @README.md </file>"
            )
            await connection.prompt(
                session_id=session.session_id,
                prompt=[
                    helpers.text_block("what is in it?"),
                    helpers.resource_block(text),
                    helpers.image_block(PIXEL, "image/png"),
                ],
            )
    assert "Buy milk. @README.md < /file>" in str(model.requests[0])
    assert "It adds." not in str(model.requests[0]), "what a file mentions is not looked up"
    assert f"data:image/png;base64,{PIXEL}" in str(model.requests[0])


@pytest.mark.parametrize("cwd", ["/nowhere/at/all", __file__])
async def test_a_place_that_is_none_is_an_error(
    home: Path, project: Path, url: str, cwd: str
) -> None:
    async with editing(Editor(), home, project, url) as connection:
        with pytest.raises(RequestError):
            await connection.new_session(cwd=cwd, mcp_servers=[])
        with pytest.raises(RequestError):
            await prompt(connection, "no such session", "hello")


async def test_a_server_that_fails_is_an_error_and_the_session_goes_on(
    home: Path, project: Path
) -> None:
    model = ScriptedModel([says("Now.")], chaos=[Chaos(on_request=1, status=400)])
    with serving(model) as url:
        async with editing(Editor(), home, project, url) as connection:
            session = await connection.new_session(cwd=str(project), mcp_servers=[])
            with pytest.raises(RequestError):
                await prompt(connection, session.session_id, "one")
            assert (await prompt(connection, session.session_id, "two")).stop_reason == "end_turn"


async def test_a_session_is_forked_and_closed(home: Path, project: Path, url: str) -> None:
    async with editing(Editor(), home, project, url) as connection:
        first = await connection.new_session(cwd=str(project), mcp_servers=[])
        await prompt(connection, first.session_id, "fix add")
        copy = await connection.fork_session(cwd=str(project), session_id=first.session_id)
        assert copy.session_id != first.session_id
        await connection.close_session(session_id=first.session_id)
        with pytest.raises(RequestError):
            await prompt(connection, first.session_id, "more")


async def test_the_agent_says_what_it_can_and_no_more(home: Path, project: Path, url: str) -> None:
    async with editing(Editor(), home, project, url) as connection:
        said = await connection.initialize(protocol_version=65_000)
        with pytest.raises(RequestError, match="no way to authenticate"):
            await connection.authenticate(method_id="key")
    assert said.protocol_version == 1
    assert said.agent_info is not None
    assert said.agent_info.name == "apr"
    assert said.auth_methods == []
    can = said.agent_capabilities
    assert can is not None
    assert can.prompt_capabilities is not None
    assert (can.prompt_capabilities.image, can.prompt_capabilities.audio) == (False, False)
    assert can.session_capabilities is not None
    assert can.session_capabilities.delete is not None


async def test_what_cannot_be_taken_is_refused_and_the_session_goes_on(
    home: Path, project: Path
) -> None:
    with serving(ScriptedModel([says("Hello.")])) as url:
        async with editing(Editor(), home, project, url) as connection:
            session = await begin(connection, project)
            for block, why in (
                (helpers.audio_block("aGVsbG8=", "audio/wav"), "cannot hear"),
                (helpers.image_block("aGVsbG8=", "image/png"), "--vision"),
                (helpers.text_block("  "), "empty"),
            ):
                with pytest.raises(RequestError, match=why):
                    await connection.prompt(session_id=session, prompt=[block])
            assert (await prompt(connection, session, "hi")).stop_reason == "end_turn"


async def test_a_link_to_a_file_is_read_like_a_mention(home: Path, project: Path) -> None:
    (project / "two words.md").write_text("Buy milk.")
    model = ScriptedModel([says("I see.")])
    link = helpers.resource_link_block("two words.md", f"file://{project}/two%20words.md#L1:2")
    with serving(model) as url:
        async with editing(Editor(), home, project, url) as connection:
            session = await begin(connection, project)
            await connection.prompt(session_id=session, prompt=[helpers.text_block("see"), link])
    assert "Buy milk." in str(model.requests[0])


async def test_always_is_kept_for_later_sessions(home: Path, project: Path, url: str) -> None:
    editor = Editor("always")
    async with editing(editor, home, project, url) as connection:
        await prompt(connection, await begin(connection, project), "fix add")
    assert editor.options["always"] == "Always: Edit(/src/calc.py)"
    assert "Edit(/src/calc.py)" in (project / ".apr/settings.local.json").read_text()
    later = Editor(None)
    (project / "src/calc.py").write_text("def add(a, b):\n    return a - b\n")
    with serving(ScriptedModel([READ, EDIT, says("Fixed.")])) as again:
        async with editing(later, home, project, again) as connection:
            await prompt(connection, await begin(connection, project), "fix add")
    assert later.asked == []
    assert (project / "src/calc.py").read_text() == FIXED


async def test_commands_and_skills_are_told_and_work(home: Path, project: Path) -> None:
    command = project / ".claude/commands/greet.md"
    command.parent.mkdir(parents=True)
    command.write_text("---\nargument-hint: who\ndescription: Greets.\n---\nSay hello to $1.\n")
    model = ScriptedModel([says("Hello, Ada.")])
    editor = Editor()
    with serving(model) as url:
        async with editing(editor, home, project, url) as connection:
            await prompt(connection, await begin(connection, project), "/greet Ada")
    (told,) = editor.updates(schema.AvailableCommandsUpdate)
    greet = next(one for one in told.available_commands if one.name == "greet")
    assert (greet.description, greet.input.root.hint) == ("Greets.", "who")
    assert "compact" in {one.name for one in told.available_commands}
    assert "Say hello to Ada." in str(model.requests[0])


async def test_an_agent_works_with_the_model_that_it_names(home: Path, project: Path) -> None:
    reviewer = project / ".claude/agents/reviewer.md"
    reviewer.parent.mkdir(parents=True)
    reviewer.write_text("---\ndescription: Reviews.\nmodel: small\n---\nYou review.\n")
    task = {"description": "d", "prompt": "Review it.", "subagent_type": "reviewer"}
    model = ScriptedModel([calls(("Agent", task)), says("It is right."), says("Done.")])
    with serving(model) as url:
        async with editing(Editor(), home, project, url) as connection:
            await prompt(connection, await begin(connection, project), "have it reviewed")
    large, small, again = (request["model"] for request in model.requests)
    assert small == "small" != large == again


async def test_a_plan_is_shown_and_agreed_to_and_the_editor_hears_of_the_mode(
    home: Path, project: Path
) -> None:
    todo = {"content": "fix add", "status": "in_progress", "activeForm": "fixing add"}
    turns = [
        calls(("TodoWrite", {"todos": [todo]})),
        calls(("ExitPlanMode", {"plan": "Swap the sign."}), first=2),
        says("Done."),
    ]
    editor = Editor("acceptEdits")
    with serving(ScriptedModel(turns)) as url:
        async with editing(editor, home, project, url, "--permission-mode", "plan") as connection:
            session = await begin(connection, project)
            assert (await prompt(connection, session, "fix add")).stop_reason == "end_turn"
    (plan,) = editor.updates(schema.AgentPlanUpdate)
    assert [(entry.content, entry.status) for entry in plan.entries] == [("fix add", "in_progress")]
    (question,) = editor.asked
    assert "Swap the sign." in str(question.content)
    assert list(editor.options) == ["once", "acceptEdits", "no"]
    (mode,) = editor.updates(schema.CurrentModeUpdate)
    assert mode.current_mode_id == "acceptEdits"
    (option,) = editor.updates(schema.ConfigOptionUpdate)
    assert option.config_options[0].current_value == "acceptEdits"


async def test_the_editor_hears_of_title_use_of_the_context_and_tokens(
    home: Path, project: Path
) -> None:
    editor = Editor()
    with serving(ScriptedModel([says("One."), says("Two.")])) as url:
        async with editing(editor, home, project, url, "--ctx", "4096") as connection:
            session = await begin(connection, project)
            await prompt(connection, session, "say one\nand no more")
            done = await prompt(connection, session, "say two")
    titles = [update.title for update in editor.updates(schema.SessionInfoUpdate)]
    assert titles == ["say one", None, None]
    (first, _second) = editor.updates(schema.UsageUpdate)
    assert (first.used, first.size) == (110, 4096)
    assert done.usage.total_tokens == 110


async def test_the_model_is_one_of_those_on_the_disk(home: Path, project: Path, tiny: Path) -> None:
    models = home / ".apr/models"
    models.mkdir(parents=True)
    for name in ("one", "two"):
        (models / f"{name}.gguf").write_bytes(tiny.read_bytes())
    async with starting(Editor(), home, project, "--model", "one") as connection:
        session = await connection.new_session(cwd=str(project), mcp_servers=[])
        _mode, option = session.config_options or []
        assert (option.id, option.category, option.current_value) == ("model", "model", "one")
        assert {choice.value for choice in option.options} == {"one", "two"}
        changed = await connection.set_config_option(
            session_id=session.session_id, config_id="model", value="two"
        )
        assert changed is not None
        assert changed.config_options[1].current_value == "two"
        for config, value in (("model", "three"), ("mode", "bypassPermissions"), ("speed", "5")):
            with pytest.raises(RequestError, match="there is no"):
                await connection.set_config_option(
                    session_id=session.session_id, config_id=config, value=value
                )


async def test_servers_of_the_editor_are_used(home: Path, project: Path) -> None:
    server = Path(__file__).parents[1] / "mcp/real_server.py"
    stdio = schema.McpServerStdio(name="sums", command=sys.executable, args=[str(server)], env=[])
    turns = [calls(("mcp__sums__add", {"a": 2, "b": 3})), says("Five.")]
    model = ScriptedModel(turns)
    with serving(model) as url:
        async with editing(Editor(), home, project, url) as connection:
            session = await begin(connection, project, mcp_servers=[stdio])
            assert (await prompt(connection, session, "add")).stop_reason == "end_turn"
    assert "mcp__sums__add" in str(model.requests[0])
    assert "5" in str(model.requests[1]["messages"][-1])


async def test_sessions_of_all_projects_are_listed_and_deleted(
    home: Path, project: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with serving(ScriptedModel([says("One."), says("Two.")])) as url:
        async with editing(Editor(), home, project, url) as connection:
            first = await begin(connection, project)
            second = await begin(connection, other)
            await prompt(connection, first, "say one")
            await prompt(connection, second, "say two")
            listed = (await connection.list_sessions()).sessions
            assert {(one.session_id, one.cwd, one.title) for one in listed} == {
                (first, str(project), "say one"),
                (second, str(other), "say two"),
            }
            for _ in range(2):  # the second time it is gone already
                deleted = {"sessionId": first}
                await connection._conn.send_request("session/delete", deleted)
            assert [one.session_id for one in (await connection.list_sessions()).sessions] == [
                second
            ]
            assert (await connection.list_sessions(cwd=str(project))).sessions == []
            with pytest.raises(RequestError, match="cursor"):
                await connection.list_sessions(cursor="../../etc")


@pytest.mark.parametrize("when", ["asked", "running"])
async def test_work_is_cancelled_at_every_point_and_every_call_ends(
    home: Path, project: Path, when: str
) -> None:
    editor = Waiting(when)
    command = calls(("Bash", {"command": "echo begun; sleep 600"}))
    with serving(ScriptedModel([command, says("Still here.")])) as url:
        async with editing(editor, home, project, url) as connection:
            session = await begin(connection, project)
            work = asyncio.create_task(prompt(connection, session, "wait"))
            await editor.reached.wait()
            await connection.cancel(session_id=session)
            assert (await work).stop_reason == "cancelled"
            ended = [u.status for u in editor.updates(schema.ToolCallProgress) if u.status]
            assert ended[-1] == "failed"
            assert (await prompt(connection, session, "there?")).stop_reason == "end_turn"


class Waiting(Editor):
    """An editor that says when a person is asked, or a command has put something out."""

    def __init__(self, until: str) -> None:
        super().__init__("once")
        self.until = until
        self.reached = asyncio.Event()

    async def request_permission(self, *args: Any, **kwargs: Any) -> Any:
        if self.until == "asked":
            self.reached.set()
            await asyncio.Event().wait()  # the person is at lunch
        return await super().request_permission(*args, **kwargs)

    async def session_update(self, session_id: str, update: Any, **kwargs: Any) -> None:
        await super().session_update(session_id, update, **kwargs)
        if "begun" in str(update.content if hasattr(update, "content") else "") and (
            getattr(update, "status", None) is None
        ):
            self.reached.set()


async def test_a_prompt_is_cancelled_that_has_not_begun(home: Path, project: Path) -> None:
    """The hook holds the session back, before its first prompt is looked at."""
    begun = home / "begun"
    hook = {"type": "command", "command": f"touch {begun}; sleep 600"}
    settings = {"hooks": {"SessionStart": [{"hooks": [hook]}]}}
    (home / ".apr").mkdir()
    (home / ".apr/settings.json").write_text(json.dumps(settings))
    model = ScriptedModel([says("Never said.")])
    with serving(model) as url:
        async with editing(Editor(), home, project, url) as connection:
            session = await begin(connection, project)
            work = asyncio.create_task(prompt(connection, session, "hello"))
            await asyncio.sleep(0)  # it is on its way before the cancel is
            while not begun.exists():
                await asyncio.sleep(0.01)
            await connection.cancel(session_id=session)
            assert (await work).stop_reason == "cancelled"
    assert model.requests == []


async def test_one_prompt_at_a_time_and_sessions_beside_each_other(
    home: Path, project: Path
) -> None:
    model = ScriptedModel(
        [says("Slow."), says("Quick.")], chaos=[Chaos(on_request=1, latency_s=600)]
    )
    with serving(model) as url:
        async with editing(Editor(), home, project, url) as connection:
            first, second = await begin(connection, project), await begin(connection, project)
            work = asyncio.create_task(prompt(connection, first, "slowly"))
            while not model.requests:
                await asyncio.sleep(0.01)
            with pytest.raises(RequestError, match="works on a prompt already"):
                await prompt(connection, first, "and this")
            assert (await prompt(connection, second, "quickly")).stop_reason == "end_turn"
            await connection.close_session(session_id=first)
            assert (await work).stop_reason == "cancelled"


async def test_a_server_that_cannot_be_reached_keeps_no_session_from_working(
    home: Path, project: Path
) -> None:
    servers = [
        schema.HttpMcpServer(type="http", name="web", url="http://127.0.0.1:9/mcp", headers=[]),
        schema.SseMcpServer(type="sse", name="old", url="http://127.0.0.1:9/sse", headers=[]),
    ]
    with serving(ScriptedModel([says("Hello.")])) as url:
        async with editing(Editor(), home, project, url) as connection:
            session = await begin(connection, project, mcp_servers=servers)
            assert (await prompt(connection, session, "hi")).stop_reason == "end_turn"
            through_acp = schema.AcpMcpServer(type="acp", name="x", server_id="x")
            with pytest.raises(RequestError, match="by no way we know"):
                await begin(connection, project, mcp_servers=[through_acp])


async def test_an_open_session_is_taken_up_anew(home: Path, project: Path) -> None:
    model = ScriptedModel([says("One."), says("Two."), says("Three.")])
    with serving(model) as url:
        async with editing(Editor(), home, project, url) as connection:
            session = await begin(connection, project)
            await prompt(connection, session, "say one")
            with pytest.raises(RequestError, match="there is no session"):
                await connection.load_session(
                    cwd=str(project), session_id=session[:8], mcp_servers=[]
                )
            await prompt(connection, session, "say two")
            await connection.resume_session(cwd=str(project), session_id=session)
            assert (await prompt(connection, session, "say three")).stop_reason == "end_turn"
    assert "say one" in str(model.requests[2])


async def test_plan_mode_can_be_chosen_later_and_the_editor_hears_of_it_in_both_places(
    home: Path, project: Path
) -> None:
    model = ScriptedModel([says("Hello."), calls(("ExitPlanMode", {"plan": "x"})), says("Done.")])
    editor = Editor("once")
    with serving(model) as url:
        async with editing(editor, home, project, url) as connection:
            session = await begin(connection, project)
            await prompt(connection, session, "hi")
            await connection.set_session_mode(session_id=session, mode_id="plan")
            await prompt(connection, session, "plan")
    assert "ExitPlanMode" not in str(model.requests[0]["tools"])
    assert "ExitPlanMode" in str(model.requests[1]["tools"])
    modes = [update.current_mode_id for update in editor.updates(schema.CurrentModeUpdate)]
    options = [
        update.config_options[0].current_value
        for update in editor.updates(schema.ConfigOptionUpdate)
    ]
    assert modes == options == ["plan", "default"]


async def test_a_question_of_the_models_is_answered_in_the_editor(
    home: Path, project: Path
) -> None:
    which = {
        "question": "Which one?",
        "options": [{"label": "the left", "description": "it is near"}, {"label": "the right"}],
    }
    editor = Editor("1")
    model = ScriptedModel([calls(("AskUserQuestion", {"questions": [which]})), says("Right.")])
    with serving(model) as url:
        async with editing(editor, home, project, url) as connection:
            await prompt(connection, await begin(connection, project), "choose")
    assert editor.options == {"0": "the left", "1": "the right", "no": "No answer"}
    assert editor.asked[0].title == "Which one?"
    assert "The user answered: the right" in str(model.requests[1]["messages"][-1])
