"""Playing one fixture: its workspace, the agent, and a model that says what is recorded.

Recordings live in a directory such as `/workspace`. In a sandbox the copy of the workspace lies
just there. Elsewhere it lies in the scratch directory; then the model speaks of that, and the
student's trace is put back in terms of the recording. The scratch directory itself, which holds
the agent's home, is called `/scratch` in it.

A session that goes on with an earlier one is played after that, in the same places.
"""

import json
import time
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from ccpa import trace
from ccpa.agents.base import Agent, Task, Unsuited
from ccpa.endstate import same_files
from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, FixtureError, materialise, read_trace
from ccpa.layout import BEFORE, STUDENT_TRACE
from ccpa.person import Person
from ccpa.record.recording import Recording, Subject
from ccpa.record.start import names_of
from ccpa.replay.pace import paced
from ccpa.replay.web import PORTS, SEARCH_URL, hosts, recorded_web
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
        same_files: whether the files are as recorded in the end; None where that is not recorded.
        calls: calls to the model that are too many or too few.
        attempts: what it tried to reach besides the model.
        status: the agent's exit status; None if time ran out.
        stderr: the end of what it said there.
        elapsed_s: from the start of the process to its end.
        before: the session before this one, where the fixture has one.
    """

    student: bytes
    same_files: bool | None
    calls: list[Finding]
    attempts: list[Attempt]
    status: int | None
    stderr: str
    elapsed_s: float
    before: "Played | None" = None


class _Stage(Struct, frozen=True, kw_only=True):
    """Where sessions are played: directories outside, and the workspace as the agent sees it."""

    scratch: Path
    files: Path
    home: Path
    here: str
    sandboxed: bool
    timeout_s: float


def play(
    fixture: Fixture, agent: Agent, scratch: Path, *, sandboxed: bool, timeout_s: float = TIMEOUT_S
) -> Played:
    """Play a fixture once. It leaves `workspace/`, `home/` and the trace in `scratch`.

    Raises:
        Unsuited: the agent cannot be given such a fixture, or not here.
        CcpaError: the fixture cannot be used, or the agent cannot be started at all.
    """
    cwd = _recorded_cwd(fixture, read_trace(fixture.teacher_trace))
    scratch = scratch.resolve()
    files = scratch / "workspace"
    stage = _Stage(
        scratch=scratch,
        files=files,
        home=scratch / "home",
        here=cwd if sandboxed and can_stand(cwd) else str(files),
        sandboxed=sandboxed,
        timeout_s=timeout_s,
    )
    materialise(fixture.before or fixture, files)
    stage.home.mkdir()
    if fixture.before is None:
        return _session(fixture, agent, stage, scratch)
    earlier = scratch / BEFORE
    earlier.mkdir()
    return _session(fixture, agent, stage, scratch, _session(fixture.before, agent, stage, earlier))


def _session(
    fixture: Fixture, agent: Agent, stage: _Stage, leave: Path, before: Played | None = None
) -> Played:
    """Play a session on the files as they are; leave its trace and output in a directory."""
    recorded = read_trace(fixture.teacher_trace)
    cwd, student = _recorded_cwd(fixture, recorded), leave / STUDENT_TRACE
    streams = Streams(leave / "stdout", leave / "stderr")
    place = _place(fixture, stage, leave / "sandbox", streams)
    script = Script.from_trace(recorded)
    if fixture.before is not None:
        script = script.after(Script.from_trace(read_trace(fixture.before.teacher_trace)))
    paths = {} if stage.here == cwd else {cwd: stage.here}
    model = ScriptedModel(script, adaptation=Adaptation(tools=agent.tools, paths=paths))
    prompts = tuple(r.text for r in recorded if isinstance(r, trace.UserPrompt))
    handler = paced(model, script, place)
    recording = None
    if not agent.writes_trace:
        recording = Recording(_subject(agent, stage, student, prompts), handler, _warn)
        handler = recording.recorder
    with place, ExitStack() as served:
        base_url = served.enter_context(serving(handler, listener=place.listener))
        certificate = None
        if fixture.web is not None and isinstance(place, Sandbox):
            met = recorded_web(fixture.web, place, leave)
            certificate = served.enter_context(met)
        command = agent.command(
            Task(
                prompts=prompts,
                cwd=stage.here,
                home=stage.home,
                trace=student,
                base_url=base_url,
                model="scripted",
                settings=fixture.settings,
                person=Person.of(recorded) if fixture.settings.person else None,
                goes_on=before is not None,
                search_url=SEARCH_URL if fixture.web is not None else None,
                certificate=certificate,
            )
        )
        for path, text in command.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        started = time.perf_counter()
        status = place.run(
            command.argv, command.environment, timeout_s=stage.timeout_s, talk=command.talk
        )
        elapsed = time.perf_counter() - started
        attempts = place.attempts()
    if recording is not None:
        recording.close(status)
    names = {stage.here: cwd, str(stage.scratch): _SCRATCH}
    names |= {actual: told for told, actual in model.named.items()}
    return Played(
        student=_in_terms_of_recording(student, names),
        same_files=same_files(fixture, stage.files, leave / "sandbox" / "teacher"),
        calls=model.findings(),
        attempts=attempts + (before.attempts if before else []),
        status=status,
        stderr=streams.stderr.read_bytes()[-_DETAIL:].decode("utf-8", "replace"),
        elapsed_s=elapsed,
        before=before,
    )


def _subject(agent: Agent, stage: _Stage, student: Path, prompts: tuple[str, ...]) -> Subject:
    return Subject(
        actor=agent.name,
        files=stage.files,
        cwd=stage.here,
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


def _place(fixture: Fixture, stage: _Stage, scratch: Path, streams: Streams) -> Place:
    managed, web = fixture.settings.managed, fixture.web
    if not stage.sandboxed:
        for what, given in (("managed policy", managed), ("recorded web", web)):
            if given is not None:
                raise Unsuited(f"its {what} can be put in place only inside a sandbox")
        return Unconfined(Path(stage.here), streams)
    policy = {} if managed is None else dict.fromkeys(_POLICIES, json.dumps(managed))
    binds = {} if stage.here == str(stage.files) else {stage.files: stage.here}
    names = () if web is None else hosts(web)
    ports = () if web is None else PORTS
    return Sandbox(scratch, stage.here, streams, binds=binds, etc=policy, hosts=names, ports=ports)


def _recorded_cwd(fixture: Fixture, recorded: list[trace.Record]) -> str:
    start = recorded[0] if recorded else None
    if not isinstance(start, trace.SessionStart) or start.cwd is None:
        raise FixtureError(
            f"{fixture.teacher_trace}:1: no session_start with a cwd; it cannot be replayed"
        )
    return start.cwd


def _in_terms_of_recording(student: Path, names: dict[str, str]) -> bytes:
    """Replace, in the file too, what this run called by other names: none needs escapes in JSON."""
    try:
        data = student.read_bytes()
    except FileNotFoundError:
        return b""
    for actual, recorded in names.items():
        data = data.replace(actual.encode(), recorded.encode())
    student.write_bytes(data)
    return data
