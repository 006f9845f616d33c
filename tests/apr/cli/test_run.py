"""`apr run`: a question, or a chat, with a real model in the real engine."""

import argparse
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from apr.cli.run import configure
from tests.apr.engine.processes import end_engines
from tests.apr.program import APR, apr, environment
from tests.apr.random_model import make

BOUND = ("--temperature", "0", "--max-tokens", "24", "--ctx", "2048")


@pytest.fixture
def warm(home: Path) -> Iterator[Path]:
    """Return a home whose engines stay from run to run, and end with the test."""
    yield home
    end_engines(home / ".apr")


@pytest.fixture(scope="session")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model slow enough to be interrupted."""
    path = tmp_path_factory.mktemp("models") / "talkative.gguf"
    return make(path, "--width", "256", "--layers", "8", "--experts", "0", "--vocab", "4000")


def test_at_temperature_0_an_answer_is_always_the_same_also_from_a_warm_cache(
    tiny: Path, warm: Path, tmp_path: Path
) -> None:
    runs = [apr("run", tiny, "tell me", *BOUND, home=warm, cwd=tmp_path) for _ in range(3)]

    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len({run.stdout for run in runs}) == 1
    assert runs[0].stdout.strip()
    assert "remembered" not in runs[0].stderr
    assert "remembered" in runs[1].stderr
    for run in runs:
        assert run.stderr.count("tokens/s") == 2


def test_json_holds_the_answer_its_tokens_and_its_speed(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    words = ("--json", "--keep-alive", "0", "--system", "Be brief.", *BOUND)
    run = apr("run", tiny, *words, home=home, cwd=tmp_path, stdin="what is in this pipe?")

    result = json.loads(run.stdout)
    assert result["model"] == "tiny"
    assert result["usage"]["input_tokens"] > len("Be brief.what is in this pipe?") / 2
    assert 0 < result["usage"]["output_tokens"] <= 24
    assert result["stop_reason"] in ("end_turn", "max_tokens")
    assert result["speed"]["prefill"] > 0
    assert result["speed"]["generation"] > 0
    assert 0 < result["speed"]["first_token_s"] <= result["speed"]["total_s"]


def test_a_seed_samples_the_same_way_again(tiny: Path, warm: Path, tmp_path: Path) -> None:
    def said(*options: str) -> str:
        words = ("--temperature", "1", "--top-p", "0.9", "--top-k", "50", *BOUND[2:], *options)
        return apr("run", tiny, "tell me", *words, home=warm, cwd=tmp_path).stdout

    assert said("--seed", "7") == said("--seed", "7") != said("--seed", "8")


def test_an_answer_can_be_json_of_a_schema(warm: Path, tmp_path: Path) -> None:
    colour = {"enum": ["red", "green"]}
    properties = {"colour": colour, "n": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": ["colour", "n"]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))

    for given in ("schema.json", json.dumps(schema)):
        words = ("--json-schema", given, "--json", "--temperature", "0")
        run = apr("run", "demo", "pick one", *words, home=warm, cwd=tmp_path)
        result = json.loads(run.stdout)
        assert run.returncode == 0, run.stderr
        assert result["value"] == json.loads(result["text"])
        assert result["value"]["colour"] in colour["enum"]


def test_an_answer_that_is_not_of_the_schema_is_a_failure(warm: Path, tmp_path: Path) -> None:
    # The engine's grammar does not know `not`: only the schema itself can tell.
    schema = '{"type": "boolean", "not": {"type": "boolean"}}'
    words = ("--json-schema", schema, "--temperature", "0")
    run = apr("run", "demo", "yes?", *words, home=warm, cwd=tmp_path)
    assert (run.returncode, run.stdout.strip() in ("true", "false")) == (1, True)
    assert "apr: The answer is not of the schema: $" in run.stderr

    words = ("--json-schema", '{"type": "string", "minLength": 50}', "--max-tokens", "3")
    run = apr("run", "demo", "say", *words, home=warm, cwd=tmp_path)
    assert run.returncode == 1
    assert "cut off (see --max-tokens" in run.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x", "--json-schema", "{"), "--json-schema is not JSON"),
        (("x", "--json-schema", "none.json"), "cannot read none.json"),
        (("x", "--json-schema", '{"type": "colour"}'), "no JSON Schema: $.type"),
        (("x", "--top-p", "0"), "not above 0"),
        (("x", "--seed", "-1"), "not a whole number"),
        (("x", "--seed", "1", "y"), "unrecognized arguments: y"),
        ((), "what is the question?"),
    ],
)
def test_wrong_usage_is_said(words: tuple[str, ...], said: str, home: Path, tmp_path: Path) -> None:
    run = apr("run", "demo", *words, home=home, cwd=tmp_path)
    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "words",
    [("demo", "hi", "--max-tokens", "2"), ("demo", "--max-tokens", "2", "hi"),
     ("--max-tokens", "2", "demo", "hi"), ("--max-tokens", "2", "demo", "--json", "hi")],
)  # fmt: skip
def test_options_may_stand_anywhere(words: tuple[str, ...]) -> None:
    parser = argparse.ArgumentParser()
    configure(parser)
    args = parser.parse_args(words)
    assert (args.model, args.prompt, args.max_tokens) == ("demo", "hi", 2)


def test_there_is_no_such_model(home: Path, tmp_path: Path) -> None:
    assert apr("run", "./none.gguf", "hello", home=home, cwd=tmp_path).returncode == 3


def test_a_file_that_is_no_model_is_wrong_input(home: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF is not all of it")
    run = apr("run", "./broken.gguf", "hello", home=home, cwd=tmp_path)
    assert run.returncode == 2
    assert "broken.gguf: cannot be read" in run.stderr


class Terminal:
    """`apr run` on a terminal of its own."""

    def __init__(self, *words: str | Path, home: Path, cwd: Path) -> None:
        self._descriptor, other = pty.openpty()
        variables = environment(home) | {"TERM": "xterm"}
        self.process = subprocess.Popen(
            [APR, "run", *map(str, words)],
            stdin=other, stdout=other, stderr=other,
            cwd=cwd, env=variables, start_new_session=True, preexec_fn=_own_terminal,
        )  # fmt: skip
        os.close(other)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def wait_for(self, text: str) -> str:
        """Return what is shown up to `text`, from the last time on."""
        while text not in self.shown:
            self.shown += os.read(self._descriptor, 4096).decode(errors="replace")
        before, _, self.shown = self.shown.partition(text)
        return before

    def end(self) -> int:
        try:
            while data := os.read(self._descriptor, 4096):
                self.shown += data.decode(errors="replace")
        except OSError:  # how Linux says that the other side has gone
            pass
        os.close(self._descriptor)
        return self.process.wait()


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_chat_remembers_and_ctrl_c_ends_an_answer_not_the_chat(
    talkative: Path, home: Path, tmp_path: Path
) -> None:
    terminal = Terminal(talkative, "--keep-alive", "0", "--ctx", "8192", home=home, cwd=tmp_path)
    terminal.wait_for("> ")
    terminal.type("begin and never end\n")
    terminal.wait_for("never end\r\n")
    terminal.wait_for("\r\x1b[K")  # it has read the prompt
    terminal.type("\x03")
    terminal.wait_for("(cancelled)")
    terminal.wait_for("> ")
    terminal.type("/help\n")
    terminal.wait_for("/exit or Ctrl-D ends the chat")
    terminal.wait_for("> ")
    terminal.type("\x03\n")  # with nothing to end
    terminal.wait_for("> ")
    terminal.type("/exit\n")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.shown


def test_a_chat_keeps_its_history_until_it_is_told_not_to(home: Path, tmp_path: Path) -> None:
    words = ("--keep-alive", "0", "--temperature", "0", "--max-tokens", "8")
    terminal = Terminal("demo", *words, home=home, cwd=tmp_path)
    read = []
    for line in ("hello", "and again", "/clear\nand again"):
        terminal.wait_for("> ")
        terminal.type(f"{line}\n")
        terminal.wait_for("\x1b[2mprompt: ")
        shown = terminal.wait_for("first token after")
        fresh, cached = shown.partition(" tokens")[0], shown.partition("s, ")[2].split(" remem")[0]
        read.append(int(fresh) + (int(cached) if cached.isdigit() else 0))
    terminal.wait_for("> ")
    terminal.type("\x04")
    assert terminal.end() == 0
    assert read[1] > read[0] + 8  # the first exchange as well
    assert read[2] < read[1]


def test_a_terminal_is_told_to_stop_by_a_signal(home: Path, tmp_path: Path) -> None:
    terminal = Terminal("demo", "--keep-alive", "0", home=home, cwd=tmp_path)
    terminal.wait_for("> ")
    terminal.process.send_signal(signal.SIGHUP)
    assert terminal.end() in (-signal.SIGHUP, 128 + signal.SIGHUP)
