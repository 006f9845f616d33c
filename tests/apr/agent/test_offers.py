"""Which rules a person is offered, and why there are none."""

from pathlib import Path

import pytest

from apr.agent.asking import Question
from apr.agent.offers import offers, parts
from apr.agent.permissions import Policy, parse_rules
from apr.tools.base import Access
from ccpa.trace import ToolUseBlock


def command(text: str, root: Path = Path("/p")) -> Question:
    return Question(
        call=ToolUseBlock("t1", "Bash", {"command": text}),
        access=Access(kind="execute", command=text, cwd=root),
        reason=f"No rule allows the command: {text}.",
    )


def edit(path: Path, name: str = "Write") -> Question:
    return Question(
        call=ToolUseBlock("t1", name, {"file_path": str(path), "content": "x\n"}),
        access=Access(kind="write", paths=(path,)),
        reason="In default mode Write needs consent to write.",
    )


def tool(name: str, **given: object) -> Question:
    return Question(
        call=ToolUseBlock("t1", name, dict(given)),
        access=Access(kind="network"),
        reason=f"No rule allows {name}.",
    )


def offered(question: Question, policy: Policy | None = None) -> tuple[list[str], list[str], str]:
    found = offers(question, policy or Policy(root=Path("/p")))
    return [*map(str, found.narrow)], [*map(str, found.wide)], found.why_not


@pytest.mark.parametrize(
    ("text", "narrow", "wide"),
    [
        ("npm test", ["Bash(npm test)"], ["Bash(npm test:*)"]),
        ("npm run build -- -x", ["Bash(npm run build -- -x)"], ["Bash(npm run build:*)"]),
        ("git push origin main", ["Bash(git push origin main)"], ["Bash(git push:*)"]),
        ("pytest -q tests", ["Bash(pytest -q tests)"], ["Bash(pytest:*)"]),
        ("python -m pytest -q", ["Bash(python -m pytest -q)"], ["Bash(python -m pytest:*)"]),
        ("python tool.py", ["Bash(python tool.py)"], []),
        ("python -m http.server", ["Bash(python -m http.server)"], []),
        ("sudo apt update", ["Bash(sudo apt update)"], []),
        ("rm -r build", ["Bash(rm -r build)"], []),
        ("git config alias.x '!sh'", ["Bash(git config alias.x '!sh')"], []),
        ("cargo run", ["Bash(cargo run)"], []),
        ("git -c x=y push", ["Bash(git -c x=y push)"], []),
        ("CI=1 npm test", ["Bash(CI=1 npm test)"], []),
        ("ls && npm test && git push", ["Bash(npm test)", "Bash(git push)"],
         ["Bash(npm test:*)", "Bash(git push:*)"]),
        ("npm test && ./run.sh", ["Bash(npm test)", "Bash(./run.sh)"], []),
        ("npm test | tail -3", ["Bash(npm test)"], ["Bash(npm test:*)"]),
        ("bash run.sh", ["Bash(bash run.sh)"], []),
        ("curl x | sh", ["Bash(curl x | sh)"], []),
        ("curl x | sudo bash -s", ["Bash(curl x | sudo bash -s)"], []),
        ("ls | xargs rm", ["Bash(ls | xargs rm)"], []),
    ],
)  # fmt: skip
def test_a_command_is_offered_as_it_is_and_by_the_words_that_say_what_it_does(
    text: str, narrow: list[str], wide: list[str]
) -> None:
    assert offered(command(text)) == (narrow, wide, "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo $(curl x)x | sh -c `cat`", "more than its text says"),
        ("f() { npm test; }; f", "more than its text says"),
        ("eval 'npm test", "more than its text says"),
        ("npm test > log.txt", "redirects"),
        ("npm test $TARGET", "computed"),
        ("npm test $(cat x)", "computed"),
        ("npm test a/*", "computed"),
        ("npm test 'a*'", "stand for anything"),
        ("rm -r ~", "asked each time"),
        ("sh", "what it reads"),
        ("env python3.11 -", "what it reads"),
        ("bash -s x", "what it reads"),
        ("npm test && xargs rm", "what it reads"),
        ("./bui\u200dld", "could not be written"),
        ("./bui\u3164ld", "could not be written"),
        ("npm\ttest", "could not be written"),
        pytest.param(f"./run {'x' * 1000}", "too long", id="long"),
    ],
)
def test_where_a_rule_would_not_be_safe_none_is_offered_and_it_says_why(
    text: str, why: str
) -> None:
    narrow, wide, why_not = offered(command(text))
    assert (narrow, wide) == ([], [])
    assert why in why_not


def test_no_rule_is_offered_that_would_not_help() -> None:
    asks = Policy(root=Path("/p"), ask=parse_rules(["Bash(npm *)"]))
    assert offered(command("npm test"), asks) == (
        [],
        [],
        "This is asked each time, whatever is allowed.",
    )
    allows = Policy(root=Path("/p"), allow=parse_rules(["Bash(npm test)"]))
    assert "hook" in offered(command("npm test"), allows)[2]
    assert "organisation" in offers(command("npm x"), allows, managed=True).why_not


def test_files_are_offered_alone_and_with_their_folder() -> None:
    assert offered(edit(Path("/p/src/a.py")))[:2] == (["Edit(/src/a.py)"], ["Edit(/src/**)"])
    assert offered(edit(Path("/p/a.py")))[:2] == (["Edit(/a.py)"], [])
    assert offered(edit(Path("/etc/x/a")))[:2] == (["Edit(//etc/x/a)"], [])
    assert "other files" in offered(edit(Path("/p/src/*")))[2]
    guarded = offered(edit(Path("/p/.claude/x/a.json")))
    assert guarded[:2] == (["Edit(/.claude/x/a.json)"], ["Edit(/.claude/x/**)"])


@pytest.mark.parametrize("name", ["a) Bash(", "a\nb", "a\u202eb", "a\ufe0fb", "\udcff"], ids=ascii)
def test_names_that_would_read_otherwise_in_a_rule_are_not_offered(name: str) -> None:
    narrow, _, why_not = offered(edit(Path("/p/src") / name))
    assert narrow == []
    assert "could not be written" in why_not


def test_the_project_itself_is_no_file() -> None:
    assert offered(edit(Path("/p")))[:2] == ([], [])


def test_a_rule_on_what_the_model_says_never_holds_a_wildcard() -> None:
    named = Access(kind="network", name="deploy *")
    for access in (Access(kind="network", domain="*.org"), named):
        question = Question(call=ToolUseBlock("t", "X", {}), access=access, reason=".")
        assert offered(question)[:2] == ([], [])
    assert offered(tool("mcp__db__*"))[:2] == ([], [])


def test_a_server_is_offered_only_where_its_name_is_no_other_servers_too() -> None:
    assert offered(tool("mcp__my_db__query"))[1] == ["mcp__my_db"]
    assert offered(tool("mcp__a__b__query"))[1] == []
    assert offered(tool("mcp__a___query"))[1] == []


def test_hosts_and_servers_are_offered() -> None:
    fetch = Question(
        call=ToolUseBlock("t", "WebFetch", {"url": "https://a.org/x"}),
        access=Access(kind="network", domain="a.org"),
        reason="No rule allows WebFetch of a.org.",
    )
    assert offered(fetch)[:2] == (["WebFetch(domain:a.org)"], [])
    assert offered(tool("mcp__db__query"))[:2] == (["mcp__db__query"], ["mcp__db"])


def test_the_parts_of_a_command_say_which_are_allowed() -> None:
    policy = Policy(root=Path("/p"), allow=parse_rules(["Bash(npm test)"]))
    found = parts(command("cat a && npm test && git push > out.txt"), policy)
    assert [(part.text, part.allowed) for part in found] == [
        ("cat a", True),
        ("npm test", True),
        ("git push", False),
        ("writes out.txt", False),
    ]
    assert parts(command("npm test"), policy) == []
