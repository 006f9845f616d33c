"""Playing one fixture: its workspace, the agent, and a model that says what is recorded.

Recordings live in a directory such as `/workspace`. In a sandbox the copy of the workspace lies
just there. Elsewhere it lies in the scratch directory; then the model speaks of that, and the
student's trace is put back in terms of the recording. The scratch directory itself, which holds
the agent's home, is called `/scratch` in it.
"""

import json
import time
from pathlib import Path

from msgspec import Struct

from ccpa import trace, workspace
from ccpa.agents.base import Agent, Task, Unsuited
from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, FixtureError, materialise, read_trace
from ccpa.layout import STUDENT_TRACE
from ccpa.record.recording import Recording, Subject
from ccpa.record.start import names_of
from ccpa.replay.pace import paced
from ccpa.sandbox import Attempt, Place, Sandbox, Streams, Unconfined
from ccpa.scripted.adapt import Adaptation
from ccpa.scripted.play import Finding
from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving

TIMEOUT_S = 120.0
_DETAIL = 1000
_SCRATCH = "/scratch"
_POLICIES = ("claude-code/managed-settings.json", "apr/managed-settings.json")  # in /etc


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
        Unsuited: the agent cannot be given such a fixture, or not here.
        CcpaError: the fixture cannot be used, or the agent cannot be started at all.
    """
    recorded = read_trace(fixture.teacher_trace)
    cwd = _recorded_cwd(fixture, recorded)
    scratch = scratch.resolve()
    files, home, student = scratch / "workspace", scratch / "home", scratch / STUDENT_TRACE
    materialise(fixture, files)
    home.mkdir()
    here = cwd if sandboxed and can_stand(cwd) else str(files)
    streams = Streams(scratch / "stdout", scratch / "stderr")
    place = (
        _place(fixture, files, here, streams) if sandboxed else _no_place(fixture, here, streams)
    )
    adaptation = Adaptation(tools=agent.tools, paths={} if here == cwd else {cwd: here})
    script = Script.from_trace(recorded)
    model = ScriptedModel(script, adaptation=adaptation)
    prompts = tuple(r.text for r in recorded if isinstance(r, trace.UserPrompt))
    handler = paced(model, script, place)
    recording = None
    if not agent.writes_trace:
        recording = Recording(_subject(agent, files, here, student, prompts), handler, _warn)
        handler = recording.recorder
    with place, serving(handler, listener=place.listener) as base_url:
        command = agent.command(
            Task(
                prompts=prompts,
                cwd=here,
                home=home,
                trace=student,
                base_url=base_url,
                model="scripted",
                settings=fixture.settings,
            )
        )
        for path, text in command.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        started = time.perf_counter()
        status = place.run(command.argv, command.environment, timeout_s=timeout_s)
        elapsed = time.perf_counter() - started
        attempts = place.attempts()
    if recording is not None:
        recording.close(status)
    return Played(
        student=_in_terms_of_recording(student, here, cwd),
        tree_id=workspace.tree_id(files),
        calls=model.findings(),
        attempts=attempts,
        status=status,
        stderr=streams.stderr.read_bytes()[-_DETAIL:].decode("utf-8", "replace"),
        elapsed_s=elapsed,
    )


def _subject(
    agent: Agent, files: Path, here: str, student: Path, prompts: tuple[str, ...]
) -> Subject:
    return Subject(
        actor=agent.name,
        files=files,
        cwd=here,
        output=student,
        arguments=prompts,
        names=names_of(agent),
    )


def _warn(problem: str) -> None:
    raise CcpaError(problem)


def can_stand(path: str) -> bool:
    """Say whether a directory can be put at this path of a sandbox (see `Sandbox`).

    It can where nothing of the machine is hidden by it: its first segment is not there, or it is
    an empty directory. A recording may name any path, and not all of them are meant well.
    """
    place = Path(path)
    if not place.is_absolute() or len(place.parts) < 2 or ".." in place.parts:
        return False
    top = Path(*place.parts[:2])
    if not (top.exists() or top.is_symlink()):
        return True
    try:
        return place.resolve() == place and not any(place.iterdir())
    except OSError:
        return False


def _place(fixture: Fixture, files: Path, here: str, streams: Streams) -> Place:
    managed = fixture.settings.managed
    policy = {} if managed is None else dict.fromkeys(_POLICIES, json.dumps(managed))
    binds = {} if here == str(files) else {files: here}
    return Sandbox(files.parent / "sandbox", here, streams, binds=binds, etc=policy)


def _no_place(fixture: Fixture, here: str, streams: Streams) -> Place:
    if fixture.settings.managed is not None:
        raise Unsuited("its managed policy can be put in place only inside a sandbox")
    return Unconfined(Path(here), streams)


def _recorded_cwd(fixture: Fixture, recorded: list[trace.Record]) -> str:
    start = recorded[0] if recorded else None
    if not isinstance(start, trace.SessionStart) or start.cwd is None:
        raise FixtureError(
            f"{fixture.teacher_trace}:1: no session_start with a cwd; it cannot be replayed"
        )
    return start.cwd


def _in_terms_of_recording(student: Path, here: str, cwd: str) -> bytes:
    """Replace, in the file too, the places of this run: neither needs escapes in JSON."""
    try:
        data = student.read_bytes()
    except FileNotFoundError:
        return b""
    for place, name in ((here, cwd), (str(student.parent), _SCRATCH)):
        data = data.replace(place.encode(), name.encode())
    student.write_bytes(data)
    return data
