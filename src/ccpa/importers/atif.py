"""The Agent Trajectory Interchange Format of Harbor, versions 1.0 to 1.8.

ATIF knows steps of a user and of an agent, and the results of tool calls. What a trace holds beyond
that, `extra.ccpa` carries: members of the trace's record, on the trajectory for the session, on a
step for the answer, on a result for the tool result; a system step whose `extra.ccpa` has a `kind`
is that record. Trajectories of other producers do without.
"""

from typing import Any

import msgspec

from ccpa import trace
from ccpa.errors import CcpaError
from ccpa.importers import codex_tools, mini_swe_agent
from ccpa.importers.notes import Notes
from ccpa.importers.reading import Source, document
from ccpa.importers.session import About, Imported, Session
from ccpa.importers.values import (
    JsonObject,
    actor,
    count,
    effects,
    exit_code,
    items,
    obj,
    objects,
    rendered,
    text,
    utc_time,
)
from ccpa.trace import Block, TextBlock, ThinkingBlock, ToolUseBlock, Usage

OWN = "ccpa"
_MAX_DEPTH = 20


def read(source: Source, notes: Notes) -> list[Imported]:
    """Read the session of one trajectory; its embedded subagents are part of it.

    Raises:
        CcpaError: it is no trajectory.
        OSError: it could not be read.
    """
    top = obj(document(source))
    version = text(top.get("schema_version")) or ""
    if not version.startswith("ATIF-") or not objects(top.get("steps")):
        raise CcpaError(f"{source.name}: no ATIF trajectory: no schema_version ATIF-…, or no steps")
    session = Session(_about(top), notes)
    _Teller(session, notes, top).tell(top)
    return [session.finish()]


def _about(top: JsonObject) -> About:
    agent, own = obj(top.get("agent")), _own(top)
    times = (utc_time(step.get("timestamp")) for step in objects(top.get("steps")))
    return About(
        actor=actor(agent.get("name")),
        original_id=text(top.get("session_id")),
        ts=utc_time(own.get("ts")) or next((time for time in times if time), None),
        model=text(agent.get("model_name")),
        agent_version=text(agent.get("version")),
        cwd=text(own.get("cwd")) or text(obj(agent.get("extra")).get("cwd")),
        cwd_sha256=text(own.get("cwd_sha256")),
        permission_mode=text(own.get("permission_mode")),
        parent_session_id=text(own.get("parent_session_id")),
    )


def _own(value: JsonObject) -> JsonObject:
    return obj(obj(value.get("extra")).get(OWN))


class _Teller:
    def __init__(self, session: Session, notes: Notes, top: JsonObject) -> None:
        self.session = session
        self.notes = notes
        self.agent = session.about.actor
        self.depth = 0
        self.embedded = {
            name: one
            for one in objects(top.get("subagent_trajectories"))
            if (name := text(one.get("trajectory_id")) or text(one.get("session_id")))
        }

    def tell(self, trajectory: JsonObject, parent: str | None = None) -> None:
        """Tell one trajectory. A subagent's first user step is its prompt, which is no record."""
        for step in objects(trajectory.get("steps")):
            source = step.get("source")
            if step.get("is_copied_context") is True:
                self.notes.skip("step copied from an earlier trajectory")
            elif source == "agent":
                self._agent(step, parent)
            elif source == "user":
                if parent is None:
                    self.session.prompt(rendered(step.get("message")))
            elif source == "system":
                self._system(step, parent)
            else:
                self.notes.meet("step of", source)

    def _agent(self, step: JsonObject, parent: str | None) -> None:
        if step.get("llm_call_count") == 0:
            self.notes.skip("step of the agent without a call of the model")
            return
        own = _own(step)
        self.session.answer(
            self._blocks(step),
            stop=own.get("stop_reason"),
            usage=_usage(step.get("metrics")),
            model=text(step.get("model_name")),
            latency_ms=count(own.get("latency_ms")),
            parent=parent,
        )
        results = objects(obj(step.get("observation")).get("results"))
        calls = objects(step.get("tool_calls"))
        for result in results:
            self._result(result, calls, parent)

    def _blocks(self, step: JsonObject) -> list[Block]:
        made: list[Block] = []
        if words := text(step.get("reasoning_content")):
            made.append(ThinkingBlock(words))
        if words := rendered(step.get("message")):
            made.append(TextBlock(words))
        for call in objects(step.get("tool_calls")):
            name, tool_input = self._tool(call)
            made.append(ToolUseBlock(text(call.get("tool_call_id")) or name, name, tool_input))
        return made

    def _tool(self, call: JsonObject) -> tuple[str, JsonObject]:
        """Return a tool under the trace's name for it, where the agent is one that is known."""
        name, tool_input = text(call.get("function_name")) or "", obj(call.get("arguments"))
        if self.agent == "codex":
            return codex_tools.translated(name, tool_input, self.session.about.cwd)
        if self.agent == "mini-swe-agent":
            return mini_swe_agent.TOOL_NAMES.get(name, name), tool_input
        return name, tool_input

    def _result(self, result: JsonObject, calls: list[JsonObject], parent: str | None) -> None:
        use = text(result.get("source_call_id"))
        if use is None and len(calls) == 1:
            use = text(calls[0].get("tool_call_id"))
        for reference in objects(result.get("subagent_trajectory_ref")):
            self._subagent(reference, use)
        if use is None:
            self.notes.skip("result of no tool call")
            return
        own, extra = _own(result), obj(result.get("extra"))
        call = next((one for one in calls if one.get("tool_call_id") == use), {})
        failed = extra.get("is_error") or obj(call.get("extra")).get("tool_result_is_error")
        code = exit_code(extra.get("exit_code"))
        known = obj(own.get("side_effects"))
        read = [path for path in items(known.get("files_read")) if isinstance(path, str)]
        written = [path for path in items(known.get("files_written")) if isinstance(path, str)]
        if code is None:
            code = exit_code(known.get("exit_code"))
        denied: Any = own.get("denied_by")
        self.session.result(
            use,
            rendered(result.get("content")),
            ok=own.get("ok", not failed and code in (None, 0)) is True,
            side_effects=effects(read, written, code),
            duration_ms=count(own.get("duration_ms")),
            denied_by=denied if denied in ("rule", "mode", "hook", "user") else None,
            parent=parent,
        )

    def _subagent(self, reference: JsonObject, use: str | None) -> None:
        names = text(reference.get("trajectory_id")), text(reference.get("session_id"))
        name = next((one for one in names if one in self.embedded), None)
        if use is None or name is None or self.depth == _MAX_DEPTH:
            self.notes.skip("subagent whose trajectory is not in the file")
            return
        self.depth += 1
        self.tell(self.embedded.pop(name), use)
        self.depth -= 1

    def _system(self, step: JsonObject, parent: str | None) -> None:
        """A system step is the prompt of the system, unless it carries a record."""
        own = _own(step)
        if "kind" not in own:
            return
        try:
            record: Any = msgspec.convert({**own, "v": 1}, trace.Record)
        except (msgspec.ValidationError, RecursionError):
            self.notes.skip("record in a step that is none")
            return
        self.session.put(record, parent)


def _usage(metrics: Any) -> Usage | None:
    counts = obj(metrics)
    asked, said = count(counts.get("prompt_tokens")), count(counts.get("completion_tokens"))
    if asked is None or said is None:
        return None
    cached = count(counts.get("cached_tokens")) or 0
    return Usage(input_tokens=asked, output_tokens=said, cache_read_tokens=min(cached, asked))
