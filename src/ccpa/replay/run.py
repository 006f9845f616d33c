"""Playing one fixture: its workspace, the agent, and a model that says what is recorded.

Recordings live in a directory such as `/workspace`. In a sandbox the copy of the workspace lies
just there. Elsewhere it lies in the scratch directory; then the model speaks of that, and the
student's trace is put back in terms of the recording.
"""

import json
import time
from pathlib import Path

from msgspec import Struct

from ccpa import trace, workspace
from ccpa.agents.base import Agent, Task
from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, FixtureError, materialise, read_trace
from ccpa.replay.pace import paced
from ccpa.sandbox import Attempt, Place, Sandbox, Streams, Unconfined
from ccpa.scripted.adapt import Adaptation
from ccpa.scripted.play import Finding
from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving

STUDENT_TRACE = "student.ccpa-trace.jsonl"
TIMEOUT_S = 120.0
_DETAIL = 1000


class NotReplayable(CcpaError):
    """The agent cannot be given this fixture at all; the message says what it lacks."""


class Played(Struct, frozen=True, kw_only=True):
    """What a run came to.

    Args:
        student: the trace, in terms of the recording: JSON Lines.
        tree_id: of the files in the end.
        calls: calls to the model that are too many or too few.
        attempts: what it tried to reach besides the model.
        status: the agent's exit status; None if time ran out.
        stderr: the end of what it said there.
        elapsed_s: from the start of the process to its end.
    """

    student: bytes
    tree_id: str
    calls: list[Finding]
    attempts: list[Attempt]
    status: int | None
    stderr: str
    elapsed_s: float


def play(
    fixture: Fixture, agent: Agent, scratch: Path, *, sandboxed: bool, timeout_s: float = TIMEOUT_S
) -> Played:
    """Play a fixture once. It leaves `workspace/`, `home/` and the trace in `scratch`.

    Raises:
        NotReplayable: the agent cannot be started on it.
        CcpaError: the fixture cannot be used.
    """
    recorded = read_trace(fixture.teacher_trace)
    cwd = _recorded_cwd(fixture, recorded)
    scratch = scratch.resolve()
    files, home = scratch / "workspace", scratch / "home"
    materialise(fixture, files)
    home.mkdir()
    here = cwd if sandboxed and can_stand(cwd) else str(files)
    streams = Streams(scratch / "stdout", scratch / "stderr")
    place: Place
    if sandboxed:
        binds = {files: cwd} if here == cwd else {}
        place = Sandbox(scratch / "sandbox", here, streams, binds=binds, etc=_policy(fixture))
    elif fixture.settings.managed is not None:
        raise NotReplayable("its managed policy can be put in place only inside a sandbox")
    else:
        place = Unconfined(files, streams)
    adaptation = Adaptation(tools=agent.tools, paths={} if here == cwd else {cwd: here})
    model = ScriptedModel(Script.from_trace(recorded), adaptation=adaptation)
    student = scratch / STUDENT_TRACE
    handler = paced(model, place) if _in_background(recorded) else model
    with place, serving(handler, listener=place.listener) as base_url:
        try:
            command = agent.command(
                Task(
                    prompts=tuple(r.text for r in recorded if isinstance(r, trace.UserPrompt)),
                    cwd=here,
                    home=home,
                    trace=student,
                    base_url=base_url,
                    model="scripted",
                    settings=fixture.settings,
                )
            )
        except CcpaError as error:
            raise NotReplayable(str(error)) from None
        for path, text in command.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        started = time.perf_counter()
        status = place.run(command.argv, command.environment, timeout_s=timeout_s)
        elapsed = time.perf_counter() - started
        attempts = place.attempts()
    return Played(
        student=_in_terms_of_recording(student, here, cwd),
        tree_id=workspace.tree_id(files),
        calls=model.findings(),
        attempts=attempts,
        status=status,
        stderr=streams.stderr.read_bytes()[-_DETAIL:].decode("utf-8", "replace"),
        elapsed_s=elapsed,
    )


def can_stand(path: str) -> bool:
    """Say whether a directory can be put at this path of a sandbox (see `Sandbox`)."""
    top = Path(*Path(path).parts[:2])
    return Path(path).is_dir() or not (top.exists() or top.is_symlink())


def _recorded_cwd(fixture: Fixture, recorded: list[trace.Record]) -> str:
    start = recorded[0] if recorded else None
    if not isinstance(start, trace.SessionStart) or start.cwd is None:
        raise FixtureError(
            f"{fixture.teacher_trace}:1: no session_start with a cwd; it cannot be replayed"
        )
    return start.cwd


def _in_background(recorded: list[trace.Record]) -> bool:
    return any(
        isinstance(block, trace.ToolUseBlock) and block.input.get("run_in_background")
        for record in recorded
        if isinstance(record, trace.AssistantTurn)
        for block in record.blocks
    )


def _policy(fixture: Fixture) -> dict[str, str]:
    managed = fixture.settings.managed
    if managed is None:
        return {}
    text = json.dumps(managed)
    return {"claude-code/managed-settings.json": text, "apr/managed-settings.json": text}


def _in_terms_of_recording(student: Path, here: str, cwd: str) -> bytes:
    try:
        data = student.read_bytes()
    except FileNotFoundError:
        return b""
    return data if here == cwd else data.replace(here.encode(), cwd.encode())
