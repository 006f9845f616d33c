import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa.cli.main import COMMANDS, load, main
from tests.ccpa.traces import lines, whole

CCPA = [sys.executable, "-m", "ccpa.cli.main"]


def run(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*CCPA, *arguments], capture_output=True, text=True, **options)  # type: ignore[call-overload,no-any-return]


def modules_after(*arguments: str) -> set[str]:
    """Return the modules that are imported once `ccpa` has done this."""
    script = (
        "import sys; from ccpa.cli.main import main\n"
        f"try: main({list(arguments)})\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_help_lists_every_command_and_imports_none() -> None:
    listing = run("--help")
    assert listing.returncode == 0
    for name, summary in COMMANDS.items():
        assert re.search(rf"^ +{name} +{re.escape(summary[:30])}", listing.stdout, re.MULTILINE)
    imported = modules_after("--help")
    assert {name for name in imported if name.startswith("ccpa.cli.")} == {"ccpa.cli.main"}
    assert not {"msgspec", "rich", "numpy"} & imported


def test_a_command_imports_no_other_command_and_nothing_that_only_a_terminal_needs() -> None:
    imported = modules_after("schema")
    assert "ccpa.cli.schema" in imported
    assert not {"ccpa.cli.validate", "rich"} & imported


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_help_that_is_listed_and_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert COMMANDS[name] == load(name).HELP
    with pytest.raises(SystemExit) as exited:
        main([name, "--help"])
    assert exited.value.code == 0
    assert f"ccpa {name}" in capsys.readouterr().out.partition("examples:")[2]


def test_every_subcommand_of_the_package_is_listed() -> None:
    folder = Path(importlib.import_module("ccpa.cli").__path__[0])
    modules = {path.stem.rstrip("_") for path in folder.glob("[!_]*.py")}
    assert {name for name in modules if hasattr(load(name), "HELP")} == set(COMMANDS)


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"ccpa \d+\.\d+\.\d+\S*\n", run("--version").stdout)


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["validate"], ["validate", "--nonsense"]])
def test_wrong_usage_exits_2_with_one_line_of_reason(arguments: list[str]) -> None:
    wrong = run(*arguments)
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert "error:" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_an_error_the_user_can_mend_has_no_traceback(tmp_path: Path) -> None:
    failed = run("validate", str(tmp_path / "*.jsonl"))
    assert failed.returncode == 2
    assert failed.stderr.splitlines() == [f"ccpa: no file matches {tmp_path}/*.jsonl"]


def test_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b"\n" * 100_000)
    command = [*CCPA, "validate", "--max-errors", "0", str(broken)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    good = tmp_path / "good.jsonl"
    good.write_bytes(lines(whole()))
    process = subprocess.Popen(
        [*CCPA, "validate", str(good), "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert b"valid" in process.stdout.readline()  # the first file is done: it now waits for stdin
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert (process.returncode, stderr) == (130, b"")
