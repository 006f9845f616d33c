"""Write a canonical fixture's teacher trace from the script beside it.

    python tools/author_fixture.py fixtures/canonical/ID...

`teacher.toml` says what was asked, said and used. Every tool use is done on a copy of the workspace
and every hook its settings declare is run, so that the results in the trace are what really comes
out; only what cannot be done here (the web, MCP servers, other agents' words) is given in the
script. Ids, durations and token counts are made from the fixture's id, so that a trace is written
alike every time.
"""

import argparse
import hashlib
import json
import random
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ccpa import trace
from ccpa.checks import run_checks
from ccpa.consistency import apply_teacher
from ccpa.fixtures import Fixture, load_fixture, materialise, read_trace
from ccpa.layout import BEFORE, TEACHER_TRACE
from ccpa.rerun import Outcome, Workbench, rerun
from ccpa.rerun.hooks import declared, run_hook
from ccpa.rerun.worktree import enter_worktree
from ccpa.workspace import tree_id

CWD = "/workspace"
MODEL = "claude-sonnet-4-6"
VERSION = "2.1.80"
OUTPUT_LIMIT = 30_000
PROMPT_TOKENS = 4100  # of the system prompt and the tools
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
PATH_KEYS = ("file_path", "notebook_path", "path")


class Use(Struct, kw_only=True, forbid_unknown_fields=True):
    """One tool use. `result` stands for what cannot be done here, or was denied."""

    tool: str
    input: dict[str, Any] = {}
    result: str | None = None
    ok: bool = True
    denied_by: trace.DeniedBy | None = None
    step: list["Step"] = []
    """What the subagent did, where the tool starts one."""


class Step(Struct, kw_only=True, forbid_unknown_fields=True):
    """A prompt, an assistant turn, a skill that was put to use, or a compaction."""

    prompt: str | None = None
    think: str | None = None
    say: str | None = None
    use: list[Use] = []
    stop: Literal["end_turn", "max_tokens", "stop_sequence"] = "end_turn"
    skill: dict[str, Any] | None = None
    compaction: dict[str, Any] | None = None


class Script(Struct, kw_only=True, forbid_unknown_fields=True):
    """`teacher.toml`."""

    ts: str
    permission_mode: str | None = None
    resumed: bool = False
    first_turn: int = 0
    context_tokens: int = 0
    """What the context of a resumed session holds before the first prompt."""
    end: trace.SessionStop = "end_turn"
    step: list[Step]


class Author:
    """Plays a script and collects the records."""

    def __init__(self, fixture: Fixture, script: Script, root: Path, home: Path) -> None:
        of = "" if fixture.id != BEFORE else f"{fixture.directory.resolve().parent.name}/"
        self.random = random.Random(of + fixture.id)
        self.start = datetime.fromisoformat(script.ts)
        self.fixture = fixture
        self.script = script
        self.records: list[trace.Record] = []
        self.bench = Workbench(root=root, cwd=CWD, home=home, resumed=self.resumed)
        before = read_trace(fixture.before.teacher_trace) if fixture.before else []
        self.parent_session_id: str | None = None
        if before and isinstance(before[0], trace.SessionStart):
            self.parent_session_id = before[0].session_id
            script.first_turn = max(getattr(record, "turn", 0) for record in before) + 1
        elif script.resumed:
            self.parent_session_id = self.uuid(self.start - timedelta(hours=3))
        self.turns: dict[str | None, int] = {None: script.first_turn - 1}
        self.context: dict[str | None, int] = {None: script.context_tokens * 4}
        self.elapsed = 0
        self.tokens = [0, 0]

    @property
    def resumed(self) -> bool:
        """Whether the session goes on with another."""
        return self.script.resumed or self.fixture.before is not None

    def play(self) -> list[trace.Record]:
        """Return the records of the whole session."""
        settings = self.fixture.settings
        start = trace.SessionStart(
            v=1,
            session_id=self.uuid(self.start),
            ts=self.start.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            actor="claude-code",
            model=MODEL,
            cwd_sha256=tree_id(self.bench.root),
            agent_version=VERSION,
            schema_version=3,
            cwd=CWD,
            permission_mode=self.script.permission_mode or settings.permission_mode or "default",
        )
        start.parent_session_id = self.parent_session_id
        self.records.append(start)
        self.hooks("SessionStart", "resume" if self.resumed else "startup")
        for step in self.script.step:
            self.play_step(step, None)
        self.hooks("SessionEnd", "other")
        self.records.append(
            trace.SessionEnd(
                v=1,
                turn=self.turns[None],
                stop_reason=self.script.end,
                elapsed_ms=self.elapsed,
                tokens_in=self.tokens[0],
                tokens_out=self.tokens[1],
                cwd_sha256_after=tree_id(self.bench.root),
            )
        )
        return self.records

    def play_step(self, step: Step, agent: str | None) -> None:
        """Record one step of the session, or of a subagent."""
        if step.prompt is not None:
            self.turns[None] += 1
            self.records.append(trace.UserPrompt(v=1, turn=self.turns[None], text=step.prompt))
            self.grow(agent, step.prompt)
            self.hooks("UserPromptSubmit", "", prompt=step.prompt)
        elif step.skill is not None:
            self.records.append(trace.SkillInvocation(v=1, turn=self.turns[agent], **step.skill))
        elif step.compaction is not None:
            before = PROMPT_TOKENS + self.context[agent] // 4
            self.records.append(
                trace.Compaction(
                    v=1, turn=self.turns[agent], tokens_before=before, **step.compaction
                )
            )
            self.context[agent] = (step.compaction["tokens_after"] - PROMPT_TOKENS) * 4
        else:
            self.assistant(step, agent)

    def assistant(self, step: Step, agent: str | None) -> None:
        """Record an assistant turn and the results of its tool uses."""
        blocks: list[trace.Block] = []
        if step.think:
            blocks.append(trace.ThinkingBlock(thinking=step.think.strip()))
        if step.say:
            blocks.append(trace.TextBlock(text=step.say.strip()))
        uses = [(use, self.tool_use(use)) for use in step.use]
        blocks += [block for _, block in uses]
        self.turns[agent] += 1
        said = msgspec.json.encode(blocks).decode()
        input_tokens = PROMPT_TOKENS + self.context.get(agent, 0) // 4
        output_tokens = 12 + len(said) // 4
        latency = 700 + output_tokens * 13 + self.random.randrange(400)
        self.elapsed += latency
        self.tokens = [self.tokens[0] + input_tokens, self.tokens[1] + output_tokens]
        cached = 3920 if agent not in self.context else input_tokens - 60
        self.records.append(
            trace.AssistantTurn(
                v=1,
                turn=self.turns[agent],
                blocks=blocks,
                stop_reason="tool_use" if uses else step.stop,
                usage=trace.Usage(
                    input_tokens=input_tokens,
                    output_tokens=output_tokens,
                    cache_read_tokens=min(cached, input_tokens),
                ),
                latency_ms=latency,
                parent_tool_use_id=agent,
            )
        )
        self.grow(agent, said)
        if uses:
            self.turns[agent] += 1
            for use, block in uses:
                self.result(use, block, agent)
        elif step.stop == "end_turn":
            event = "Stop" if agent is None else "SubagentStop"
            if self.hooks(event, "", parent=agent):
                self.turns[agent] += 1  # the model is told why it must go on

    def result(self, use: Use, block: trace.ToolUseBlock, agent: str | None) -> None:
        """Record what one tool use came to, with the hooks before and after it."""
        denied: trace.DeniedBy | None = use.denied_by
        reason = self.hooks("PreToolUse", use.tool, block=block, parent=agent)
        if reason:
            denied = "hook"
        outcome = self.outcome(use, block, agent, denied, reason)
        duration = 12 + self.random.randrange(40) + (180 if use.tool == "Bash" else 0)
        self.elapsed += duration
        content, digest = outcome.content, None
        if len(content) > OUTPUT_LIMIT:
            digest = hashlib.sha256(content.encode()).hexdigest()
            cut = len(content) - OUTPUT_LIMIT
            half = OUTPUT_LIMIT // 2
            content = f"{content[:half]}\n[{cut} characters cut]\n{content[-half:]}"
        effects = trace.SideEffects(
            files_read=list(outcome.files_read),
            files_written=list(outcome.files_written),
            exit_code=outcome.exit_code,
        )
        self.records.append(
            trace.ToolResult(
                v=1,
                turn=self.turns[agent],
                tool_use_id=block.id,
                ok=outcome.ok,
                content=content,
                side_effects=effects if effects != trace.SideEffects() else None,
                duration_ms=duration,
                denied_by=denied,
                parent_tool_use_id=agent,
                content_sha256=digest,
                truncated=True if digest else None,
            )
        )
        self.grow(agent, content)
        if denied is None:
            event = "PostToolUse" if outcome.ok else "PostToolUseFailure"
            self.hooks(event, use.tool, block=block, parent=agent)

    def outcome(
        self,
        use: Use,
        block: trace.ToolUseBlock,
        agent: str | None,
        denied: trace.DeniedBy | None,
        reason: str,
    ) -> Outcome:
        """Do the tool use, or return what the script says it came to."""
        if denied is not None:
            words = {
                "rule": f"Permission to use {use.tool} was denied by a rule.",
                "mode": f"{use.tool} needs permission, and nobody is there to give it.",
                "user": f"The user did not allow this use of {use.tool}.",
                "hook": f"A hook blocked this use of {use.tool}: {reason}",
            }
            return Outcome(ok=False, content=use.result or words[denied])
        if use.step:
            self.turns[block.id] = 0
            self.context[block.id] = len(str(use.input.get("prompt")))
            for step in use.step:
                self.play_step(step, block.id)
            last = next(step.say for step in reversed(use.step) if step.say)
            return Outcome(content=(use.result or "{words}").replace("{words}", last.strip()))
        if use.result is not None:
            return Outcome(ok=use.ok, content=use.result.strip())
        self.bench.agent = agent
        enter_worktree(self.bench, block.input)
        done = rerun(self.bench, use.tool, block.input)
        if done is None:
            sys.exit(f"{self.fixture.id}: {use.tool} cannot be done here: give its result")
        if done.ok != use.ok:
            sys.exit(f"{self.fixture.id}: {use.tool} {block.input}: {done.content}")
        return done

    def hooks(
        self,
        event: str,
        subject: str,
        *,
        block: trace.ToolUseBlock | None = None,
        parent: str | None = None,
        prompt: str = "",
    ) -> str:
        """Run and record what is declared for an event; return why it blocks, if it does."""
        blocked = ""
        for hook in declared(self.bench.root, event, subject):
            given: dict[str, Any] = {
                "session_id": "check",
                "cwd": CWD,
                "hook_event_name": event,
                "prompt": prompt,
            }
            if block is not None:
                given |= {"tool_name": block.name, "tool_input": block.input}
                given["tool_use_id"] = block.id
            done = run_hook(self.bench, hook.command, given)
            decision = {0: "allow", 2: "block"}.get(done.exit_code or 0, "warn")
            if done.exit_code == 0 and _answers_block(done.output):
                decision = "block"
            self.records.append(
                trace.HookEvent(
                    v=1,
                    turn=max(self.turns[parent] - (event == "PreToolUse"), 0),
                    event=event,
                    decision=decision,  # type: ignore[arg-type]
                    exit_code=done.exit_code or 0,
                    matcher=hook.matcher,
                    output=done.output or None,
                    tool_use_id=block.id if block else None,
                    duration_ms=20 + self.random.randrange(60),
                    parent_tool_use_id=parent,
                )
            )
            if decision == "block":
                blocked = done.output
        return blocked

    def tool_use(self, use: Use) -> trace.ToolUseBlock:
        """Return the block for a use, its paths absolute."""
        made = {
            key: f"{CWD}/{value}".removesuffix("/.")
            if key in PATH_KEYS and isinstance(value, str) and not value.startswith("/")
            else value
            for key, value in use.input.items()
        }
        suffix = "".join(self.random.choices(BASE58, k=22))
        return trace.ToolUseBlock(id=f"toolu_01{suffix}", name=use.tool, input=made)

    def grow(self, agent: str | None, text: str) -> None:
        """Count what an agent's context now holds, in characters."""
        self.context[agent] = self.context.get(agent, 0) + len(text)

    def uuid(self, when: datetime) -> str:
        """Return a UUID of version 7 for a time."""
        bits = (int(when.timestamp() * 1000) << 80) | self.random.getrandbits(80)
        bits = bits & ~(0xF << 76) | (0x7 << 76)
        bits = bits & ~(0x3 << 62) | (0x2 << 62)
        text = f"{bits:032x}"
        return "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])


def _answers_block(output: str) -> bool:
    try:
        answer = json.loads(output)
    except ValueError:
        return False
    if not isinstance(answer, dict):
        return False
    decision = answer.get("hookSpecificOutput", {}).get("permissionDecision")
    return answer.get("decision") == "block" or decision == "deny"


def author(directory: Path) -> bool:
    """Write the trace, then check it and the fixture's checks; return whether all is well."""
    if (directory / BEFORE).is_dir() and not author(directory / BEFORE):
        return False
    path = directory / TEACHER_TRACE
    path.touch()
    fixture = load_fixture(directory)
    script = msgspec.toml.decode((directory / "teacher.toml").read_bytes(), type=Script)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch).resolve()
        (place / "home").mkdir()
        materialise(fixture, place / "workspace")
        records = Author(fixture, script, place / "workspace", place / "home").play()
        path.write_bytes(b"".join(trace.encode(record) for record in records))
        materialise(fixture, place / "before")
        replay = apply_teacher(fixture, place / "after")
        words = [
            b.text
            for r in records
            if isinstance(r, trace.AssistantTurn) and r.parent_tool_use_id is None
            for b in r.blocks
            if isinstance(b, trace.TextBlock)
        ]
        before = [result.passed for result in run_checks(fixture, place / "before", "")]
        after = run_checks(fixture, place / "after", words[-1] if words else "")
    failed = [result for result in after if not result.passed]
    for found in [*replay.inconsistencies, *failed]:
        print(f"{fixture.id}: {found}")
    if before and all(before):
        print(f"{fixture.id}: the checks pass on the starting workspace already")
    print(f"{fixture.id}: {len(records)} records, {replay.rerun} rerun, {replay.shape_only}")
    return not replay.inconsistencies and not failed and not (before and all(before))


def main() -> int:
    """Write the traces of the fixtures named; 1 if one of them is not consistent."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("directory", type=Path, nargs="+")
    done = [author(directory) for directory in parser.parse_args().directory]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
