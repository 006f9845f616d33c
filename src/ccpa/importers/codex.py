"""Rollouts: the session files that Codex keeps in `~/.codex/sessions`.

A line is `{timestamp, type, payload}`. The model's items are `response_item`; what the program did
is `event_msg`. Older versions wrote the items alone, after a first line about the session.

Codex does not say which items came in one answer of the model. Answers are parted by token counts,
turn contexts, prompts, and reasoning or text after an output. Where a rollout has token counts, a
call right after the output of another one came with it: some versions write pairs of call and
output. The count of an answer stands before its items in some versions, after them in others.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ccpa.importers import codex_tools
from ccpa.importers.notes import Notes
from ccpa.importers.openai_chat import tool_input, usage
from ccpa.importers.openai_responses import output, reasoning
from ccpa.importers.reading import Source, json_lines, parsed
from ccpa.importers.session import NO_RESULT, About, Imported, Session
from ccpa.importers.values import (
    JsonObject,
    digest,
    effects,
    exit_code,
    milliseconds,
    obj,
    rendered,
    text,
    utc_time,
)
from ccpa.paths import Root, relative
from ccpa.trace import Block, DeniedBy, TextBlock, ThinkingBlock, ToolUseBlock, Usage

_INJECTED = re.compile(
    r"\s*(<(environment_context|user_instructions|permissions instructions|turn_aborted|skill"
    r"|user_shell_command|INSTRUCTIONS|collaboration_mode|subagent_notification)\b"
    r"|# AGENTS\.md instructions)"
)
"""How messages in the user's role begin that the program wrote."""

_DENIALS: tuple[tuple[DeniedBy, re.Pattern[str]], ...] = (
    ("user", re.compile(r"(exec command |patch )?rejected by user\b")),
    ("mode", re.compile(r"approval policy is\b|This action was rejected due to")),
    ("rule", re.compile(r".{0,4000}?\brejected: (blocked by policy|policy)", re.DOTALL)),
)
_FAILURES = (
    "failed to parse function arguments",
    "unsupported call:",
    "unsupported custom tool call:",
    "exec_command failed",
    "apply_patch verification failed",
    "execution error:",
    "err: ",
)

_EVENTS_TOLD_ELSEWHERE = frozenset(
    {
        "agent_message",
        "agent_reasoning",
        "agent_reasoning_raw_content",
        "agent_reasoning_section_break",
        "background_event",
        "context_compacted",
        "entered_review_mode",
        "error",
        "exec_command_begin",
        "exec_command_end",
        "exited_review_mode",
        "image_generation_end",
        "item_completed",
        "mcp_tool_call_begin",
        "mcp_tool_call_end",
        "patch_apply_begin",
        "patch_apply_end",
        "plan_update",
        "stream_error",
        "task_complete",
        "task_started",
        "thread_name_updated",
        "thread_rolled_back",
        "turn_aborted",
        "turn_complete",
        "turn_diff",
        "turn_started",
        "undo_completed",
        "view_image_tool_call",
        "warning",
        "web_search_begin",
        "web_search_end",
    }
)
_ITEMS_WITHOUT_RECORD = frozenset({"ghost_snapshot", "compaction", "compaction_summary", "other"})


def read(source: Source, notes: Notes) -> list[Imported]:
    """Read the session of one rollout. Raises `OSError` where it cannot be read."""
    lines = list(_as_written_now(json_lines(source.stream, notes)))
    teller = _Teller(Session(_about(lines), notes), notes, lines)
    for kind, payload in lines:
        teller.tell(kind, payload)
    teller.answered()
    return [teller.session.finish()]


def _as_written_now(lines: Iterable[JsonObject]) -> Iterator[tuple[str, JsonObject]]:
    """Yield the type and payload of each line; older lines are items, after one on the session."""
    for line in lines:
        kind = text(line.get("type"))
        if isinstance(line.get("payload"), dict):
            yield kind or "", {"timestamp": line.get("timestamp"), **line["payload"]}
        elif kind is not None:
            yield "response_item", line
        elif "record_type" not in line:
            yield "session_meta", line


def _about(lines: list[tuple[str, JsonObject]]) -> About:
    meta = next((payload for kind, payload in lines if kind == "session_meta"), {})
    context = next((payload for kind, payload in lines if kind == "turn_context"), {})
    spawn = obj(obj(obj(meta.get("source")).get("subagent")).get("thread_spawn"))
    times = (utc_time(payload.get("timestamp")) for _, payload in lines)
    return About(
        actor="codex",
        original_id=text(meta.get("id")),
        ts=next((time for time in times if time), None),
        model=text(context.get("model")),
        agent_version=text(meta.get("cli_version")),
        cwd=text(meta.get("cwd")) or text(context.get("cwd")),
        permission_mode=text(context.get("approval_policy")),
        parent_session_id=text(meta.get("forked_from_id")) or text(spawn.get("parent_thread_id")),
    )


class _Teller:
    """Gathers the items of an answer, and tells the session when it is complete."""

    def __init__(self, session: Session, notes: Notes, lines: list[tuple[str, JsonObject]]) -> None:
        self.session = session
        self.notes = notes
        self.model = session.about.model
        self.items: list[Block] = []
        self.outputs: list[JsonObject] = []
        self.last_count: Any = None
        self.next_usage: Usage | None = None
        self.done_by_provider: list[tuple[str, bool]] = []
        self.searches = 0
        events = [payload for kind, payload in lines if kind == "event_msg"]
        self.prompts_are_events = any(event.get("type") == "user_message" for event in events)
        self.has_counts = any(event.get("type") == "token_count" for event in events)
        self.ends = {
            (str(event.get("type")), call): event
            for event in events
            if (call := text(event.get("call_id")))
        }

    def tell(self, kind: str, payload: JsonObject) -> None:
        match kind:
            case "response_item":
                self._item(payload)
            case "event_msg":
                self._event(payload)
            case "turn_context":
                self.answered()
                self.model = text(payload.get("model")) or self.model
            case "compacted":
                self.answered()
                summary = text(payload.get("message"))
                sha256 = digest(summary) if summary else None
                self.session.compaction(None, None, None, summary_sha256=sha256)
            case "session_meta" | "world_state":
                pass
            case _:
                self.notes.meet("line", kind)

    def answered(self) -> None:
        """The answer that was being gathered is complete, and so are its outputs."""
        items, outputs, searches = self.items, self.outputs, self.done_by_provider
        self.items, self.outputs, self.done_by_provider = [], [], []
        if items:
            self.session.answer(items, model=self.model, usage=self.next_usage)
            self.next_usage = None
        for use, ok in searches:
            self.session.result(use, NO_RESULT, ok=ok)
        for item in outputs:
            self._tell_output(item)

    def _counted(self, info: Any) -> None:
        """Take a token count; one that only brings new rate limits repeats the one before."""
        self.answered()
        if info is not None and info != self.last_count:
            self.last_count = info
            found = usage(obj(info).get("last_token_usage"))
            if not self.session.spent(found):
                self.next_usage = found

    def _event(self, event: JsonObject) -> None:
        match text(event.get("type")):
            case "user_message":
                self.answered()
                self.session.prompt(rendered(event.get("message")))
            case "token_count":
                self._counted(event.get("info"))
            case kind if kind not in _EVENTS_TOLD_ELSEWHERE:
                self.notes.meet("event", kind)

    def _item(self, item: JsonObject) -> None:
        match text(item.get("type")):
            case "message":
                self._message(item)
            case "reasoning":
                if words := reasoning(item):
                    self._begin_after_outputs()
                    self.items.append(ThinkingBlock(words))
            case "function_call":
                self._call(item, tool_input(item.get("arguments")))
            case "custom_tool_call":
                self._call(item, {"input": rendered(item.get("input"))})
            case "local_shell_call":
                action = dict(obj(item.get("action")))
                action.pop("type", None)
                if "working_directory" in action:
                    action["workdir"] = action.pop("working_directory")
                known = {name: value for name, value in action.items() if value is not None}
                self._call({**item, "name": "local_shell"}, known)
            case "web_search_call":
                self._search(item)
            case "function_call_output" | "custom_tool_call_output":
                self._output(item)
            case kind if kind not in _ITEMS_WITHOUT_RECORD:
                self.notes.meet("item", kind)

    def _message(self, item: JsonObject) -> None:
        words = rendered(item.get("content"))
        if item.get("role") == "assistant":
            self._begin_after_outputs()
            self.items.append(TextBlock(words))
        elif item.get("role") == "user" and not self.prompts_are_events:
            self.answered()
            if not _INJECTED.match(words):
                self.session.prompt(words)

    def _call(self, item: JsonObject, arguments: JsonObject) -> None:
        use = text(item.get("call_id")) or text(item.get("id"))
        if use is None:
            self.notes.skip("call without an id")
            return
        if not self.items:  # the outputs are of an answer that was told already
            self._begin_after_outputs()
        space, name = text(item.get("namespace")), text(item.get("name")) or ""
        full = f"{space}{name}" if space and not name.startswith("mcp__") else name
        self.items.append(
            ToolUseBlock(use, *codex_tools.translated(full, arguments, self.session.about.cwd))
        )

    def _search(self, item: JsonObject) -> None:
        """The provider's own tool: that it was used is known, and what it found is not."""
        self._begin_after_outputs()
        self.searches += 1
        use = text(item.get("id")) or f"web_search_{self.searches}"
        action = dict(obj(item.get("action")))
        is_search = action.get("type") == "search" and text(action.get("query"))
        name = "WebSearch" if is_search else "web_search"
        block = {"query": action["query"]} if is_search else action
        self.items.append(ToolUseBlock(use, name, block))
        self.done_by_provider.append((use, item.get("status") in (None, "completed")))

    def _begin_after_outputs(self) -> None:
        if self.outputs:
            self.answered()

    def _output(self, item: JsonObject) -> None:
        self.outputs.append(item)
        if not self.has_counts:
            self.answered()

    def _tell_output(self, item: JsonObject) -> None:
        use = text(item.get("call_id")) or ""
        found = output(item.get("output"))
        ran = self.ends.get(("exec_command_end", use), {})
        said = parsed(found.content) if found.content.startswith("{") else None
        metadata = obj(obj(said).get("metadata"))
        code = next(
            (
                one
                for value in (found.exit_code, metadata.get("exit_code"), ran.get("exit_code"))
                if (one := exit_code(value)) is not None
            ),
            None,
        )
        denied_by = next((who for who, words in _DENIALS if words.match(found.content)), None)
        failed = found.succeeded is False or found.content.startswith(_FAILURES)
        ok = not failed and code in (None, 0)
        took = milliseconds(metadata.get("duration_seconds"))
        call = self.session.waiting(use)
        self.session.result(
            use,
            found.content,
            ok=ok,
            denied_by=denied_by,
            side_effects=effects(
                written=self._written(use, call) if ok and denied_by is None else None, code=code
            ),
            duration_ms=found.duration_ms if took is None else took,
        )

    def _written(self, use: str, call: ToolUseBlock | None) -> list[str]:
        changed = obj(self.ends.get(("patch_apply_end", use), {}).get("changes"))
        names = list(changed)
        if not names and call is not None:
            if call.name == codex_tools.PATCH:
                names = codex_tools.patched_files(rendered(call.input.get("input")))
            elif call.name in ("Write", "Edit"):
                names = [str(call.input["file_path"])] if "file_path" in call.input else []
        root = Root(self.session.about.cwd)
        return [relative(name, root) for name in names]
