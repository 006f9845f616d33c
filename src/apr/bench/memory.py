"""What memory a process takes."""

import subprocess
from pathlib import Path


def peak(pid: int) -> int:
    """Return the most bytes that a living process has had in memory; on macOS those it has now.

    Pages of the model's file that are mapped count, as far as they have been touched.
    """
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    command = ["ps", "-o", "rss=", "-p", str(pid)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return int(told) * 1024 if told.isdigit() else 0
