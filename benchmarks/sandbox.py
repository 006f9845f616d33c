"""What the sandbox costs a command: the same command as Bash runs it, without and with.

    python benchmarks/sandbox.py [--rounds 60]

They take turns, so that what else the machine does meets all. Times are of the whole command, from
its start to its last word. On a machine that is busy the least is nearest to what it costs by
itself, for a sandbox is several processes that wait for each other.
"""

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from apr.agent.permissions import Policy
from apr.sandbox.confinement import Confinement, unavailable
from apr.settings.schema import Network, Sandbox
from apr.tools.shells import Shells


async def once(shells: Shells, root: Path) -> float:
    """Run a command that does nothing and return the milliseconds it took."""
    began = time.perf_counter()
    shell = await shells.start("true", root)
    if status := await shell.finished():
        raise SystemExit(f"status {status}: {shell.output.take().text}")
    return (time.perf_counter() - began) * 1000


async def measure(rounds: int, root: Path) -> None:
    """Measure and print."""
    policy = Policy(root=root)
    listed = Network(allowed_domains=("example.com",))
    sandboxes = {
        "no network": Confinement(Sandbox(enabled=True), policy),
        "allow-list": Confinement(Sandbox(enabled=True, network=listed), policy),
    }
    shells = {"none": Shells(), **{name: Shells(None, one) for name, one in sandboxes.items()}}
    first = {name: await once(shell, root) for name, shell in shells.items()}
    times: dict[str, list[float]] = {name: [] for name in shells}
    for _ in range(rounds):
        for name, shell in shells.items():
            times[name].append(await once(shell, root))
    for shell in shells.values():
        await shell.close()
    for sandbox in sandboxes.values():
        await sandbox.close()
    least, middle = min(times["none"]), statistics.median(times["none"])
    print(f"{'ms':<12}{'first':>8}{'min':>8}{'more':>7}{'median':>8}{'more':>7}{'ratio':>7}")
    for name, taken in times.items():
        low, half = min(taken), statistics.median(taken)
        figures = f"{first[name]:8.1f}{low:8.1f}{low - least:7.1f}{half:8.1f}{half - middle:7.1f}"
        print(f"{name:<12}{figures}{half / middle:7.2f}")


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
