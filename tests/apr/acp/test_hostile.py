"""Editors that are sloppy, hostile, or gone: what they say ends nothing that is not theirs."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ccpa.scripted.chaos import Chaos
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import APR, apr, calls, environment, says


class Raw:
    """A process of `apr acp`, spoken to in lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._to, self._from = process.stdin, process.stdout

    def say(self, line: bytes | dict[str, Any]) -> None:
        self._to.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")

    def ask(self, request: Any, method: Any, **params: Any) -> None:
        self.say({"jsonrpc": "2.0", "id": request, "method": method, "params": params})

    async def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._from.readline())
        return message

    async def answer(self, request: Any) -> dict[str, Any]:
        """Return the answer to a request; what comes before it is passed over."""
        while "method" in (message := await self.hear()) or message.get("id") != request:
            pass
        return message

    async def until(self, text: str) -> None:
        """Wait for a message that holds a text."""
        while text not in json.dumps(await self.hear()):
            pass

    async def begin(self, project: Path) -> str:
        self.ask("new", "session/new", cwd=str(project), mcpServers=[])
        session: str = (await self.answer("new"))["result"]["sessionId"]
        return session

    def leave(self) -> None:
        self._to.close()

    async def end(self) -> tuple[int, str]:
        """Wait for its end; return its exit code, and what it said on stderr."""
        assert self.process.stderr is not None
        said = await self.process.stderr.read()
        return await self.process.wait(), said.decode()


@asynccontextmanager
async def raw(home: Path, project: Path, url: str, *options: str) -> AsyncIterator[Raw]:
    process = await asyncio.create_subprocess_exec(
        APR,
        "acp",
        "--base-url",
        url,
        "--model",
        "m",
        *options,
        cwd=project,
        env=environment(home),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )
    try:
        yield Raw(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def error(message: dict[str, Any]) -> int:
    code: int = message["error"]["code"]
    return code


async def test_nonsense_is_answered_and_the_session_goes_on(home: Path, project: Path) -> None:
    model = ScriptedModel([says("Hello.")])
    with serving(model) as url:
        async with raw(home, project, url) as editor:
            for line, code in (
                (b"{not json", -32700),
                (b"\xff\xfe", -32700),
                (b"[" * 200_000, -32700),
                (b"42", -32600),
                (b"[]", -32600),
                (b'{"id": {"a": 1}, "method": "initialize"}', -32600),
                (b'{"id": 1, "method": ["initialize"]}', -32600),
            ):
                editor.say(line)
                assert error(await editor.hear()) == code
            editor.say(b'{"id": 77, "result": {}}')  # ids that we never used
            editor.say(b'{"id": "x", "error": "no"}')
            editor.say({"method": "no/such/notification"})
            editor.say({"method": "session/cancel", "params": {"sessionId": "nobody"}})
            editor.say({"method": "session/cancel", "params": 7})
            wrong: tuple[tuple[str, dict[str, Any], int], ...] = (
                ("no/such/method", {}, -32601),
                ("_ours/own", {}, -32601),
                ("session/prompt", {"sessionId": "nobody", "prompt": []}, -32602),
                ("session/prompt", {"sessionId": 5}, -32602),
                ("session/new", {"cwd": "relative", "mcpServers": []}, -32602),
                ("session/new", {"cwd": "/a\0b", "mcpServers": []}, -32602),
                (
                    "session/new",
                    {"cwd": str(project), "additionalDirectories": ["/a\0b"], "mcpServers": []},
                    -32602,
                ),
                ("session/load", {"cwd": str(project), "mcpServers": []}, -32602),
                (
                    "session/load",
                    {"cwd": str(project), "sessionId": "../../x", "mcpServers": []},
                    -32602,
                ),
                ("session/set_mode", {"sessionId": "nobody", "modeId": "plan"}, -32602),
                ("session/close", {"sessionId": "nobody"}, -32602),
                ("session/list", {"cwd": "/nowhere/at/all"}, -32602),
            )
            for number, (method, params, code) in enumerate(wrong, start=100):
                editor.ask(number, method, **params)
                answer = await editor.answer(number)
                assert (method, params, answer.get("error", {}).get("code")) == (
                    method,
                    params,
                    code,
                )
            editor.ask("big", "session/prompt", sessionId=["x" * 2_000_000], prompt=[])
            assert len(json.dumps(await editor.answer("big"))) < 10_000
            editor.ask("gone", "session/delete", sessionId="../../etc/passwd")
            assert "result" in await editor.answer("gone")
            session = await editor.begin(project)
            editor.ask(1, "session/prompt", sessionId=session, prompt=[_text("hello")])
            assert (await editor.answer(1))["result"]["stopReason"] == "end_turn"
            editor.leave()
            status, log = await editor.end()
            assert status == 0
            (told,) = log.splitlines()  # of the one notification that nobody is told of
            assert "session/cancel" in told


async def test_a_long_message_is_taken_and_one_without_end_is_not(
    home: Path, project: Path
) -> None:
    model = ScriptedModel([says("That was long.")])
    with serving(model) as url:
        async with raw(home, project, url) as editor:
            session = await editor.begin(project)
            long = _text("x" * 3_000_000)
            editor.ask(1, "session/prompt", sessionId=session, prompt=[long])
            assert (await editor.answer(1))["result"]["stopReason"] == "end_turn"
            editor.say(b"x" * (65 << 20))
            assert error(await editor.answer(None)) == -32600
            assert (await editor.end())[0] == 0


@pytest.mark.parametrize("how", ["leaves", "hears no more", "is asked", "terminates us"])
async def test_work_ends_in_order_when_the_editor_is_gone(
    home: Path, project: Path, how: str
) -> None:
    command = {"command": "echo $$ > pid; echo begun; exec sleep 600"}
    mode = "default" if how == "is asked" else "bypassPermissions"
    with serving(ScriptedModel([calls(("Bash", command)), says("Never said.")])) as url:
        async with raw(home, project, url, "--permission-mode", mode) as editor:
            session = await editor.begin(project)
            editor.ask(1, "session/prompt", sessionId=session, prompt=[_text("wait")])
            await editor.until("request_permission" if how == "is asked" else '"begun')
            if how == "terminates us":
                editor.process.send_signal(signal.SIGTERM)
            elif how == "hears no more":
                transport = editor.process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
                transport.close()
                editor.ask(2, "no/such/method")
            else:
                editor.leave()
            code, said = await editor.end()
    assert (code, said) == (0, "")
    if how != "is asked":
        with pytest.raises(ProcessLookupError):
            os.kill(int((project / "pid").read_text()), 0)
    stored = json.loads(apr("sessions", "list", "--json", home=home, cwd=project).stdout)
    assert [one["id"] for one in stored] == [session]
    shown = apr("sessions", "show", session, home=home, cwd=project).stdout
    assert "wait" in shown


async def test_an_editor_that_leaves_while_the_model_thinks_waits_for_nothing(
    home: Path, project: Path
) -> None:
    model = ScriptedModel([says("Never said.")], chaos=[Chaos(on_request=1, latency_s=600)])
    with serving(model) as url:
        async with raw(home, project, url) as editor:
            session = await editor.begin(project)
            editor.ask(1, "session/prompt", sessionId=session, prompt=[_text("think")])
            while not model.requests:
                await asyncio.sleep(0.01)
            editor.leave()
            assert await editor.end() == (0, "")


def test_messages_may_come_from_a_file_and_are_answered_all_the_same(
    home: Path, project: Path
) -> None:
    (home / "messages").write_text(
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":1}}\n'
        '{"jsonrpc":"2.0","id":2,"method":"no/such/method"}'
    )
    with (home / "messages").open() as messages, (home / "answers").open("w") as answers:
        ran = subprocess.run(
            [APR, "acp", "--model", "demo"],
            cwd=project,
            env=environment(home),
            stdin=messages,
            stdout=answers,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (0, b"")
    heard = [json.loads(line) for line in (home / "answers").read_text().splitlines()]
    assert {one["id"]: "result" in one for one in heard} == {1: True, 2: False}


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
