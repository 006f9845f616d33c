"""Permission decisions, as tables: who may do what, where, in which mode."""

from pathlib import Path

import pytest

from apr.agent.permissions import BadRule, Policy, Rule, decide, hidden, parse_rules
from apr.tools.base import Access

ROOT = Path("/project")


def policy(mode: str = "default", allow: str = "", deny: str = "", ask: str = "") -> Policy:
    return Policy(
        root=ROOT,
        mode=mode,  # type: ignore[arg-type]
        allow=parse_rules([allow]),
        deny=parse_rules([deny]),
        ask=parse_rules([ask]),
    )


def read(*paths: str) -> Access:
    return Access(kind="read", paths=tuple(ROOT / path for path in paths))


def write(*paths: str) -> Access:
    return Access(kind="write", paths=tuple(ROOT / path for path in paths))


def shell(command: str) -> Access:
    return Access(kind="execute", command=command)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", []),
        ("Read", [Rule("Read")]),
        ("Read,Edit", [Rule("Read"), Rule("Edit")]),
        ("Read Edit", [Rule("Read"), Rule("Edit")]),
        ("Bash(git diff:*) Read", [Rule("Bash", "git diff:*"), Rule("Read")]),
        ("Bash(a, b),Edit(src/**)", [Rule("Bash", "a, b"), Rule("Edit", "src/**")]),
        ("Bash(f (x) y)", [Rule("Bash", "f (x) y")]),
        ("Bash(*)", [Rule("Bash")]),
        ("mcp__db__*", [Rule("mcp__db__*")]),
    ],
)
def test_rules_are_read_as_lists(text: str, rules: list[Rule]) -> None:
    assert list(parse_rules([text])) == rules


@pytest.mark.parametrize("text", ["Bash(", "Bash(git", "(git)", "Bash()", "Bash)", "Bash(a)b"])
def test_a_rule_that_cannot_be_read_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(BadRule, match="not a permission rule"):
        parse_rules([text])


@pytest.mark.parametrize(
    ("mode", "tool", "access", "behavior"),
    [
        ("default", "Read", read("a.py"), "allow"),
        ("default", "Edit", write("a.py"), "ask"),
        ("default", "Bash", shell("make"), "ask"),
        ("dontAsk", "Edit", write("a.py"), "ask"),
        ("acceptEdits", "Edit", write("a.py"), "allow"),
        ("acceptEdits", "Write", write("new/b.py"), "allow"),
        ("acceptEdits", "Bash", shell("make"), "ask"),
        ("plan", "Read", read("a.py"), "allow"),
        ("plan", "Edit", write("a.py"), "deny"),
        ("plan", "Bash", shell("ls"), "deny"),
        ("bypassPermissions", "Edit", write("a.py"), "allow"),
        ("bypassPermissions", "Bash", shell("make"), "allow"),
        ("bypassPermissions", "Edit", write("/etc/passwd"), "allow"),
        ("default", "Read", read("/etc/passwd"), "ask"),
        ("acceptEdits", "Edit", write("/etc/passwd"), "ask"),
        ("acceptEdits", "Edit", write("../other/a.py"), "ask"),
    ],
)
def test_what_each_mode_permits(mode: str, tool: str, access: Access, behavior: str) -> None:
    resolved = Access(
        kind=access.kind, paths=tuple(p.resolve() for p in access.paths), command=access.command
    )
    assert decide(policy(mode), tool, resolved).behavior == behavior


@pytest.mark.parametrize(
    "path",
    [".git/hooks/pre-commit", ".claude/settings.json", ".mcp.json", ".envrc", "sub/.git/config"],
)
def test_files_that_make_other_programs_run_are_not_edited_as_a_matter_of_course(path: str) -> None:
    assert decide(policy("acceptEdits"), "Write", write(path)).behavior == "ask"
    assert decide(policy("acceptEdits", allow="Edit"), "Write", write(path)).behavior == "allow"


@pytest.mark.parametrize("mode", ["default", "acceptEdits", "bypassPermissions", "plan"])
def test_a_deny_rule_holds_in_every_mode_and_against_an_allow_rule(mode: str) -> None:
    rules = policy(mode, allow="Read Bash Edit", deny="Read(./secrets/**) Bash(rm:*) Edit(*.lock)")
    assert decide(rules, "Read", read("secrets/key")).by == "rule"
    assert decide(rules, "Grep", read("secrets/deep/key")).behavior == "deny"
    assert decide(rules, "Bash", shell("rm x")).behavior == "deny"
    assert decide(rules, "Write", write("deep/a.lock")).behavior == "deny"
    assert decide(rules, "Read", read("open/key")).behavior == "allow"


def test_an_ask_rule_beats_an_allow_rule() -> None:
    rules = policy(allow="Bash", ask="Bash(git push:*)")
    assert decide(rules, "Bash", shell("git push origin")).behavior == "ask"
    assert decide(rules, "Bash", shell("git pull")).behavior == "allow"


ALLOWED = "Bash(git diff:*) Bash(npm test) Bash(make *) Bash(python3 -m unittest:*)"


@pytest.mark.parametrize(
    ("command", "behavior"),
    [
        ("git diff", "allow"),
        ("git diff --stat HEAD~1", "allow"),
        ("  git diff", "allow"),
        ("git difftool", "ask"),
        ("git", "ask"),
        ("npm test", "allow"),
        ("npm test --force", "ask"),
        ("make all", "allow"),
        ("make", "ask"),
        ("cd sub && git diff", "allow"),
        ("git diff && npm test", "allow"),
        ("git diff; npm test", "allow"),
        ("git diff | npm test", "allow"),
        ("git diff\nnpm test", "allow"),
        ("git diff && rm -rf /", "ask"),
        ("git diff; rm -rf /", "ask"),
        ("git diff & rm -rf /", "ask"),
        ("git diff | sh", "ask"),
        ("git diff\nrm -rf /", "ask"),
        ("git diff $(rm -rf /)", "ask"),
        ("git diff `rm -rf /`", "ask"),
        ('git diff "$(rm -rf /)"', "ask"),
        ("git diff <(rm -rf /)", "ask"),
        ("(git diff; rm x)", "ask"),
        ("{ git diff; rm x; }", "ask"),
        ("if git diff; then rm x; fi", "ask"),
        ("for f in *; do rm $f; done", "ask"),
        ("! rm x", "ask"),
        ("LD_PRELOAD=./x.so git diff", "ask"),
        ("PATH=.:$PATH; git diff", "ask"),
        ("git() { rm x; }; git diff", "ask"),
        ("alias git=rm; git diff", "ask"),
        ("eval 'rm x'", "ask"),
        ("bash -c 'git diff'", "ask"),
        ("git diff > out.txt", "ask"),
        ("git diff >> out.txt", "ask"),
        ("git diff &> out.txt", "ask"),
        ("git diff 2>&1", "allow"),
        ("git diff 2>/dev/null", "allow"),
        ("git diff < in.txt", "allow"),
        ("git diff <<EOF\n$(rm x)\nEOF", "ask"),
        ("git diff 'unclosed", "ask"),
        ("echo hello", "allow"),
        ("echo $(rm x)", "ask"),
        ("echo x > /etc/passwd", "ask"),
        ("[ -f a ] && git diff", "allow"),
        ("python3 -m unittest -q 2>&1", "allow"),
        ("$CMD diff", "ask"),
        ("", "ask"),
    ],
)
def test_a_compound_command_is_allowed_only_if_every_part_is(command: str, behavior: str) -> None:
    assert decide(policy(allow=ALLOWED), "Bash", shell(command)).behavior == behavior


@pytest.mark.parametrize(
    ("command", "behavior"),
    [
        ("git diff > out.txt", "allow"),
        ("git diff > 'out file.txt'", "allow"),
        ("git diff > ../out.txt", "ask"),
        ("git diff > /etc/passwd", "ask"),
        ("git diff > $HOME/.bashrc", "ask"),
        ("git diff > ~/.bashrc", "ask"),
        ("git diff > .git/hooks/pre-commit", "ask"),
        ("git diff > o*", "ask"),
    ],
)
def test_a_redirection_is_a_write_and_needs_what_a_write_needs(command: str, behavior: str) -> None:
    rules = policy("acceptEdits", allow=ALLOWED)
    assert decide(rules, "Bash", shell(command)).behavior == behavior


@pytest.mark.parametrize(
    "command", ["rm x", "ls && rm x", "echo $(rm x)", "FOO=1 rm x", "(rm x)", "ls | rm x"]
)
def test_a_forbidden_command_is_found_in_every_part(command: str) -> None:
    rules = policy("bypassPermissions", deny="Bash(rm:*)")
    assert decide(rules, "Bash", shell(command)).behavior == "deny"


def test_path_rules_are_anchored_as_documented(tmp_path: Path) -> None:
    rules = policy(allow="Edit(src/**) Edit(/docs/*.md) Edit(//tmp/**) Edit(~/notes.md)")
    allowed = ["src/a.py", "src/deep/a.py", "docs/a.md", "/tmp/x", str(Path.home() / "notes.md")]
    refused = ["lib/src/a.py", "docs/deep/a.md", "/var/x", "notes.md"]
    for path in allowed:
        assert decide(rules, "Edit", write(path)).behavior == "allow", path
    for path in refused:
        assert decide(rules, "Edit", write(path)).behavior == "ask", path


def test_directories_the_user_adds_are_the_projects_own() -> None:
    rules = Policy(root=ROOT, mode="acceptEdits", directories=(Path("/shared"),))
    assert decide(rules, "Edit", write("/shared/a.py")).behavior == "allow"
    assert decide(rules, "Edit", write("/shared/.git/config")).behavior == "ask"
    assert decide(rules, "Edit", write("/sharedx/a.py")).behavior == "ask"


@pytest.mark.parametrize(
    ("rule", "pattern"),
    [
        ("Read(./secrets/**)", "/secrets/**"),
        ("Read(secrets/**)", "/secrets/**"),
        ("Read(*.pem)", "*.pem"),
        ("Read(**/.env)", "**/.env"),
        ("Read(//project/secrets/**)", "/secrets/**"),
        ("Read(//**/*.pem)", "/**/*.pem"),
    ],
)
def test_a_search_leaves_out_what_may_not_be_read(rule: str, pattern: str) -> None:
    assert hidden(policy(deny=rule)) == (pattern,)


@pytest.mark.parametrize("rule", ["Read(//etc/**)", "Read(~/x)", "Read", "Edit(src/**)", "Bash(x)"])
def test_a_search_leaves_out_nothing_else(rule: str) -> None:
    assert hidden(policy(deny=rule)) == ()


def test_a_refusal_says_what_refused() -> None:
    decision = decide(policy(deny="Bash(rm:*)"), "Bash", shell("rm x"))
    assert "Bash(rm:*)" in decision.reason
    assert decide(policy(), "Read", read("/etc/passwd")).reason.startswith("/etc/passwd is outside")
