import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ccpa.cli.main import main
from tests.ccpa.exporters.collector import collecting
from tests.ccpa.traces import asked, end, lines, prompt, said, session, whole

GOOD = lines(whole())
DEEP: Any = {"type": "tool_use", "id": "k", "name": "Bash", "input": {}}
for _ in range(600):
    DEEP["input"] = {"x": DEEP["input"]}
SHORT = lines([session(), prompt(0), said(1), end(1)])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two traces, which is also the working directory."""
    (tmp_path / "good.jsonl").write_bytes(GOOD)
    (tmp_path / "short.jsonl").write_bytes(SHORT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def export(*arguments: str) -> int:
    return main(["export", *arguments])


def test_one_trace_goes_to_stdout_as_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert export("atif", "good.jsonl") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["schema_version"] == "ATIF-v1.7"
    assert said.err == ""


def test_several_traces_go_to_one_file_a_line_each(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("atif", "*.jsonl", "-o", "all.json") == 0
    assert len((folder / "all.json").read_bytes().splitlines()) == 2
    assert "ccpa: 2 trajectories written to all.json" in capsys.readouterr().err


def test_a_trace_can_come_from_stdin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SHORT)))
    assert export("sft", "-", "-o", "-") == 0
    assert len(json.loads(capsys.readouterr().out)["messages"]) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "bad.jsonl: holds no record"),
        (lines([prompt(0)]), "bad.jsonl:1: the first record must be a session_start"),
        (SHORT + b"\n" + SHORT, "bad.jsonl:6: a record after session_end"),
        (b"{}\n", "bad.jsonl:1: Object missing required field `kind`"),
        (lines([session(), session()]), "bad.jsonl:2: a second session_start"),
        (lines([session(), prompt(0), said(1, parent_tool_use_id="x")]), "bad.jsonl:3: of a sub"),
        (lines([session(), prompt(0), asked(1, blocks=[DEEP])]), "bad.jsonl:3: a tool's input is "),
        (lines([session()]) + b"[" * 9999 + b"\n", "bad.jsonl:2: "),
        (lines([session()]) + b"\xff\n", "bad.jsonl:2: "),
        (lines([session()]) + b"[" * (17 << 20), "bad.jsonl:2: longer than 16 MiB"),
    ],
)
def test_an_error_names_file_and_line_and_leaves_the_output_as_it_was(
    folder: Path, data: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.jsonl").write_bytes(data)
    (folder / "out.json").write_text("as it was")
    assert export("atif", "good.jsonl", "bad.jsonl", "-o", "out.json") == 2
    assert f"ccpa: {message}" in capsys.readouterr().err
    assert (folder / "out.json").read_text() == "as it was"
    assert sorted(path.name for path in folder.iterdir()) == [
        "bad.jsonl",
        "good.jsonl",
        "out.json",
        "short.jsonl",
    ]


def test_a_line_that_a_crash_cut_is_left_out_and_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "crashed.jsonl").write_bytes(SHORT[:-9])
    assert export("atif", "crashed.jsonl", "-o", "out.json") == 0
    assert "ccpa: crashed.jsonl:4: cut short; that line is left out" in capsys.readouterr().err
    assert len(json.loads((folder / "out.json").read_bytes())["steps"]) == 2


def test_a_file_that_is_replaced_keeps_its_permissions(folder: Path) -> None:
    (folder / "out.json").touch(mode=0o600)
    assert export("sft", "short.jsonl", "-o", "out.json") == 0
    assert stat.S_IMODE((folder / "out.json").stat().st_mode) == 0o600


def test_a_link_leads_to_the_file_that_is_written(folder: Path) -> None:
    (folder / "link").symlink_to("real.json")
    assert export("sft", "short.jsonl", "-o", "link") == 0
    assert (folder / "link").is_symlink()
    assert (folder / "real.json").read_bytes().count(b"\n") == 1


def test_a_trace_is_never_overwritten_by_its_export(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("sft", "*.jsonl", "-o", "./good.jsonl") == 2
    assert "good.jsonl would overwrite itself" in capsys.readouterr().err
    assert (folder / "good.jsonl").read_bytes() == GOOD


def test_a_pipe_is_written_as_it_comes(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    command = [sys.executable, "-m", "ccpa.cli.main", "export", "sft", "short.jsonl", "-o", "pipe"]
    with subprocess.Popen(command, cwd=folder) as exporting:
        assert (folder / "pipe").read_bytes().count(b"\n") == 1
    assert exporting.returncode == 0


@pytest.mark.parametrize("place", [".", "no/such/folder/x"])
def test_a_place_that_cannot_be_written_is_an_error(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("sft", "short.jsonl", "-o", place) == 2
    assert f"ccpa: cannot write {place}: " in capsys.readouterr().err


def test_what_is_left_out_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert export("sft", "good.jsonl", "short.jsonl", "-o", "rows.jsonl") == 0
    told = capsys.readouterr().err
    assert "ccpa: 1 left out: the trace lacks what the model saw" in told
    assert "ccpa: 1 row written to rows.jsonl" in told
    assert export("sft", "good.jsonl", "short.jsonl", "--all", "-o", "rows.jsonl") == 0
    assert "ccpa: 2 rows written to rows.jsonl" in capsys.readouterr().err


def test_tools_that_cannot_be_read_are_an_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("sft", "short.jsonl", "--tools", "absent.json") == 2
    assert "cannot read absent.json: No such file" in capsys.readouterr().err
    (folder / "tools.json").write_text("{}")
    assert export("sft", "short.jsonl", "--tools", "tools.json") == 2
    assert "ccpa: tools.json: no list of tools: " in capsys.readouterr().err


def test_spans_go_to_the_collector_that_is_named_and_nowhere_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with collecting() as collector:
        assert export("otel", "*.jsonl", "--endpoint", collector.url, "-o", "spans.jsonl") == 0
    assert len(collector.spans) == 12
    told = capsys.readouterr()
    assert told.out == ""
    assert f"ccpa: 12 spans sent to {collector.url}/v1/traces" in told.err
    written = [json.loads(line) for line in (folder / "spans.jsonl").read_bytes().splitlines()]
    ids = [
        span["spanId"]
        for line in written
        for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]
    assert ids == [span.span_id.hex() for span in collector.spans]


def test_spans_need_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert export("otel", "good.jsonl") == 2
    assert "say where to: --endpoint URL" in capsys.readouterr().err


def test_without_the_extra_the_error_says_how_to_get_it(folder: Path) -> None:
    """Run in a Python that finds no OpenTelemetry."""
    hide = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.startswith('opentelemetry'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from ccpa.cli.main import main\n"
        "sys.exit(main(['export', 'otel', 'good.jsonl', '-o', '-']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'apr-code[otel]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["yaml", "x"], ["sft"], ["sft", "x", "--max-chars", "0"]]
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        export(*arguments)
    assert stopped.value.code == 2
