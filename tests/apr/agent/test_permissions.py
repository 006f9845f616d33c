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
        ("plan", "Bash", shell("ls"), "allow"),
        ("plan", "Bash", shell("make"), "deny"),
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
    [
        ".git/hooks/pre-commit",
        ".claude/settings.json",
        ".mcp.json",
        ".envrc",
        "sub/.git/config",
        ".GIT/config",
    ],
)
def test_files_that_make_other_programs_run_are_not_edited_as_a_matter_of_course(path: str) -> None:
    assert decide(policy("acceptEdits"), "Write", write(path)).behavior == "ask"
    assert decide(policy("acceptEdits", allow="Edit"), "Write", write(path)).behavior == "ask"
    named = policy(allow=f"Edit(/{path.casefold()}) Edit(/{path})")
    assert decide(named, "Write", write(path)).behavior == "allow"


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
        ("make", "allow"),
        ("makefile", "ask"),
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
        ('git diff > ".git\\/config"', "ask"),
        ('git diff > "\\$HOME"', "ask"),
        ("git diff >& .git/config", "ask"),
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


@pytest.mark.parametrize(
    "command",
    [
        # bash sees no comment where the grammar does
        "git diff \\ #;rm x",
        "git diff a\\\n#;rm x",
        "echo \r#;rm x",
        "echo \x0b#;rm x",
        "git diff 'a'#;rm x",
        # variables that change what is run
        "for PATH in x; do git diff; done",
        "select PATH in x; do git diff; done",
        "printf -v PATH x; git diff",
        "printf %n PATH; git diff",
        "echo {PATH}>/dev/null; git diff",
        "echo ${PATH:=x}; git diff",
        # values that are evaluated
        "test -v 'a[$(rm x)]'",
        "[ -v 'a[$(rm x)]' ]",
        "[ -v a* ]",
        "[[ 'a[$(rm x)]' -eq 1 ]]",
        "for x in 'a[$(rm x)]'; do echo $((x)); done",
        "for x in 'a[$(rm x)]'; do ((x)); done; git diff",
        "for x in 'a[$(rm x)]'; do echo ${y[x]}; done",
        "for x in 'a[$(rm x)]'; do echo ${y:x}; done",
        "for x in '$(rm x)'; do echo ${x@P}; done",
        # substitutions that the grammar takes for text
        "git diff <<EOF\n`rm x`\nEOF",
        'git diff "${x:-`rm x`}"',
        "git diff \"${x:-'$(rm x)'}\"",
    ],
)
def test_no_command_hides_from_the_rules(command: str) -> None:
    assert decide(policy(allow="Bash(git diff:*)"), "Bash", shell(command)).behavior == "ask"


@pytest.mark.parametrize(
    ("command", "behavior"),
    [
        ("for f in a b; do git diff $f; done", "allow"),
        ("# what has changed?\ngit diff", "allow"),
        ('git diff "${base}"', "allow"),
        (r"git diff -S $'\t'", "allow"),
        (r"git diff $'a\' ; rm -rf ~ #'", "ask"),
        (r"$'git' diff", "ask"),
        ("test -d src && git diff", "allow"),
        ('echo "it is `date`"', "ask"),
        ("git diff `date`", "ask"),
        (r"echo `echo \`rm x\``", "ask"),
        ('echo "unclosed', "ask"),
        ("git diff # all of it", "ask"),
    ],
)
def test_what_is_read_with_certainty_is_judged_by_its_parts(command: str, behavior: str) -> None:
    assert decide(policy(allow="Bash(git diff:*)"), "Bash", shell(command)).behavior == behavior


@pytest.mark.parametrize(
    ("cwd", "command", "behavior"),
    [
        (".", "cd src && git diff", "allow"),
        ("src", "cd /project/docs && git diff", "allow"),
        (".", "cd 'my files' && git diff", "allow"),
        (".", "cd /elsewhere && git diff", "ask"),
        (".", "cd .. && git diff", "ask"),
        (".", "cd link/../.. && git diff", "ask"),
        (".", "cd $HOME && git diff", "ask"),
        (".", "cd && git diff", "ask"),
        (".", "cd src; cd src; git diff", "ask"),
        (".", "cd /tmp && echo x > out", "ask"),
        (".", "cd .github && git diff", "allow"),
        (".", "cd .git/hooks && echo x > pre-commit", "ask"),
        (".git/hooks", "echo x > pre-commit", "ask"),
        ("src", "echo x > ../out", "allow"),
        ("src", "echo x > ../../out", "ask"),
        (".", "cd src && echo x > /project/out", "allow"),
    ],
)
def test_where_a_command_runs_decides_what_it_touches(
    cwd: str, command: str, behavior: str
) -> None:
    access = Access(kind="execute", command=command, cwd=ROOT / cwd)
    rules = policy("acceptEdits", allow="Bash(git diff:*)")
    assert decide(rules, "Bash", access).behavior == behavior


@pytest.mark.parametrize(
    ("command", "behavior"),
    [
        ("git diff < in.txt", "allow"),
        ("git diff < /etc/passwd", "ask"),
        ('echo "$(< /etc/passwd)"', "ask"),
        ('echo "$(< secrets/key)"', "deny"),
        ("git diff <> in.txt", "ask"),
    ],
)
def test_a_redirection_from_a_file_needs_what_a_read_needs(command: str, behavior: str) -> None:
    rules = policy(allow="Bash(git diff:*)", deny="Read(secrets/**)")
    assert decide(rules, "Bash", shell(command)).behavior == behavior


@pytest.mark.parametrize("command", ["f() { rm x; }; f", "cat <<EOF\n$(rm x)\nEOF", "ls; rm x ("])
def test_a_forbidden_command_is_found_in_what_cannot_be_read_with_certainty(command: str) -> None:
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


def test_a_rule_allows_what_touches_several_files_only_if_it_allows_each() -> None:
    rules = policy(allow="Edit(src/**)")
    assert decide(rules, "Edit", write("src/a.py", "src/b.py")).behavior == "allow"
    assert decide(rules, "Edit", write("src/a.py", "b.py")).behavior == "ask"


def test_cd_goes_where_the_shell_takes_the_name_to_lead(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "a" / "b").mkdir(parents=True)
    (root / "link").symlink_to("a/b")
    rules = Policy(root=root, allow=parse_rules(["Bash(git diff:*)"]))
    for folder, behavior in {"link": "allow", "link/../..": "ask"}.items():
        assert decide(rules, "Bash", shell(f"cd {folder} && git diff")).behavior == behavior


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


@pytest.mark.parametrize("tool", ["Grep", "Glob"])
@pytest.mark.parametrize(
    ("rule", "folder", "behavior"),
    [
        ("Read(//etc/shadow)", "/etc", "deny"),
        ("Read(//etc/shadow)", "/", "deny"),
        ("Read(//etc/ssl/private/**)", "/etc/ssl/private", "deny"),
        ("Read(//etc/ssl/*.pem)", "/etc/ssl/certs", "deny"),
        ("Read(//etc/shadow)", "/usr", "allow"),
        ("Read(secrets/**)", "/", "deny"),
        ("Read(*.pem)", "..", "deny"),
        ("Read(//**/*.pem)", "/etc", "deny"),
        ("Read(secrets/**)", ".", "allow"),
    ],
)
def test_a_search_outside_the_project_reaches_nothing_that_may_not_be_read(
    tool: str, rule: str, folder: str, behavior: str
) -> None:
    access = Access(kind="read", paths=((ROOT / folder).resolve(),))
    assert decide(policy("bypassPermissions", deny=rule), tool, access).behavior == behavior


def test_a_refusal_says_what_refused() -> None:
    decision = decide(policy(deny="Bash(rm:*)"), "Bash", shell("rm x"))
    assert "Bash(rm:*)" in decision.reason
    assert decide(policy(), "Read", read("/etc/passwd")).reason.startswith("/etc/passwd is outside")


@pytest.mark.parametrize(
    ("command", "behavior"),
    [
        ("git diff 'é ü'", "allow"),
        ("git diff é", "allow"),
        ("echo 'é' > ü.txt", "ask"),
        ("é=1 git diff", "ask"),
        ("git diff; é", "ask"),
        ("{\U000c6935\u75f7", "ask"),  # the grammar's own scanner does not survive it
    ],
)
def test_letters_beyond_ascii_are_letters(command: str, behavior: str) -> None:
    assert decide(policy(allow=ALLOWED), "Bash", shell(command)).behavior == behavior


def test_a_rule_with_letters_beyond_ascii_means_these_letters() -> None:
    rules = policy(allow="Bash(echo:*) Bash(größe:*)", deny="Bash(rm é:*)")
    assert decide(rules, "Bash", shell("größe x")).behavior == "allow"
    assert decide(rules, "Bash", shell("grüße x")).behavior == "ask"
    assert decide(rules, "Bash", shell("echo a; rm é")).behavior == "deny"
