"""Fixtures played to real agents: `apr code`, and small ones that do what an agent must not."""

import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ccpa import trace
from ccpa.agents import find_agent
from ccpa.agents.base import Agent
from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, load_corpus, load_fixture
from ccpa.layout import FIXTURE_FILE, STUDENT_TRACE, TEACHER_TRACE
from ccpa.replay import Replayed, replay, replay_all
from ccpa.replay.gate import judge_all, read_expected
from ccpa.replay.normalised import normalised
from ccpa.replay.run import can_stand
from ccpa.sandbox import unavailable

ROOT = Path(__file__).parents[3]
CANONICAL = ROOT / "fixtures" / "canonical"
EXPECTED = read_expected(ROOT / "contracts" / "expected-drifts.toml")
SANDBOXED = unavailable() is None
JOBS = 3
NEEDS_A_SANDBOX = {
    one.id
    for one in load_corpus(CANONICAL)
    if one.web is not None or one.settings.managed is not None
}

needs_sandbox = pytest.mark.skipif(not SANDBOXED, reason=f"no sandbox here: {unavailable()}")

Records = list[dict[str, Any]]
Corpus = dict[str, Replayed]


@pytest.fixture(scope="module", autouse=True)
def own_python() -> Iterator[None]:
    """Let `python3` in fixtures' commands be this one: a version manager's shim takes 0.3 s."""
    with pytest.MonkeyPatch.context() as patch:
        here = Path(sys.executable).parent
        patch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return played(load_corpus(CANONICAL))


def played(fixtures: list[Fixture], *, sandboxed: bool = SANDBOXED) -> Corpus:
    """Replay fixtures with `apr code`, in random order, several at a time."""
    shuffled = random.sample(fixtures, len(fixtures))
    runs = replay_all(shuffled, find_agent("apr"), jobs=JOBS, sandboxed=sandboxed)
    return {run.fixture: run for run in runs}


def without_chance(run: Replayed) -> bytes:
    return normalised(trace.read(run.student.split(b"\n")))


def test_apr_does_as_the_teacher_does_and_lacks_what_it_is_known_to_lack(corpus: Corpus) -> None:
    gate = judge_all(corpus.values(), EXPECTED)
    wrong = {
        run.fixture: (judged.outcome, judged.reason, run.drifts, run.calls)
        for run, judged in zip(corpus.values(), gate.fixtures, strict=True)
        if not judged.passes and (SANDBOXED or run.fixture not in NEEDS_A_SANDBOX)
    }
    assert wrong == {}
    assert gate.score is not None
    assert gate.score >= 0.98


def test_every_expectation_is_of_a_fixture(corpus: Corpus) -> None:
    assert EXPECTED.keys() <= corpus.keys()


def test_every_turn_is_asked_for_and_no_others(corpus: Corpus) -> None:
    whole = [run for run in corpus.values() if run.fixture not in EXPECTED]
    assert len(whole) >= 20
    assert [(run.fixture, run.calls) for run in whole if run.calls] == []


def test_nothing_leaves_the_machine(corpus: Corpus) -> None:
    assert [attempt for run in corpus.values() for attempt in run.attempts] == []


def test_a_fixture_gives_the_same_trace_every_time(corpus: Corpus) -> None:
    whole = [one for one in load_corpus(CANONICAL) if one.id not in EXPECTED]
    fixtures = random.sample(whole, 20)  # others each time: all of them would take as long again
    again = played(fixtures)
    for fixture in fixtures:
        assert without_chance(again[fixture.id]) == without_chance(corpus[fixture.id]), fixture.id
        assert again[fixture.id].score == corpus[fixture.id].score


def test_a_few_fixtures_give_the_same_trace_many_times(corpus: Corpus) -> None:
    names = ("demo-fix-median", "parallel-calls-one-fails", "background-server-is-killed")
    fixtures = [load_fixture(CANONICAL / name) for name in names]
    for _ in range(4):
        for name, run in played(fixtures).items():
            assert without_chance(run) == without_chance(corpus[name]), name


@needs_sandbox
def test_it_does_not_matter_where_the_workspace_lies(corpus: Corpus) -> None:
    names = (
        "demo-find-port",
        "git-commit-the-fix",
        "fix-failing-test-python",
        "session-resumed",
        "subagent-explores",
        "user-declines-edit",
        "worktree-merged",
    )
    fixtures = [load_fixture(CANONICAL / name) for name in names]
    for name, run in played(fixtures, sandboxed=False).items():
        assert without_chance(run) == without_chance(corpus[name]), name
        assert run.score == corpus[name].score
        assert run.drifts == corpus[name].drifts


def test_a_recordings_directory_hides_nothing_of_the_machine(tmp_path: Path) -> None:
    assert can_stand("/no-such-directory-here/project")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert can_stand(str(tmp_path / "empty"))
    for place in (tmp_path, tmp_path / "absent", tmp_path / "link", Path("/usr"), Path("/")):
        assert not can_stand(str(place)), place
    assert not can_stand("relative")
    assert not can_stand("/no-such-directory-here/../etc")


# The meter must be able to fail: recordings that say something else than what happens.


def changed(tmp_path: Path, name: str, change: Callable[[Records], None]) -> Fixture:
    """Return a copy of a fixture whose recording is changed."""
    directory = tmp_path / name
    shutil.copytree(CANONICAL / name, directory, symlinks=True)
    path = directory / TEACHER_TRACE
    records = [json.loads(line) for line in path.read_text().splitlines()]
    change(records)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return load_fixture(directory)


def record(records: Records, kind: str, number: int = 0) -> dict[str, Any]:
    return [one for one in records if one["kind"] == kind][number]


def result_says(records: Records) -> None:
    record(records, "tool_result")["content"] += "\n99\tone more line"


def result_failed(records: Records) -> None:
    record(records, "tool_result")["ok"] = False


def touches_another_file(records: Records) -> None:
    record(records, "tool_result", 1)["side_effects"]["files_written"] = ["other.py"]


def command_exits_differently(records: Records) -> None:
    record(records, "tool_result", 2)["side_effects"]["exit_code"] = 5


def leaves_other_files(records: Records) -> None:
    record(records, "session_end")["cwd_sha256_after"] = "0" * 64


def says_one_turn_more(records: Records) -> None:
    last = record(records, "assistant_turn", -1)
    records.insert(records.index(last) + 1, last | {"turn": last["turn"] + 2})


def stops_a_turn_early(records: Records) -> None:
    records.remove(record(records, "assistant_turn", -1))


@pytest.mark.parametrize(
    ("change", "category"),
    [
        (result_says, "mismatched_tool_outcome"),
        (result_failed, "mismatched_tool_outcome"),
        (touches_another_file, "mismatched_side_effects"),
        (command_exits_differently, "mismatched_side_effects"),
        (leaves_other_files, "mismatched_file_state"),
        (says_one_turn_more, "missing_llm_call"),
        (stops_a_turn_early, "extraneous_llm_call"),
    ],
)
def test_each_thing_that_comes_out_differently_is_named_and_costs(
    change: Callable[[Records], None], category: str, tmp_path: Path
) -> None:
    fixture = changed(tmp_path, "demo-fix-median", change)
    run = replay(fixture, find_agent("apr"), sandboxed=SANDBOXED)
    assert category in {drift.category for drift in run.drifts}
    assert run.score is not None
    assert run.score < 1
    whole = load_fixture(CANONICAL / "demo-fix-median")
    assert replay(whole, find_agent("apr"), sandboxed=SANDBOXED).score == 1


# Agents that do what an agent must not.


def agent(tmp_path: Path, program: str) -> Agent:
    """Return an agent that is a Python program."""
    (tmp_path / "agent.py").write_text(program)
    words = json.dumps([sys.executable, str(tmp_path / "agent.py"), "{base_url}", "{trace}"])
    described = tmp_path / "small-agent.toml"
    described.write_text(f'name = "small-agent"\ncommand = {words}\n')
    return find_agent(str(described))


MEDIAN = CANONICAL / "demo-fix-median"


@needs_sandbox
def test_an_agent_that_tries_to_leave_is_found_out(tmp_path: Path) -> None:
    program = """\
import socket
for host in "192.0.2.1", "example.com":
    try:
        socket.create_connection((host, 443), timeout=10)
    except OSError:
        pass
"""
    run = replay(load_fixture(MEDIAN), agent(tmp_path, program), sandboxed=True)
    assert [(one.protocol, one.host, one.port) for one in run.attempts] == [
        ("tcp", "192.0.2.1", 443),
        ("name", "example.com", None),
        ("tcp", "example.com", 443),
    ]
    assert judge_all([run], {}).verdict == "fail"


def test_an_agent_that_hangs_is_ended_and_fails(tmp_path: Path) -> None:
    program = "import sys, time; print('still here', file=sys.stderr, flush=True); time.sleep(600)"
    run = replay(load_fixture(MEDIAN), agent(tmp_path, program), sandboxed=SANDBOXED, timeout_s=1)
    assert run.problem is not None
    assert run.problem.startswith("not finished after 1 s")
    assert judge_all([run], {}).verdict == "fail"


def test_an_agent_that_does_nothing_scores_nothing(tmp_path: Path) -> None:
    run = replay(
        load_fixture(MEDIAN), agent(tmp_path, "raise SystemExit('no')"), sandboxed=SANDBOXED
    )
    assert run.score == 0
    assert run.problem == "exit 1 without a trace; its last words: no"
    assert {call.category for call in run.calls} == {"missing_llm_call"}


def test_a_trace_that_is_none_is_an_error(tmp_path: Path) -> None:
    program = "import sys; open(sys.argv[2], 'w').write('{}\\n')"
    with pytest.raises(CcpaError, match="demo-fix-median: the trace of small-agent: line 1"):
        replay(load_fixture(MEDIAN), agent(tmp_path, program), sandboxed=SANDBOXED)


def test_the_agent_sees_a_clean_environment_and_its_own_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the user's own")
    program = """\
import os, sys
assert "ANTHROPIC_API_KEY" not in os.environ
assert os.listdir(os.environ["HOME"]) == []
assert sorted(os.listdir()) == [".gitignore", "stats.py", "test_stats.py"]
"""
    keep = tmp_path / "kept"
    run = replay(load_fixture(MEDIAN), agent(tmp_path, program), sandboxed=SANDBOXED, keep=keep)
    assert (keep / MEDIAN.name / "stderr").read_text() == ""
    assert run.problem == "exit 0 without a trace"


def with_policy(tmp_path: Path) -> Fixture:
    directory = tmp_path / MEDIAN.name
    shutil.copytree(MEDIAN, directory)
    text = (directory / FIXTURE_FILE).read_text()
    policy = '[settings]\nmanaged = { permissions = { deny = ["Bash(curl:*)"] } }'
    (directory / FIXTURE_FILE).write_text(text.replace("[settings]", policy, 1))
    return load_fixture(directory)


@needs_sandbox
def test_a_managed_policy_is_put_where_agents_look_for_it(tmp_path: Path) -> None:
    program = """\
import json
for name in "claude-code", "apr":
    policy = json.load(open(f"/etc/{name}/managed-settings.json"))
    assert policy == {"permissions": {"deny": ["Bash(curl:*)"]}}
"""
    run = replay(with_policy(tmp_path), agent(tmp_path, program), sandboxed=True)
    assert run.problem == "exit 0 without a trace"


def test_a_recorded_web_needs_a_sandbox() -> None:
    fixture = load_fixture(CANONICAL / "web-search-and-fetch")
    run = replay(fixture, find_agent("apr"), sandboxed=False)
    assert run.not_replayable == "its recorded web can be put in place only inside a sandbox"


@needs_sandbox
def test_a_recorded_web_is_there_and_nothing_else_is(tmp_path: Path) -> None:
    program = """\
import json, urllib.error, urllib.request
def get(url):
    return urllib.request.urlopen(url, timeout=10).read().decode()
for scheme in "http", "https":
    assert "TLS 1.3: recommended" in get(f"{scheme}://www.rfc-editor.org/rfc/rfc8996")
found = json.loads(get("http://searxng.test/search?q=RFC+deprecating+TLS+1.0+and+TLS+1.1"))
assert [one["url"] for one in found["results"]] == ["https://www.rfc-editor.org/rfc/rfc8996"]
try:
    get("https://www.rfc-editor.org/")
except urllib.error.HTTPError as error:
    assert error.code == 404
try:
    get("https://elsewhere.example/")
except urllib.error.URLError:
    pass
"""
    fixture = load_fixture(CANONICAL / "web-search-and-fetch")
    keep = tmp_path / "kept"
    run = replay(fixture, agent(tmp_path, program), sandboxed=True, keep=keep)
    assert (keep / fixture.id / "stderr").read_text() == ""
    assert {attempt.host for attempt in run.attempts} == {"elsewhere.example"}


def without_a_person(directory: Path) -> None:
    path = directory / FIXTURE_FILE
    path.write_text(path.read_text().replace("person = true\n", ""))


def other_answer(directory: Path) -> None:
    path = directory / TEACHER_TRACE
    path.write_text(path.read_text().replace("answered: Staging only", "answered: Both"))


def says_no(directory: Path) -> None:
    path = directory / TEACHER_TRACE
    records = [json.loads(line) for line in path.read_text().splitlines()]
    agreed = record(records, "tool_result", 1)
    agreed |= {"ok": False, "denied_by": "user", "content": "No, three are enough."}
    path.write_text("".join(json.dumps(one) + "\n" for one in records))


@pytest.mark.parametrize(
    ("name", "change", "drifts"),
    [
        ("user-declines-edit", without_a_person, {"'ok' became 'denied by mode'"}),
        ("plan-approved", without_a_person, {"'ok' became 'denied by mode'"}),
        ("plan-approved", says_no, {"'ok' became 'denied by mode'"}),
    ],
)
def test_what_a_person_says_makes_a_difference(
    name: str, change: Callable[[Path], None], drifts: set[str], tmp_path: Path
) -> None:
    directory = tmp_path / name
    shutil.copytree(CANONICAL / name, directory, symlinks=True)
    change(directory)
    run = replay(load_fixture(directory), find_agent("apr"), sandboxed=SANDBOXED)
    told = {" became ".join(map(repr, drift.values)) for drift in run.drifts if drift.values}
    assert drifts <= told


def test_an_answer_reaches_the_agent(tmp_path: Path) -> None:
    directory = tmp_path / "asks-before-choosing"
    shutil.copytree(CANONICAL / directory.name, directory)
    other_answer(directory)
    run = replay(load_fixture(directory), find_agent("apr"), sandboxed=SANDBOXED)
    assert run.score == 1
    assert b"answered: Both" in run.student


def test_a_session_before_that_comes_out_otherwise_is_named(tmp_path: Path) -> None:
    directory = tmp_path / "session-resumed"
    shutil.copytree(CANONICAL / directory.name, directory)
    (directory / "before" / "workspace" / "deploy" / "values.yaml").write_text("replicas: 7\n")
    run = replay(load_fixture(directory), find_agent("apr"), sandboxed=SANDBOXED)
    assert run.problem is not None
    assert run.problem.startswith("the session before shows mismatched_file_state")
    assert judge_all([run], {}).verdict == "fail"


def test_an_agent_that_cannot_go_on_says_so(tmp_path: Path) -> None:
    fixture = load_fixture(CANONICAL / "session-resumed")
    run = replay(fixture, agent(tmp_path, "raise SystemExit('no')"), sandboxed=SANDBOXED)
    assert run.not_replayable is not None
    assert run.not_replayable.startswith("it goes on with an earlier session; small-agent is")


def test_a_managed_policy_needs_a_sandbox(tmp_path: Path) -> None:
    run = replay(with_policy(tmp_path), find_agent("apr"), sandboxed=False)
    assert run.not_replayable == "its managed policy can be put in place only inside a sandbox"
    assert run.score is None


def test_a_fixture_of_the_older_meter_cannot_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "meta.toml").write_text('[fixture]\nid = "../old"\n')
    for name in (TEACHER_TRACE, STUDENT_TRACE):
        (tmp_path / name).touch()
    with pytest.raises(CcpaError, match="has no workspace/ to start from"):
        replay(load_fixture(tmp_path), find_agent("apr"), sandboxed=SANDBOXED, keep=tmp_path)
    assert not (tmp_path.parent / "old").exists()


def test_what_a_run_leaves_can_be_kept_and_is_never_overwritten(tmp_path: Path) -> None:
    fixture = load_fixture(CANONICAL / "demo-write-editorconfig")
    replay(fixture, find_agent("apr"), sandboxed=SANDBOXED, keep=tmp_path)
    left = tmp_path / fixture.id
    assert (left / "workspace" / ".editorconfig").is_file()
    start = trace.decode((left / "student.ccpa-trace.jsonl").read_bytes().split(b"\n")[0])
    assert isinstance(start, trace.SessionStart)
    assert not (left / "sandbox").exists()
    with pytest.raises(CcpaError, match="cannot be made: File exists"):
        replay(fixture, find_agent("apr"), sandboxed=SANDBOXED, keep=tmp_path)


def test_what_chance_and_the_clock_put_into_a_trace_is_left_out() -> None:
    def result(content: str, **fields: Any) -> bytes:
        one = trace.ToolResult(v=1, turn=2, tool_use_id="a", ok=True, content=content, **fields)
        return normalised([one])

    assert result("in 0.1s at 0x7f12", duration_ms=5) == result("in 2.5s at 0x9", duration_ms=7)
    assert result("a") != result("b")
    assert b'"ok":true' in result("a")


def test_how_subagents_that_work_at_once_come_to_lie_between_each_other_is_left_out() -> None:
    recorded = (CANONICAL / "subagents-in-parallel" / TEACHER_TRACE).read_bytes().split(b"\n")
    records = list(trace.read(recorded))
    caller: dict[int, str | None] = {
        id(one): getattr(one, "parent_tool_use_id", None) for one in records
    }
    theirs = {name for name in caller.values() if name is not None}
    assert len(theirs) == 2
    own = [one for one in records if caller[id(one)] is None]
    at = next(n for n, one in enumerate(records) if caller[id(one)])
    told = [[one for one in records if caller[id(one)] == name] for name in sorted(theirs)]
    orders = ([*told[0], *told[1]], [*told[1], *told[0]])
    seen = {normalised([*own[:at], *order, *own[at:]]) for order in orders}
    assert seen == {normalised(records)}
    missing = next(n for n, one in enumerate(records) if one is told[0][-1])
    assert normalised([*records[:missing], *records[missing + 1 :]]) not in seen
