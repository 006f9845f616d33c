"""What `claude -p --output-format stream-json --verbose` prints, and any agent that prints alike.

One stream is one session, of one prompt or, with `--input-format stream-json`, of several. Prompts
are in it only where the agent was told to repeat them (`--replay-user-messages`).
"""

from typing import Any

from ccpa.importers import claude_messages, claude_results
from ccpa.importers.notes import Notes
from ccpa.importers.reading import Source, json_lines
from ccpa.importers.session import NO_PROMPT, About, Imported, Session
from ccpa.importers.values import (
    JsonObject,
    count,
    exit_code,
    obj,
    objects,
    rendered,
    text,
    utc_time,
)
from ccpa.trace import SessionStop

_SILENT = frozenset(
    {
        "stream_event",
        "control_request",
        "control_response",
        "control_cancel_request",
        "keep_alive",
        "rate_limit_event",
        "tool_progress",
        "tool_use_summary",
        "auth_status",
        "prompt_suggestion",
    }
)
"""Types of lines that hold nothing a trace has a place for."""


def read(source: Source, notes: Notes) -> list[Imported]:
    """Read the session of one stream. Raises `OSError` where it cannot be read."""
    lines = claude_messages.joined(list(json_lines(source.stream, notes)))
    session = Session(_about(lines), notes)
    teller = _Teller(session, notes, lines)
    for line in lines:
        teller.tell(line)
    teller.end()
    return [session.finish()]


def _about(lines: list[JsonObject]) -> About:
    starts = (line for line in lines if line.get("subtype") == "init")
    start = next(starts, {})
    times = (utc_time(line.get("timestamp")) for line in lines)
    ids = (text(line.get("session_id")) for line in lines)
    return About(
        actor="claude-code",
        original_id=next((one for one in ids if one), None),
        ts=next((time for time in times if time), None),
        model=text(start.get("model")),
        agent_version=text(start.get("claude_code_version")),
        cwd=text(start.get("cwd")),
        permission_mode=text(start.get("permissionMode")),
    )


class _Teller:
    def __init__(self, session: Session, notes: Notes, lines: list[JsonObject]) -> None:
        self.session = session
        self.notes = notes
        self.prompted = False
        self.outcome: JsonObject | None = None
        self.denied = {
            text(denial.get("tool_use_id"))
            for line in lines
            if line.get("type") == "result"
            for denial in objects(line.get("permission_denials"))
        }

    def tell(self, line: JsonObject) -> None:
        parent = text(line.get("parent_tool_use_id"))
        match text(line.get("type")):
            case "assistant":
                self._answer(line, parent)
            case "user":
                self._user(line, parent)
            case "system":
                self._system(line)
            case "result":
                self.outcome = line
                self.prompted = False
            case kind if kind not in _SILENT:
                self.notes.meet("line", kind)

    def end(self) -> None:
        """End the session where the stream does: after its last `result`."""
        line = self.outcome
        if line is None:
            return
        subtype = text(line.get("subtype")) or "result"
        failed = line.get("is_error") is True or subtype.startswith("error")
        stop: SessionStop = "error" if failed else "end_turn"
        reason = text(line.get("result")) if subtype == "success" else None
        usage = claude_messages.usage(line.get("usage"))
        cost: Any = line.get("total_cost_usd")
        self.session.end(
            stop,
            elapsed_ms=count(line.get("duration_ms")),
            tokens_in=usage and usage.input_tokens,
            tokens_out=usage and usage.output_tokens,
            error=(reason or subtype) if failed else None,
            cost_usd=float(cost) if isinstance(cost, int | float) and cost >= 0 else None,
        )

    def _answer(self, line: JsonObject, parent: str | None) -> None:
        message = obj(line.get("message"))
        if message.get("model") == claude_messages.SYNTHETIC:
            self.notes.skip("message that no model said")
            return
        if parent is None and not self.prompted:
            self.prompted = True
            self.notes.mark("answer to no prompt")
            self.session.prompt(NO_PROMPT)
        self.session.answer(
            claude_messages.blocks(message.get("content"), self.notes),
            stop=message.get("stop_reason"),
            usage=claude_messages.usage(message.get("usage")),
            model=text(message.get("model")),
            parent=parent,
        )

    def _user(self, line: JsonObject, parent: str | None) -> None:
        content = obj(line.get("message")).get("content")
        results = claude_messages.tool_results(content)
        for block in results:
            self._result(block, line.get("tool_use_result"), parent)
        words = claude_messages.said(content)
        is_meta = line.get("isMeta") is True or line.get("isSynthetic") is True
        if parent is None and words is not None and not results and not is_meta:
            self.prompted = True
            self.session.prompt(words)

    def _result(self, block: JsonObject, facts: Any, parent: str | None) -> None:
        use = block["tool_use_id"]
        call = self.session.waiting(use, parent)
        content = rendered(block.get("content"))
        ok = block.get("is_error") is not True
        denied_by = None if ok else claude_results.denied_by(content)
        if denied_by is None and not ok and use in self.denied:
            denied_by = "mode"
        cwd = self.session.about.cwd
        self.session.result(
            use,
            content,
            ok=ok,
            denied_by=denied_by,
            side_effects=claude_results.side_effects(call, content, facts, ok=ok, cwd=cwd),
            duration_ms=claude_results.duration_ms(facts),
            parent=parent,
        )
        if call is not None and ok and call.name == "Skill":
            name = text(call.input.get("skill")) or ""
            self.session.skill(name, by_user=False, injected=True, parent=parent)

    def _system(self, line: JsonObject) -> None:
        if line.get("subtype") == "hook_response":
            self._hook(line)
        elif line.get("subtype") == "compact_boundary":
            facts = obj(line.get("compact_metadata"))
            before, after = count(facts.get("pre_tokens")), count(facts.get("post_tokens"))
            self.session.compaction(facts.get("trigger"), before, after)

    def _hook(self, line: JsonObject) -> None:
        event = text(line.get("hook_event"))
        code = exit_code(line.get("exit_code"))
        if event is None or code is None:
            self.notes.skip("hook without event or exit code")
            return
        names = ("stdout", "output", "stderr") if code == 0 else ("stderr", "output", "stdout")
        words = (rendered(line.get(name)).strip() for name in names)
        self.session.hook(event, "allow", code, output=next((one for one in words if one), None))
