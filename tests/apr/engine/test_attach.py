"""Attaching to an engine: started on demand, shared, replaced when it is gone."""

import asyncio
import os
import shutil
import signal
import stat
from pathlib import Path

import pytest

from apr.engine import client
from apr.engine import state as engines
from apr.engine.client import attach
from tests.apr.engine.processes import chat, eventually, is_alive, of_home, only, python, status

ATTACH = """
import asyncio, sys
from pathlib import Path
from apr.engine.client import attach
print(asyncio.run(attach(Path(sys.argv[1]))).pid)
"""


async def test_an_engine_starts_on_demand_and_answers(tiny: Path) -> None:
    endpoint = await attach(tiny)
    answer = chat(endpoint, "hello")
    assert answer["usage"]["completion_tokens"] >= 1
    assert endpoint.model_name == answer["model"] == "tiny"
    assert endpoint.context == 4096
    assert endpoint.template is not None
    assert "<|im_start|>" in endpoint.template


async def test_a_running_engine_is_used_again(tiny: Path) -> None:
    first = await attach(tiny)
    assert await attach(tiny) == first


async def test_a_model_is_the_same_by_any_path(tiny: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(tiny)
    assert (await attach(tiny)).pid == (await attach(link)).pid


@pytest.mark.parametrize("variable", ["APR_HOME", "HOME"])
async def test_a_home_may_be_relative(
    variable: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APR_HOME")
    monkeypatch.setenv(variable, "here")
    monkeypatch.setattr(client, "START_BOUND_S", 10.0)
    endpoint = await attach(tiny)
    assert (await attach(tiny)).pid == endpoint.pid
    os.kill(endpoint.pid, signal.SIGTERM)
    eventually(lambda: not is_alive(endpoint.pid))


async def test_agents_that_start_at_once_share_one_engine(tiny: Path, apr_home: Path) -> None:
    agents = [python(ATTACH, tiny) for _ in range(3)]
    pids = {int(agent.communicate()[0]) for agent in agents}
    pids |= {endpoint.pid for endpoint in await asyncio.gather(attach(tiny), attach(tiny))}
    assert of_home(apr_home) == list(pids)


async def test_who_waits_for_another_ones_start_is_told_so(tiny: Path) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    with engines.try_lock(engines.directory(), engines.identity(tiny)) as held:
        assert held
        waiting = asyncio.create_task(attach(tiny, on_progress=told.put_nowait))
        assert await told.get() == "waiting for the engine that another apr is starting"
    await waiting
    assert told.get_nowait() == f"loading tiny ({tiny.stat().st_size / 1e3:.1f} kB)"


async def test_attaching_to_a_warm_engine_starts_and_imports_nothing(tiny: Path) -> None:
    endpoint = await attach(tiny)
    program = """
import sys
started = []
sys.addaudithook(lambda event, _: started.append(event) if event in NOISY else None)
NOISY = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system"}
"""
    program += ATTACH + "print(started, sorted(sys.modules.keys() & {'xllamacpp','gguf','numpy'}))"
    output = python(program, tiny).communicate()[0].split()
    assert output == [str(endpoint.pid), "[]", "[]"]


async def test_a_larger_context_needs_an_engine_of_its_own(tiny: Path) -> None:
    small = await attach(tiny, ctx=1024)
    assert small.context == 1024
    large = await attach(tiny, ctx=2048)
    assert large.context == 2048
    assert is_alive(small.pid), "it may be in use"
    assert (await attach(tiny, ctx=512)).pid == large.pid
    assert (await attach(tiny)).pid == large.pid


async def test_more_context_than_the_model_was_trained_for_gives_no_more(tiny: Path) -> None:
    endpoint = await attach(tiny, ctx=1_000_000)
    assert endpoint.context == 4096
    assert await attach(tiny, ctx=2_000_000) == endpoint


async def test_a_model_that_was_replaced_is_loaded_anew(tiny: Path, tmp_path: Path) -> None:
    model = tmp_path / "changing.gguf"
    shutil.copy(tiny, model)
    old = await attach(model)
    model.unlink()
    shutil.copy(tiny, model)
    assert (await attach(model)).pid != old.pid


async def test_a_killed_engine_is_replaced(tiny: Path, folder: Path) -> None:
    old = await attach(tiny)
    os.kill(old.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(old.pid))
    new = await attach(tiny)
    assert new.pid != old.pid
    assert chat(new, "hello")
    assert [path.name for path in folder.glob("*.json")] == [
        f"{engines.identity(tiny)}.{new.pid}.json"
    ]


async def test_a_stale_file_is_not_believed_even_if_its_process_id_lives(
    tiny: Path, folder: Path
) -> None:
    old = await attach(tiny)
    os.kill(old.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(old.pid))
    (stale,) = folder.glob("*.json")
    stale.write_text(stale.read_text().replace(str(old.pid), str(os.getpid())))
    assert (await attach(tiny)).pid not in {old.pid, os.getpid()}


async def test_a_file_of_another_version_is_passed_over(tiny: Path, folder: Path) -> None:
    old = await attach(tiny)
    (file,) = folder.glob("*.json")
    file.write_text("{}")
    assert (await attach(tiny)).pid != old.pid


async def test_an_engine_that_does_not_answer_is_passed_over(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = await attach(tiny)
    monkeypatch.setattr(client, "ANSWER_BOUND_S", 0.1)
    os.kill(hung.pid, signal.SIGSTOP)
    threads = Path(f"/proc/{hung.pid}/task")
    eventually(lambda: all(") T " in file.read_text() for file in threads.glob("*/stat")))
    told: list[str] = []
    assert (await attach(tiny, on_progress=told.append)).pid != hung.pid
    assert told[0] == f"the engine with process id {hung.pid} does not answer"
    os.kill(hung.pid, signal.SIGCONT)


async def test_without_the_key_nothing_is_answered(tiny: Path) -> None:
    endpoint = await attach(tiny)
    assert status(endpoint, "/models") == 200
    assert status(endpoint, "/models", key=None) == 401
    assert status(endpoint, "/models", key="wrong") == 401


async def test_nobody_else_can_read_the_key(tiny: Path, folder: Path) -> None:
    folder.chmod(0o755)
    endpoint = await attach(tiny)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (endpoint.api_key in path.read_text()) == (path.suffix == ".json")
    assert endpoint.api_key.encode() not in Path(f"/proc/{endpoint.pid}/cmdline").read_bytes()


async def test_the_engine_does_not_get_our_secrets(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    endpoint = await attach(tiny)
    environment = Path(f"/proc/{endpoint.pid}/environ").read_bytes()
    assert b"PATH=" in environment
    assert b"secret" not in environment


async def test_a_private_engine_is_not_shared_and_ends_with_its_process(
    tiny: Path, folder: Path
) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from apr.engine.client import attach
for _ in range(2):
    print(asyncio.run(attach(Path(sys.argv[1]), keep_alive=0)).pid, flush=True)
sys.stdin.read()
"""
    owner = python(program, tiny)
    assert owner.stdout is not None
    pids = {int(owner.stdout.readline()) for _ in range(2)}
    assert pids == {only(folder).pid}
    pids.add((await attach(tiny)).pid)
    pids.add((await attach(tiny, keep_alive=0)).pid)
    assert len(pids) == 3
    owner.kill()
    owner.communicate()
    eventually(lambda: len([pid for pid in pids if is_alive(pid)]) == 2)


async def test_giving_up_while_it_loads_leaves_no_process(tiny: Path, apr_home: Path) -> None:
    attaching = asyncio.create_task(attach(tiny))
    while not of_home(apr_home):
        await asyncio.sleep(0)
    attaching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attaching
    assert not of_home(apr_home)
