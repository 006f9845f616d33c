"""Session transcripts that Claude Code keeps in `~/.claude/projects`, of any version.

`docs/import.md` says what becomes of what. The lines are a tree (`claude_tree`); subagents have
files of their own beside the session's, or sidechains within it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ccpa.importers import claude_hooks, claude_messages, claude_results
from ccpa.importers.claude_agents import agent_files, linked
from ccpa.importers.claude_tree import Agent, path_to_last, split
from ccpa.importers.notes import Notes
from ccpa.importers.reading import Source, json_lines
from ccpa.importers.session import About, Imported, Session
from ccpa.importers.values import JsonObject, count, digest, obj, rendered, text, utc_time
from ccpa.trace import ToolUseBlock

_MAX_DEPTH = 20
"""Of subagents within subagents: enough for any session, and an end to circles of them."""

_SILENT = frozenset(
    {
        "agent-color",
        "agent-name",
        "agent-setting",
        "ai-title",
        "attribution-snapshot",
        "bridge-session",
        "content-replacement",
        "cost-state",
        "custom-title",
        "file-history-snapshot",
        "last-prompt",
        "mode",
        "permission-mode",
        "pr-link",
        "progress",
        "queue-operation",
        "summary",
        "tag",
        "worktree-state",
    }
)
"""Types of lines that hold nothing a trace has a place for."""

_NO_PROMPT = re.compile(
    r"\s*(<(local-command-(stdout|stderr|caveat)|bash-(input|stdout|stderr))>"
    r"|\[Request interrupted by user)"
)
_COMMAND = re.compile(r"<command-name>/?([^<]+)</command-name>")
_ARGUMENTS = re.compile(r"<command-args>(.*?)</command-args>", re.DOTALL)
_SKILL_TEXT = "Base directory for this skill:"


def read(source: Source, notes: Notes) -> list[Imported]:
    """Read one session, with the transcripts of its subagents that lie beside it.

    Raises:
        OSError: a file could not be read.
    """
    main, agents = split(json_lines(source.stream, notes), notes)
    lines = path_to_last(main, notes)
    about = _about(lines, source.path)
    if source.path is not None:
        agents += agent_files(source.path, about.original_id, notes)
    session = Session(about, notes)
    started = linked(agents, main, notes)
    _Teller(session, started, notes).tell(lines)
    for _ in started:
        notes.skip("subagent of a tool use that is not in the session")
    return [session.finish()]


def _about(lines: list[JsonObject], path: Path | None) -> About:
    def first(name: str) -> str | None:
        return next((found for line in lines if (found := text(line.get(name)))), None)

    fork = next((obj(line["forkedFrom"]) for line in lines if "forkedFrom" in line), {})
    times = (utc_time(line.get("timestamp")) for line in lines)
    return About(
        actor="claude-code",
        original_id=first("sessionId") or (path.stem if path is not None else None),
        ts=next((time for time in times if time), None),
        agent_version=first("version"),
        cwd=first("cwd"),
        permission_mode=first("permissionMode"),
        parent_session_id=text(fork.get("sessionId")),
    )


def _is_answer(line: JsonObject) -> bool:
    return line.get("type") == "assistant"


def _after(lines: list[JsonObject], at: int) -> Iterator[JsonObject]:
    return (lines[later] for later in range(at + 1, len(lines)))


class _Teller:
    """Tells a session what its lines say, a subagent's after the answer that started it."""

    def __init__(self, session: Session, agents: dict[str, list[Agent]], notes: Notes) -> None:
        self.session = session
        self.agents = agents
        self.notes = notes
        self.depth = 0
        self.blocked_uses: set[str] = set()
        self.injected_skills: set[str] = set()
        self.stop_hooks_attached = False

    def tell(self, lines: list[JsonObject], parent: str | None = None) -> None:
        """Tell one conversation."""
        lines = claude_messages.joined(lines)
        self._look_ahead(lines)
        for at, line in enumerate(lines):
            match text(line.get("type")):
                case "assistant":
                    self._answer(line, parent)
                case "user":
                    self._user(line, _after(lines, at), parent)
                case "attachment":
                    self._attachment(obj(line.get("attachment")), parent)
                case "system":
                    self._system(line, _after(lines, at), parent)
                case kind if kind not in _SILENT:
                    self.notes.meet("line", kind)

    def _look_ahead(self, lines: list[JsonObject]) -> None:
        """Learn what decides how earlier lines are told."""
        skill: str | None = None
        for line in lines:
            content = obj(line.get("message")).get("content")
            if _is_answer(line):
                for block in claude_messages.blocks(content, Notes()):
                    if isinstance(block, ToolUseBlock) and block.name == "Skill":
                        skill = block.id
            elif line.get("isMeta") is True:
                of_skill = (claude_messages.said(content) or "").startswith(_SKILL_TEXT)
                use = text(line.get("sourceToolUseID")) or (skill if of_skill else None)
                if use is not None:
                    self.injected_skills.add(use)
            hook = claude_hooks.from_attachment(obj(line.get("attachment")))
            if hook is not None:
                self.stop_hooks_attached |= hook.event == "Stop"
                if hook.decision == "block" and hook.tool_use_id:
                    self.blocked_uses.add(hook.tool_use_id)

    def _answer(self, line: JsonObject, parent: str | None) -> None:
        message = obj(line.get("message"))
        if message.get("model") == claude_messages.SYNTHETIC or line.get("isApiErrorMessage"):
            self.notes.skip("message that no model said")
            return
        blocks = claude_messages.blocks(message.get("content"), self.notes)
        self.session.answer(
            blocks,
            stop=message.get("stop_reason"),
            usage=claude_messages.usage(message.get("usage")),
            model=text(message.get("model")),
            parent=parent,
        )
        for block in blocks:
            if isinstance(block, ToolUseBlock) and block.id in self.agents:
                for agent in self.agents.pop(block.id):
                    self._subagent(agent, block.id)

    def _subagent(self, agent: Agent, use: str) -> None:
        if self.depth == _MAX_DEPTH:
            self.notes.skip("subagent nested too deep")
            return
        self.depth += 1
        lines = [{**line, "isSidechain": False} for line in agent.lines]
        self.tell(path_to_last(lines, self.notes), use)
        self.depth -= 1

    def _user(self, line: JsonObject, later: Iterator[JsonObject], parent: str | None) -> None:
        content = obj(line.get("message")).get("content")
        results = claude_messages.tool_results(content)
        for result in results:
            self._result(result, line.get("toolUseResult"), parent)
        words = claude_messages.said(content)
        is_prompt = parent is None and not results and line.get("isMeta") is not True
        if not is_prompt or words is None or line.get("isCompactSummary") is True:
            return
        if command := _COMMAND.search(words):
            self._command(command[1].strip(), words, later)
        elif not _NO_PROMPT.match(words):
            self.session.prompt(words)

    def _command(self, name: str, words: str, later: Iterator[JsonObject]) -> None:
        """A command with a text of its own is a prompt; others never reach the model."""
        following = next((one for one in later if one.get("type") in ("user", "assistant")), {})
        if following.get("isMeta") is not True:
            self.notes.skip("command that the model did not see")
            return
        arguments = _ARGUMENTS.search(words)
        self.session.prompt(f"/{name} {arguments[1] if arguments else ''}".strip())
        self.session.skill(name, by_user=True, injected=True)

    def _result(self, block: JsonObject, facts: Any, parent: str | None) -> None:
        use = block["tool_use_id"]
        call = self.session.waiting(use, parent)
        content = rendered(block.get("content"))
        ok = block.get("is_error") is not True
        denied_by = None if ok else claude_results.denied_by(content)
        if call is not None and denied_by == "hook" and use not in self.blocked_uses:
            self.session.hook(
                "PreToolUse", "block", 2, output=content, tool_use_id=use, parent=parent
            )
        self.session.result(
            use,
            content,
            ok=ok,
            denied_by=denied_by,
            side_effects=claude_results.side_effects(
                call, content, facts, ok=ok, cwd=self.session.about.cwd
            ),
            duration_ms=claude_results.duration_ms(facts),
            parent=parent,
        )
        if call is not None and ok and call.name == "Skill":
            name = text(call.input.get("skill")) or text(call.input.get("command")) or ""
            injected = use in self.injected_skills
            self.session.skill(name, by_user=False, injected=injected, parent=parent)

    def _attachment(self, attachment: JsonObject, parent: str | None) -> None:
        kind = text(attachment.get("type")) or ""
        hook = claude_hooks.from_attachment(attachment)
        if hook is not None:
            self._hook(hook, parent)
        elif kind == "queued_command" and parent is None:
            self.session.prompt(rendered(attachment.get("prompt")))
        elif kind.startswith("hook_") and kind not in claude_hooks.OTHER_HOOK_NEWS:
            self.notes.meet("attachment", kind)

    def _hook(self, hook: claude_hooks.Hook, parent: str | None) -> None:
        self.session.hook(
            hook.event,
            hook.decision,
            hook.exit_code,
            output=hook.output,
            tool_use_id=hook.tool_use_id,
            duration_ms=hook.duration_ms,
            parent=parent,
        )

    def _system(self, line: JsonObject, later: Iterator[JsonObject], parent: str | None) -> None:
        subtype, content = line.get("subtype"), line.get("content")
        if subtype == "compact_boundary":
            self._compaction(obj(line.get("compactMetadata")), later)
        elif subtype == "stop_hook_summary":
            hooks = claude_hooks.from_summary(line)
            if hooks is None:
                self.notes.skip("summary of hooks that does not say which one failed")
            elif not self.stop_hooks_attached:
                for hook in hooks:
                    self._hook(hook, parent)
        elif isinstance(content, str):
            older = claude_hooks.from_system_text(content, text(line.get("toolUseID")))
            if older is not None:
                self._hook(older, parent)

    def _compaction(self, facts: JsonObject, later: Iterator[JsonObject]) -> None:
        """The size after it is what the next answer's request held."""
        following = list(later)
        summaries = (one for one in following if one.get("isCompactSummary") is True)
        summary = claude_messages.said(obj(next(summaries, {}).get("message")).get("content"))
        answers = (obj(one.get("message")) for one in following if _is_answer(one))
        usage = claude_messages.usage(next(answers, {}).get("usage"))
        after = count(facts.get("postTokens"))
        self.session.compaction(
            facts.get("trigger"),
            count(facts.get("preTokens")),
            usage.input_tokens if after is None and usage else after,
            summary_sha256=digest(summary) if summary else None,
        )


def sessions_in(projects: Path) -> Iterator[Path]:
    """Yield the sessions of a projects directory, project by project; subagents are no sessions."""
    for path in sorted(projects.glob("*/*.jsonl")):
        if not path.name.startswith("agent-"):
            yield path
