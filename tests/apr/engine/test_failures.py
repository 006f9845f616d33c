"""An engine that cannot be started says why, and leaves nobody behind."""

import struct
from pathlib import Path

import pytest

from apr.engine import state as engines
from apr.engine.client import attach
from apr.engine.state import EngineError
from tests.apr.engine.processes import of_home

FAKE_LIBRARY = """
class CommonParams:
    def __getattr__(self, name):
        self.__dict__[name] = CommonParams()
        return self.__dict__[name]

ggml_backend_dev_type = CommonParams()

def get_device_info():
    return []

def Server(params):
    import os, sys
    sys.stderr.write("native words\\n")
    sys.stderr.flush()
    {does}
"""


async def failure(model: Path, home: Path, *, ctx: int | None = None) -> str:
    """Return what is said of a model that cannot be loaded."""
    with pytest.raises(EngineError) as error:
        await attach(model, ctx=ctx)
    assert not of_home(home)
    assert not list((home / "engine").glob("*.json"))
    return str(error.value)


def native(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put another library in the place of the native one, for the engine process to import."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "xllamacpp.py").write_text(library)
    monkeypatch.setenv("PYTHONPATH", str(folder))


async def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"absent\.gguf: No such file"):
        await attach(tmp_path / "absent.gguf")


async def test_a_damaged_file(tiny: Path, tmp_path: Path, apr_home: Path) -> None:
    model = tmp_path / "cut.gguf"
    model.write_bytes(tiny.read_bytes()[:100_000])
    assert (await failure(model, apr_home)).startswith(f"{model}: cut short")


async def test_what_only_the_engine_finds_out(tiny: Path, tmp_path: Path, apr_home: Path) -> None:
    model = tmp_path / "other.gguf"
    model.write_bytes(tiny.read_bytes().replace(b"qwen3moe", b"qwen2moe"))
    assert "error loading model" not in (said := await failure(model, apr_home))
    assert "not found" in said


async def test_an_architecture_that_the_engine_has_no_code_for(
    tiny: Path, tmp_path: Path, apr_home: Path
) -> None:
    model = tmp_path / "new.gguf"
    model.write_bytes(tiny.read_bytes().replace(b"qwen3moe", b"qwen9moe"))
    assert "'qwen9moe', which this version of llama.cpp does not support" in await failure(
        model, apr_home
    )


async def test_a_tensor_that_the_architecture_needs(
    tiny: Path, tmp_path: Path, apr_home: Path
) -> None:
    model = tmp_path / "incomplete.gguf"
    model.write_bytes(tiny.read_bytes().replace(b"blk.1.attn_q.weight", b"blk.1.attn_x.weight"))
    assert "has no tensor 'blk.1.attn_q.weight'" in await failure(model, apr_home)


async def test_a_chat_template_that_cannot_be_read(
    tiny: Path, tmp_path: Path, apr_home: Path
) -> None:
    model = tmp_path / "template.gguf"
    model.write_bytes(tiny.read_bytes().replace(b"{%- if tools %}", b"{%- if tools zz"))
    message = await failure(model, apr_home)
    assert message.startswith(f"llama.cpp cannot load {model}\n")
    assert "Parser Error" in message


async def test_more_memory_than_there_is(tiny: Path, tmp_path: Path, apr_home: Path) -> None:
    data = bytearray(tiny.read_bytes())
    key = b"qwen3moe.context_length"
    struct.pack_into("<I", data, data.index(key) + len(key) + 4, 2**32 - 1)
    model = tmp_path / "boundless.gguf"
    model.write_bytes(data)
    message = await failure(model, apr_home, ctx=2**32 - 1)
    assert message.startswith("Not enough memory for tiny with a context of 4,294,967,295 tokens")
    assert "apr engine stop --all" in message


async def test_a_missing_system_library_is_named_with_the_command_that_installs_it(
    tiny: Path, tmp_path: Path, apr_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "libgomp.so.1: cannot open shared object file: No such file or directory"
    native(f"raise ImportError({reason!r})", tmp_path, monkeypatch)
    message = await failure(tiny, apr_home)
    assert reason in message
    assert "apt install libgomp1" in message


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("os.kill(os.getpid(), 11)", "was ended by SIGSEGV"),
        ("os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
        ("os._exit(7)", "ended with exit code 7"),
    ],
)
async def test_a_crash_of_native_code(
    tiny: Path,
    tmp_path: Path,
    apr_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    does: str,
    says: str,
) -> None:
    native(FAKE_LIBRARY.format(does=does), tmp_path, monkeypatch)
    message = await failure(tiny, apr_home)
    assert f"The engine {says} while it loaded {tiny}." in message
    assert message.endswith(".log:\nnative words")


async def test_a_state_directory_that_cannot_be_made(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("APR_HOME", str(file))
    with pytest.raises(EngineError, match="Cannot keep the engine's state in"):
        await attach(tiny)


async def test_a_state_directory_that_cannot_be_used(tiny: Path, folder: Path) -> None:
    (folder / f"{engines.identity(tiny)}.lock").mkdir()
    with pytest.raises(EngineError, match=f"its files in {folder}: .*Is a directory"):
        await attach(tiny)
