"""The Agent Trajectory Interchange Format of Harbor, versions 1.0 to 1.8.

ATIF knows steps of a user and of an agent, and the results of tool calls. A trajectory that
`ccpa export atif` wrote holds a whole trace, which `atif_own` takes out of it as it was; this
module reads everybody else's.
"""

from typing import Any

from ccpa.errors import CcpaError
from ccpa.importers import codex_tools, mini_swe_agent
from ccpa.importers.atif_own import restored
from ccpa.importers.notes import Notes
from ccpa.importers.reading import Source, documents
from ccpa.importers.session import About, Imported, Session
from ccpa.importers.values import (
    JsonObject,
    actor,
    count,
    effects,
    exit_code,
    obj,
    objects,
    rendered,
    text,
    utc_time,
)
from ccpa.trace import Block, TextBlock, ThinkingBlock, ToolUseBlock, Usage

_MAX_DEPTH = 20


def read(source: Source, notes: Notes) -> list[Imported]:
    """Read the sessions of a file: one trajectory, or one a line, with their subagents.

    Raises:
        CcpaError: there is no trajectory in it.
        OSError: it could not be read.
    """
    found = [obj(value) for value in documents(source, notes)]
    trajectories = [one for one in found if _is_trajectory(one)]
    if not trajectories:
        raise CcpaError(f"{source.name}: no ATIF trajectory: no schema_version ATIF-…, or no steps")
    return [_session(one, notes) for one in trajectories]


def _is_trajectory(value: JsonObject) -> bool:
    version = text(value.get("schema_version")) or ""
    return version.startswith("ATIF-") and bool(objects(value.get("steps")))


def _session(top: JsonObject, notes: Notes) -> Imported:
    records = restored(top)
    if records is not None:
        return Imported(text(top.get("session_id")), records)
    session = Session(_about(top), notes)
    _Teller(session, notes, top).tell(top)
    return session.finish()


def _about(top: JsonObject) -> About:
    agent = obj(top.get("agent"))
    times = (utc_time(step.get("timestamp")) for step in objects(top.get("steps")))
    return About(
        actor=actor(agent.get("name")),
        original_id=text(top.get("session_id")),
        ts=next((time for time in times if time), None),
        model=text(agent.get("model_name")),
        agent_version=text(agent.get("version")),
        cwd=text(obj(agent.get("extra")).get("cwd")),
    )


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
        """Tell one trajectory. A subagent's user step is its prompt, which is no record."""
        for step in objects(trajectory.get("steps")):
            source = step.get("source")
            if step.get("is_copied_context") is True:
                self.notes.skip("step copied from an earlier trajectory")
            elif source == "agent":
                self._agent(step, parent)
            elif source == "user":
                if parent is None:
                    self.session.prompt(rendered(step.get("message")))
            elif source != "system":
                self.notes.meet("step of", source)

    def _agent(self, step: JsonObject, parent: str | None) -> None:
        if step.get("llm_call_count") == 0:
            self.notes.skip("step of the agent without a call of the model")
            return
        self.session.answer(
            self._blocks(step),
            usage=_usage(step.get("metrics")),
            model=text(step.get("model_name")),
            parent=parent,
        )
        calls = objects(step.get("tool_calls"))
        for result in objects(obj(step.get("observation")).get("results")):
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
        """Tell a result. ATIF does not say whether it is a failure; some producers do, in extra."""
        use = text(result.get("source_call_id"))
        if use is None and len(calls) == 1:
            use = text(calls[0].get("tool_call_id"))
        for reference in objects(result.get("subagent_trajectory_ref")):
            self._subagent(reference, use)
        if use is None:
            self.notes.skip("result of no tool call")
            return
        extra: Any = obj(result.get("extra"))
        call = next((one for one in calls if one.get("tool_call_id") == use), {})
        failed = extra.get("is_error") or obj(call.get("extra")).get("tool_result_is_error")
        code = exit_code(extra.get("exit_code"))
        self.session.result(
            use,
            rendered(result.get("content")),
            ok=not failed and code in (None, 0),
            side_effects=effects(code=code),
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


def _usage(metrics: Any) -> Usage | None:
    counts = obj(metrics)
    asked, said = count(counts.get("prompt_tokens")), count(counts.get("completion_tokens"))
    if asked is None or said is None:
        return None
    cached = count(counts.get("cached_tokens")) or 0
    return Usage(input_tokens=asked, output_tokens=said, cache_read_tokens=min(cached, asked))
