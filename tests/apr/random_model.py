"""Models with random weights: real ones, in everything but wits."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "make_random_model.py"


def make(path: Path, *options: str) -> Path:
    """Write a model; without options one of 0.4 MB that loads in no time."""
    subprocess.run([sys.executable, TOOL, path, *options], check=True, capture_output=True)
    return path
