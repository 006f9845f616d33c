"""Could the teacher's trace have happened? Its tool uses are done again on the fixture's workspace.

Every result is held against what the tool comes to here: contents exactly, searches as sets, the
words around an edit not at all. What cannot be done again (the web, other agents, MCP servers) is
checked for shape, and counted apart. Commands of the trace and hooks of the workspace are really
run, in a scratch copy but not in a sandbox: only for corpora that one trusts.
"""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from ccpa import trace
from ccpa.fixtures import Fixture, materialise, read_trace
from ccpa.rerun import Outcome, Workbench, rerun
from ccpa.rerun.compare import differs
from ccpa.rerun.hooks import Settings, declared, project_settings, run_hook
from ccpa.rerun.worktree import enter_worktree
from ccpa.workspace import tree_id

DEFAULT_CWD = "/workspace"
"""Where a session is taken to have run if its trace does not say."""


class Inconsistency(Struct, frozen=True, kw_only=True):
    """Something in a trace that could not have happened. `record` counts from 1, as lines do."""

    record: int
    tool: str
    problem: str


class Replay(Struct, kw_only=True):
    """What came of doing a trace's tool uses again."""

    inconsistencies: list[Inconsistency] = field(default_factory=list)
    rerun: int = 0
    """Results that were produced again and compared."""
    shape_only: dict[str, int] = field(default_factory=dict)
    """Results that could only be looked at, by tool."""


def check_teacher(fixture: Fixture) -> list[Inconsistency]:
    """Return everything in the teacher's trace that could not have happened on the workspace.

    Raises:
        FixtureError: the trace cannot be read or the workspace cannot be set up.
    """
    return replay_teacher(fixture).inconsistencies


def replay_teacher(fixture: Fixture) -> Replay:
    """Do the teacher's tool uses again; a fixture without a workspace has nothing to do it on.

    Raises:
        FixtureError: the trace cannot be read or the workspace cannot be set up.
    """
    if fixture.workspace is None:
        return Replay()
    with tempfile.TemporaryDirectory(prefix="ccpa-check-") as scratch:
        return apply_teacher(fixture, Path(scratch) / "workspace")


def apply_teacher(fixture: Fixture, destination: Path) -> Replay:
    """Set up the workspace at `destination`, which must not exist, and do the tool uses there.

    Raises:
        FixtureError: as `replay_teacher`, or there is no workspace.
    """
    records = read_trace(fixture.teacher_trace)
    materialise(fixture, destination)
    with tempfile.TemporaryDirectory(prefix="ccpa-home-") as home:
        checker = _Checker(fixture, records, destination.resolve(), Path(home).resolve())
        for number, record in enumerate(records, start=1):
            checker.check(number, record)
    if fixture.before is not None:
        checker.replay.inconsistencies += _before(fixture.before, records)
    return checker.replay


def _before(earlier: Fixture, records: list[trace.Record]) -> list[Inconsistency]:
    """Return what is wrong with the session that another goes on with."""
    replay = replay_teacher(earlier)
    found = [
        Inconsistency(record=one.record, tool=one.tool, problem=f"before: {one.problem}")
        for one in replay.inconsistencies
    ]
    first, last = read_trace(earlier.teacher_trace), records
    turns = [turn for record in first if (turn := getattr(record, "turn", None)) is not None]
    prompt = next((record for record in last if isinstance(record, trace.UserPrompt)), None)
    facts: dict[str, list[object]] = {
        "turn": [max(turns, default=-1) + 1, prompt.turn if prompt else None],
        "parent_session_id": [_field(first, "session_id", 0), _field(last, "parent_session_id", 0)],
        "cwd": [_field(first, "cwd", 0), _field(last, "cwd", 0)],
        "cwd_sha256": [_field(first, "cwd_sha256_after", -1), _field(last, "cwd_sha256", 0)],
    }
    for name, (there, here) in facts.items():
        if there != here:
            problem = f"{name}: {here}, but by the session before it is {there}"
            found.append(Inconsistency(record=1, tool="session_start", problem=problem))
    return found


def _field(records: list[trace.Record], name: str, at: int) -> object:
    return getattr(records[at], name, None) if records else None


class _Checker:
    def __init__(
        self, fixture: Fixture, records: list[trace.Record], root: Path, home: Path
    ) -> None:
        start = next((r for r in records if isinstance(r, trace.SessionStart)), None)
        self.fixture = fixture
        self.replay = Replay()
        self.uses: dict[str, trace.ToolUseBlock] = {}
        self.blocked: set[str | None] = set()
        self.prompt = ""
        self.last_words: dict[str | None, str] = {}
        self.bench = Workbench(
            root=root,
            home=home,
            cwd=(start.cwd if start else None) or DEFAULT_CWD,
            resumed=bool(start and start.parent_session_id),
        )

    def check(self, number: int, record: trace.Record) -> None:
        """Take in one record; add what is wrong with it to the replay."""
        problem: str | None = None
        tool = record.__struct_config__.tag
        if isinstance(record, trace.SessionStart):
            problem = self._tree(record.cwd_sha256, "starts from")
        elif isinstance(record, trace.UserPrompt):
            self.prompt = record.text
        elif isinstance(record, trace.AssistantTurn):
            self._assistant(record)
        elif isinstance(record, trace.HookEvent):
            problem = self._hook(record)
        elif isinstance(record, trace.ToolResult):
            use = self.uses.get(record.tool_use_id)
            tool = use.name if use else tool
            problem = self._result(use, record) if use else "answers no tool use"
        elif isinstance(record, trace.SessionEnd) and record.cwd_sha256_after is not None:
            problem = self._tree(record.cwd_sha256_after, "ends with")
        if problem is not None:
            found = Inconsistency(record=number, tool=str(tool), problem=problem)
            self.replay.inconsistencies.append(found)

    def _tree(self, claimed: str, verb: str) -> str | None:
        actual = tree_id(self.bench.root)
        return None if claimed == actual else f"{verb} tree {claimed}, but the files are {actual}"

    def _assistant(self, record: trace.AssistantTurn) -> None:
        for block in record.blocks:
            if isinstance(block, trace.ToolUseBlock):
                self.uses[block.id] = block
            elif isinstance(block, trace.TextBlock):
                self.last_words[record.parent_tool_use_id] = block.text

    def _hook(self, record: trace.HookEvent) -> str | None:
        use = self.uses.get(record.tool_use_id or "")
        if record.decision == "block":
            self.blocked.add(record.tool_use_id)
        subject = use.name if use else None
        hooks = declared(self.bench.root, record.event, subject)
        hooks = [hook for hook in hooks if hook.matcher == record.matcher]
        if not hooks:
            return f"no hook is declared for {record.event} with matcher {record.matcher!r}"
        given: dict[str, Any] = {
            "session_id": "check",
            "cwd": self.bench.cwd,
            "hook_event_name": record.event,
            "prompt": self.prompt,
        }
        if use is not None:
            given |= {"tool_name": use.name, "tool_input": use.input, "tool_use_id": use.id}
        outcomes = [run_hook(self.bench, hook.command, given) for hook in hooks]
        wanted = (record.exit_code, (record.output or "").strip())
        if any((done.exit_code, done.output) == wanted for done in outcomes):
            return None
        done = outcomes[0]
        return f"the hook exits {done.exit_code} and says {done.output!r}, not {wanted}"

    def _result(self, use: trace.ToolUseBlock, record: trace.ToolResult) -> str | None:
        if record.denied_by is not None:
            self._count("denied")
            return self._denied(use, record)
        self.bench.agent = record.parent_tool_use_id
        enter_worktree(self.bench, use.input)
        outcome = rerun(self.bench, use.name, use.input)
        if outcome is None:
            self._count(use.name)
            return self._shape(use, record)
        self.replay.rerun += 1
        return _effects(record, outcome) or differs(self.bench, record, outcome)

    def _count(self, name: str) -> None:
        self.replay.shape_only[name] = self.replay.shape_only.get(name, 0) + 1

    def _shape(self, use: trace.ToolUseBlock, record: trace.ToolResult) -> str | None:
        if not record.content.strip():
            return "the result is empty"
        words = self.last_words.get(use.id)
        if words is not None and record.ok and words not in record.content:
            return f"the result does not hold the subagent's last words, {words!r}"
        return None

    def _denied(self, use: trace.ToolUseBlock, record: trace.ToolResult) -> str | None:
        if record.ok:
            return "a denied tool use cannot have gone well"
        if record.denied_by == "hook" and use.id not in self.blocked:
            return "denied by a hook, but no hook blocked this tool use"
        if record.denied_by == "rule" and use.name not in self._denied_tools():
            return f"denied by a rule, but no settings have a rule that denies {use.name}"
        return None

    def _denied_tools(self) -> set[str]:
        found = project_settings(self.bench.root)
        with suppress(msgspec.ValidationError):
            found.append(msgspec.convert(self.fixture.settings.managed or {}, Settings))
        rules = [rule for settings in found for rule in settings.permissions.deny]
        return {rule.partition("(")[0] for rule in (*rules, *self.fixture.settings.deny)}


def _effects(record: trace.ToolResult, outcome: Outcome) -> str | None:
    """Compare what the record says was done with what was done."""
    if record.ok != outcome.ok:
        said = "went well" if record.ok else "failed"
        return f"the result says that it {said}, but: {outcome.content}"
    effects = record.side_effects
    if effects is None:
        return None
    if effects.exit_code is not None and effects.exit_code != outcome.exit_code:
        return f"the exit code is {outcome.exit_code}, not {effects.exit_code}"
    if outcome.exit_code is not None:
        return None  # what a command reads and writes is for each agent to find out as it can
    for what, recorded, actual in (
        ("read", effects.files_read, outcome.files_read),
        ("written", effects.files_written, outcome.files_written),
    ):
        if recorded and tuple(recorded) != actual:
            return f"files {what}: {list(actual)}, not {recorded}"
    return None
