"""`apr acp` as an editor uses it: the protocol's own client, a real process, a scripted model."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from acp import RequestError, helpers, schema, spawn_agent_process
from acp.client import ClientSideConnection

from ccpa.scripted.chaos import Chaos
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import APR, calls, environment, says

READ = calls(("Read", {"file_path": "src/calc.py"}))
FIX = {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}
EDIT = calls(("Edit", FIX), first=2)
FIXED = "def add(a, b):\n    return a + b\n"


class Editor:
    """An editor that remembers what it is told, and answers questions as it is set."""

    def __init__(self, answer: str | None = "once") -> None:
        self.answer = answer
        self.told: list[Any] = []
        self.asked: list[schema.ToolCallUpdate] = []
        self.options: list[str] = []

    async def session_update(self, session_id: str, update: Any, **kwargs: Any) -> None:
        self.told.append(update)

    async def request_permission(
        self, session_id: str, tool_call: Any, options: list[Any], **kwargs: Any
    ) -> schema.RequestPermissionResponse:
        self.asked.append(tool_call)
        self.options = [option.option_id for option in options]
        if self.answer is None:
            return schema.RequestPermissionResponse(
                outcome=schema.DeniedOutcome(outcome="cancelled")
            )
        chosen = schema.AllowedOutcome(outcome="selected", option_id=self.answer)
        return schema.RequestPermissionResponse(outcome=chosen)

    def on_connect(self, conn: Any) -> None:
        pass

    def text(self) -> str:
        """What the agent said."""
        return "".join(
            update.content.text
            for update in self.told
            if isinstance(update, schema.AgentMessageChunk)
        )

    def kinds(self) -> list[str]:
        """What kinds of updates came, one after the other."""
        return [update.session_update for update in self.told]


@asynccontextmanager
async def editing(
    editor: Editor, home: Path, project: Path, url: str, *options: str
) -> AsyncIterator[ClientSideConnection]:
    words = ("acp", "--base-url", url, "--model", "m", *options)
    async with spawn_agent_process(
        editor,  # type: ignore[arg-type]
        APR,
        *words,
        env=environment(home),
        cwd=project,
    ) as (connection, _process):
        await connection.initialize(protocol_version=1)
        yield connection


@pytest.fixture
def url() -> Iterator[str]:
    with serving(ScriptedModel([READ, EDIT, says("Fixed.")])) as url:
        yield url


async def prompt(connection: ClientSideConnection, session: str, text: str) -> Any:
    return await connection.prompt(session_id=session, prompt=[helpers.text_block(text)])


async def test_a_task_is_done_and_the_editor_sees_all_of_it(
    home: Path, project: Path, url: str
) -> None:
    editor = Editor()
    async with editing(editor, home, project, url) as connection:
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
            text = helpers.embedded_text_resource("file:///notes.md", "Buy milk.")
            await connection.prompt(
                session_id=session.session_id,
                prompt=[
                    helpers.text_block("what is in it?"),
                    helpers.resource_block(text),
                    helpers.image_block("aGVsbG8=", "image/png"),
                ],
            )
    assert "Buy milk." in str(model.requests[0])
    assert "data:image/png;base64,aGVsbG8=" in str(model.requests[0])


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
