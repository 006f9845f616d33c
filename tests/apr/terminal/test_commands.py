"""The commands as a person types them: the real program in a pseudo-terminal, several a session."""

import json
import subprocess
import sys
from pathlib import Path

from tests.apr.mcp.conftest import ODD
from tests.apr.program import calls, problems, says
from tests.apr.terminal.conftest import Begin
from tests.apr.terminal.terminal import Terminal

GIT = ("git", "-c", "user.name=ada", "-c", "user.email=ada@example.com")


def git(project: Path, *words: str) -> None:
    subprocess.run((*GIT, *words), cwd=project, check=True, capture_output=True)


def leave(terminal: Terminal) -> None:
    terminal.enter("/quit")
    assert terminal.leave() == 0


def test_a_sessions_own_commands(begin: Begin, project: Path) -> None:
    terminal = begin(says("Hello."), says("It is a shell."), options=("--permission-mode", "plan"))
    terminal.enter("/status")
    assert "mode       plan" in terminal.until("sandbox +off")
    terminal.enter("/mode default")
    terminal.until("m · default")
    terminal.enter("/contxt")
    terminal.until("Did you mean /context")
    terminal.enter("hi")
    terminal.until("Hello\\.")
    terminal.enter("/bin/sh is what?")
    terminal.until("It is a shell\\.")
    terminal.enter("/context")
    assert "█  system prompt" in terminal.until("tokens are taken, estimated")
    terminal.enter("/cost")
    terminal.until("tokens out +20")
    terminal.enter("/rename my talk")
    terminal.until("is called my talk")
    terminal.enter("/sessions")
    terminal.until("●.*my talk")
    terminal.enter("/export talk.md")
    terminal.until("talk\\.md\\.")
    assert "It is a shell." in (project / "talk.md").read_text()
    terminal.enter("/trace run.ccpa-trace.jsonl")
    terminal.until("gets\\s+each\\s+that\\s+comes")
    leave(terminal)
    assert problems(project / "run.ccpa-trace.jsonl") == []


def test_rules_settings_and_directories_count_at_once(
    begin: Begin, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/note.txt").write_text("a note")
    run = calls(("Bash", {"command": "touch made"}))
    look = calls(("Read", {"file_path": str(tmp_path / "beside/note.txt")}), first=2)
    terminal = begin(run, look, says("Done."))
    terminal.enter('/permissions allow "Bash(touch made)"')
    terminal.until("written to")
    terminal.enter("/add-dir ../beside")
    terminal.until("for\\s+this\\s+session")
    terminal.enter("go")
    terminal.until("Done\\.")
    assert (project / "made").exists()
    terminal.enter("/permissions")
    terminal.until("allow +Bash\\(touch made\\)")
    terminal.enter("/config cleanupPeriodDays 9")
    terminal.until("next session on")
    terminal.enter("/config cleanupPeriodDays")
    terminal.until("cleanupPeriodDays +9")
    leave(terminal)


def test_a_projects_servers_are_asked_about_and_start_when_they_are_approved(
    begin: Begin, project: Path
) -> None:
    server = {"command": sys.executable, "args": ["-S", str(ODD), "none"]}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"odd": server}}))
    echo = calls(("mcp__odd__echo", {"text": "it works"}))
    terminal = begin(echo, says("Heard."), options=("--allowedTools", "mcp__odd"))
    terminal.until("Start them\\? /mcp approve NAME")
    terminal.enter("/mcp")
    terminal.until("odd +not approved")
    terminal.enter("/mcp approve odd")
    terminal.until("odd: connected, 2 tools")
    terminal.enter("use it")
    terminal.until("Heard\\.")
    kept = json.loads((project / ".apr/settings.local.json").read_text())
    assert kept == {"enabledMcpjsonServers": ["odd"]}
    leave(terminal)


def test_changes_are_reviewed_and_what_there_is_is_listed(begin: Begin, project: Path) -> None:
    git(project, "init", "--quiet", "--initial-branch=topic")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=first")
    (project / "src/calc.py").write_text("def add(a, b):\n    return a + b\n")
    editor = project.parent / "editor"
    editor.write_text('#!/bin/sh\nprintf "which line? "; read -r line\necho "$line" >> "$1"\n')
    editor.chmod(0o755)
    terminal = begin(says("It adds now."), env={"EDITOR": str(editor)})
    terminal.until("m · default · topic")
    terminal.enter("/review")
    terminal.until("It adds now\\.")
    terminal.enter("/debug")
    terminal.until("shown as they happen")
    terminal.enter("/init")
    terminal.until("reads\\s+it\\s+with\\s+your\\s+next\\s+prompt")
    terminal.enter("/memory 1")
    terminal.until("which line\\?")
    terminal.enter("- Use tabs.")
    terminal.until("reads the new")
    assert (project / "APR.md").read_text().endswith("- Use tabs.\n")
    for name, shown in (
        ("hooks", "There are no hooks"),
        ("skills", "There are no skills"),
        ("agents", "Explore"),
        ("plugins", "No plugins are offered"),
        ("model list", "scripted"),
        ("doctor", "shell: /"),
        ("vim", "editorMode"),
    ):
        terminal.enter(f"/{name}")
        terminal.until(shown)
    leave(terminal)


def test_the_users_own_command_writes_the_status_line(begin: Begin, home: Path) -> None:
    terminal = begin(says("Hello."))
    terminal.enter("/statusline printf '\\033[32m%s\\033[0m\\033]0;owned\\007' \"I am mine\"")
    terminal.until("(?m)^I am mine")
    assert b"owned" not in terminal.raw.rpartition(b"is written to")[2]
    terminal.enter("hi")
    terminal.until("Hello\\.")
    terminal.enter("/statusline off")
    terminal.until("m · default")
    terminal.enter("/clear")
    terminal.until("begins anew")
    leave(terminal)


def test_models_are_chosen_from_a_list_and_loaded(home: Path, project: Path, tiny: Path) -> None:
    folder = home / ".apr/models"
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").symlink_to(tiny)
    (folder / "broken.gguf").write_bytes(b"GGUF is not all of it")
    words = ("code", "--model", "tiny", "--keep-alive", "0")
    terminal = Terminal(*words, home=home, cwd=project)
    try:
        terminal.until("tiny · default")
        terminal.enter("/model broken")
        terminal.until("The model is tiny, as before")
        terminal.enter("/model")
        terminal.until("Which model\\?")
        terminal.enter("demo")
        terminal.until("The model is demo, from the next request on")
        terminal.enter("/context")
        terminal.until("by\\s+the\\s+model's\\s+own\\s+tokenizer")
        terminal.enter("/debug")
        terminal.until("engine log")
        terminal.enter("hi")
        terminal.until("demo · default · [1-9]")
        leave(terminal)
    finally:
        terminal.close()
