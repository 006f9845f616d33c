"""What the sandbox costs a command: the same command as Bash runs it, without and with.

    python benchmarks/sandbox.py [--rounds 60]

They take turns, so that what else the machine does meets all. Times are of the whole command, from
its start to its last word. A sandbox is several processes that wait for each other, so on a machine
that is busy it takes the longer; `cpu`, what all of them and we have computed, tells what it costs.
"""

import argparse
import asyncio
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from apr.agent.permissions import Policy
from apr.sandbox.confinement import Confinement, unavailable
from apr.settings.schema import Network, Sandbox
from apr.tools.shells import Shells


async def once(shells: Shells, root: Path) -> tuple[float, float]:
    """Run a command that does nothing; return the milliseconds it took, and those computed."""
    began, computed = time.perf_counter(), _computed()
    shell = await shells.start("true", root)
    if status := await shell.finished():
        raise SystemExit(f"status {status}: {shell.output.take().text}")
    return (time.perf_counter() - began) * 1000, (_computed() - computed) * 1000


def _computed() -> float:
    """Return the seconds that we and our ended processes have computed."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))


async def measure(rounds: int, root: Path) -> None:
    """Measure and print."""
    policy = Policy(root=root)
    listed = Network(allowed_domains=("example.com",))
    sandboxes = {
        "no network": Confinement(Sandbox(enabled=True), policy),
        "allow-list": Confinement(Sandbox(enabled=True, network=listed), policy),
    }
    shells = {"none": Shells(), **{name: Shells(None, one) for name, one in sandboxes.items()}}
    first = {name: (await once(shell, root))[0] for name, shell in shells.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in shells}
    for _ in range(rounds):
        for name, shell in shells.items():
            times[name].append(await once(shell, root))
    for shell in shells.values():
        await shell.close()
    for sandbox in sandboxes.values():
        await sandbox.close()
    print(
        f"{'ms':<12}{'first':>8}{'min':>8}{'median':>8}{'more':>7}{'ratio':>7}{'cpu':>7}{'more':>7}"
    )
    bare, bare_cpu = (statistics.median(column) for column in zip(*times["none"], strict=True))
    for name, taken in times.items():
        whole, cpu = zip(*taken, strict=True)
        half, computed = statistics.median(whole), statistics.median(cpu)
        figures = f"{first[name]:8.1f}{min(whole):8.1f}{half:8.1f}{half - bare:7.1f}"
        print(f"{name:<12}{figures}{half / bare:7.2f}{computed:7.1f}{computed - bare_cpu:7.1f}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    if reason := unavailable():
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        root = Path(folder).resolve()
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        asyncio.run(measure(args.rounds, root))


if __name__ == "__main__":
    main()
