import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ccpa.cli.main import main
from ccpa.corpus import find_pairs
from ccpa.errors import CcpaError
from tests.ccpa.sessions import Step, bash, say, trace_bytes, use

A, B = bash("a"), bash("b")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path: str, *steps: Step) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(trace_bytes(*steps, say()))


def pair(directory: str, teacher: list[Step], student: list[Step]) -> None:
    put(f"{directory}/teacher.ccpa-trace.jsonl", *teacher)
    put(f"{directory}/student.ccpa-trace.jsonl", *student)


def corpus(*arguments: str) -> int:
    return main(["corpus", *arguments])


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    corpus(*arguments, "--json")
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("folder")
def test_the_worst_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    pair("c/good", [A, B], [A, B])
    pair("c/bad", [A, B], [A])
    pair("c/deeper/worst", [A], [B])
    assert corpus("c") == 1
    assert capsys.readouterr().out.splitlines() == [
        "FAIL  mean parity score 0.5555 (needs 0.95, each 0.80)",
        "3 fixtures, 3 runs, 2 below the floor or without a score",
        "fail\t0.0000\t-\tworst\tmismatched_tool_input 1",
        "fail\t0.6666\t-\tbad\tmissing_tool_call 1",
        "pass\t1.0000\t-\tgood\t",
    ]


@pytest.mark.usefixtures("folder")
def test_a_corpus_passes_if_the_mean_and_every_fixture_do() -> None:
    many = [bash(f"{n}") for n in range(9)]
    pair("c/one", many, [*many, A, B])  # 18 of 20
    assert corpus("c") == 1
    assert corpus("c", "--mean-min", "0.9", "--each-min", "0.9") == 0
    assert corpus("c", "--mean-min", "0.9", "--each-min", "0.91") == 1
    assert corpus("c", "--mean-min", "0.91", "--each-min", "0.9") == 1


@pytest.mark.usefixtures("folder")
def test_a_fixture_without_a_score_leaves_the_gate_open(capsys: pytest.CaptureFixture[str]) -> None:
    pair("c/full", [A], [A])
    pair("c/empty", [], [])
    assert corpus("c") == 1
    value = as_json(capsys, "c")
    assert value["verdict"] == "inconclusive"
    assert value["parity_score"] == 1.0
    assert [one["verdict"] for one in value["fixtures"]] == ["inconclusive", "pass"]


@pytest.mark.usefixtures("folder")
def test_runs_may_lie_elsewhere_and_be_several(capsys: pytest.CaptureFixture[str]) -> None:
    put("c/one/teacher.ccpa-trace.jsonl", A, B)
    for n, steps in enumerate([[A, B], [A, B], [A, B], [A]]):
        put(f"runs/one/run-{n}/trace.jsonl", *steps)
    value = as_json(capsys, "c", "--students", "runs", "--each-min", "0.9", "--mean-min", "0.9")
    [one] = value["fixtures"]
    assert one["parity_score"] == pytest.approx((3 + 2 / 3) / 4)
    assert [run["parity_score"] for run in one["runs"]] == [1, 1, 1, pytest.approx(2 / 3)]
    assert one["pass_k"] == 0.0
    assert one["interval"]["low"] < one["parity_score"] < one["interval"]["high"]
    assert value["interval"] == one["interval"]


@pytest.mark.usefixtures("folder")
def test_the_gate_asks_the_lower_end_unless_told_to_ask_the_mean() -> None:
    put("c/one/teacher.ccpa-trace.jsonl", A, B)
    for n, steps in enumerate([[A, B], [A, B], [A, B], [A]]):
        put(f"runs/one/{n}.jsonl", *steps)
    limits = ["--each-min", "0.9", "--mean-min", "0.9"]
    assert corpus("c", "--students", "runs", *limits) == 1
    assert corpus("c", "--students", "runs", *limits, "--gate", "mean") == 0


@pytest.mark.usefixtures("folder")
def test_weights_and_workspaces_reach_every_pair(capsys: pytest.CaptureFixture[str]) -> None:
    ours = use("Edit", file_path="x", old_string="1", new_string="2")
    theirs = use("Edit", file_path="x", old_string="1\n", new_string="2\n")
    pair("c/one", [ours], [theirs])
    assert as_json(capsys, "c")["parity_score"] == 0.0
    Path("c/one/workspace").mkdir()
    Path("c/one/workspace/x").write_text("1\n")
    assert as_json(capsys, "c")["parity_score"] == 1.0
    pair("c/two", [A], [B])
    assert as_json(capsys, "c", "--weight", "Bash=0")["fixtures"][0]["parity_score"] is None


@pytest.mark.usefixtures("folder")
def test_several_processes_say_the_same_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(6):
        pair(f"c/{n}", [A, B], [A] if n % 2 else [A, B])
    assert as_json(capsys, "c", "--jobs", "2") == as_json(capsys, "c", "--jobs", "1")


@pytest.mark.usefixtures("folder")
def test_positional_scoring_prints_the_older_json(capsys: pytest.CaptureFixture[str]) -> None:
    pair("c/two", [A], [A, B])
    pair("c/one", [A, B], [A])
    Path("c/one/meta.toml").write_text('[fixture]\nid = "one"\ncovers = []\ndescription = ""\n')
    assert corpus("c", "--scoring", "positional", "--json") == 1
    out = capsys.readouterr().out
    assert json.loads(out) == {
        "aggregate_score": 0.75,
        "fixture_count": 2,
        "passes_gate": False,
        "per_fixture": [
            {"drift_count": 1, "id": "one", "passes_individual": False, "score": 0.5},
            {"drift_count": 1, "id": "two", "passes_individual": True, "score": 1.0},
        ],
        "thresholds": {"aggregate_min": 0.95, "individual_min": 0.8},
    }
    assert out == json.dumps(json.loads(out), indent=2, sort_keys=True) + "\n"


@pytest.mark.usefixtures("folder")
def test_junit_has_a_case_for_each_fixture_and_one_for_the_mean() -> None:
    pair("c/good", [A], [A])
    pair("c/bad<\x1b", [A], [B])
    pair("c/empty", [], [])
    assert corpus("c", "--junit", "report.xml") == 1
    suite = ElementTree.parse("report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "2", "1")
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {
        "good": [],
        "bad<\\x1b": ["failure"],
        "empty": ["skipped"],
        "(mean)": ["failure"],
    }


@pytest.mark.usefixtures("folder")
def test_a_name_from_a_directory_cannot_command_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pair("c/x\x1b[31m", [A], [A])
    corpus("c")
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_what_is_wrong_with_a_corpus_is_named() -> None:
    with pytest.raises(CcpaError, match="cannot be read: No such file"):
        find_pairs(Path("absent"))
    Path("c/empty").mkdir(parents=True)
    with pytest.raises(CcpaError, match="c: no fixture here or below"):
        find_pairs(Path("c"))
    put("c/one/teacher.ccpa-trace.jsonl", A)
    with pytest.raises(CcpaError, match=r"c/one: no student.* --students DIR"):
        find_pairs(Path("c"))
    with pytest.raises(CcpaError, match="runs/one: no run of the fixture 'one'"):
        find_pairs(Path("c"), Path("runs"))
    pair("c/again/one", [A], [A])
    pair("c/one", [A], [A])
    with pytest.raises(CcpaError, match="the id 'one' is taken by c/again/one"):
        find_pairs(Path("c"))


@pytest.mark.usefixtures("folder")
def test_links_are_followed_but_nowhere_twice(folder: Path) -> None:
    pair("elsewhere/one", [A], [A])
    Path("c").mkdir()
    Path("c/linked").symlink_to(folder / "elsewhere")
    assert [one.fixture for one in find_pairs(Path("c"))] == ["one"]
    for place, target in (
        ("c/again", "elsewhere/one"),  # what another link leads to
        ("c/circle", "c"),
        ("c/above", "."),
        ("elsewhere/circle", "elsewhere"),
    ):
        Path(place).symlink_to(folder / target)
        with pytest.raises(CcpaError, match=r"a link to .* is looked through already"):
            find_pairs(Path("c"))
        Path(place).unlink()
    Path("c/itself").symlink_to("itself")
    with pytest.raises(CcpaError, match="c/itself: cannot be read"):
        find_pairs(Path("c"))


@pytest.mark.usefixtures("folder")
def test_a_link_to_the_latest_run_does_not_count_it_twice(folder: Path) -> None:
    put("c/one/teacher.ccpa-trace.jsonl", A)
    put("runs/one/run-1/trace.jsonl", A)
    Path("runs/one/latest").symlink_to("run-1")
    with pytest.raises(CcpaError, match=r"runs/one/latest: a link to .*run-1, but"):
        find_pairs(Path("c"), Path("runs"))


@pytest.mark.usefixtures("folder")
def test_a_bad_trace_is_an_error_of_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    pair("c/one", [A], [A])
    pair("c/two", [A], [A])
    Path("c/two/student.ccpa-trace.jsonl").write_bytes(b"{}\n")
    for jobs in ("1", "2"):
        assert corpus("c", "--jobs", jobs) == 2
        assert "c/two/student.ccpa-trace.jsonl: line 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        corpus("c", "--jobs", "0")


@pytest.mark.usefixtures("folder")
def test_one_fixture_is_a_corpus_too() -> None:
    pair("c/one", [A], [A])
    assert corpus("c/one") == 0
    assert [one.fixture for one in find_pairs(Path("c/one"))] == ["one"]
