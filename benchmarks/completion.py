"""What completing a file behind `@` takes in a project of many files.

Makes a tree of empty files, lists it as the terminal does, and types the beginnings of words of
files' names, letter by letter.

- listing: from the first `@` until all names can be searched, how long it keeps the event loop
  from its other work at most, and the memory it takes;
- keystroke: from a letter until the names that fit are known, in order: by the clock, and the
  processor's time, which others on a busy machine do not lengthen;
- found: how often a file whose name has the words that were meant is among the first ten after
  the last letter. (Which of several such files is meant the letters do not say.)

    python benchmarks/completion.py [--files 100000] [--words 200] [--json]
"""

import argparse
import asyncio
import json
import random
import re
import statistics
import tempfile
import time
from pathlib import Path

from apr.terminal.file_index import FileIndex

KEY_MS = 16.0
_WORDS = re.findall(
    r"\w+",
    """
agent loop call event prompt session model tool file index complete terminal screen key test util
config main server client http json parse read write hook skill memory engine cache token stream
trace score align measure replay fixture command status line picker rewind consent doctor shell user
data core base store path name list view page button form table modal route handler service
""",
)
_SUFFIXES = (".py", ".ts", ".tsx", ".js", ".md", ".json", ".go", ".rs", ".c", ".h", ".css")


def names(count: int, seed: int) -> list[str]:
    """Return names like those of a large project: about ten files a directory, some words each."""
    draw = random.Random(seed)
    folders = [""]
    while len(folders) < count // 10:
        above = draw.choice(folders)
        if above.count("/") < 6:
            folders.append(f"{above}{draw.choice(_WORDS)}{draw.choice(['', 's', '2'])}/")
    found: set[str] = set()
    while len(found) < count:
        words = draw.sample(_WORDS, draw.randint(1, 3))
        stem = draw.choice(["_".join(words), "-".join(words), "".join(map(str.title, words))])
        found.add(f"{draw.choice(folders)}{stem}{draw.choice(_SUFFIXES)}")
    return sorted(found)


def make(root: Path, files: list[str]) -> None:
    """Make the files, empty."""
    for folder in sorted({(root / name).parent for name in files}):
        folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (root / name).touch()


def typed(name: str, draw: random.Random) -> str:
    """Return what somebody may type for a file: of each word of its name the first letters."""
    stem = name.rpartition("/")[2].partition(".")[0]
    words = re.findall(r"[A-Z]?[a-z0-9]+", stem)
    return "".join(word[: draw.randint(1, 4)] for word in words).lower()


def resident_mb() -> float:
    """Return the memory that this process has."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else float("nan")


async def list_all(index: FileIndex) -> tuple[float, float]:
    """List a project; return the seconds that took, and the longest that others waited."""
    began, waited = time.perf_counter(), 0.0
    index.refresh()
    while not index.complete:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        waited = max(waited, time.perf_counter() - before - 0.001)
    return time.perf_counter() - began, waited


async def keystrokes(index: FileIndex, words: list[str]) -> tuple[list[float], list[float]]:
    """Type words letter by letter; return the milliseconds of each, sorted: clock, processor."""
    clock, processor = [], []
    for word in words:
        for end in range(1, len(word) + 1):
            began, worked = time.perf_counter(), time.thread_time()
            await index.names.search(word[:end])
            clock.append((time.perf_counter() - began) * 1000)
            processor.append((time.thread_time() - worked) * 1000)
    return sorted(clock), sorted(processor)


async def measured(root: Path, files: list[str], words: int, seed: int) -> dict[str, float]:
    """Return all figures."""
    draw = random.Random(seed)
    before = resident_mb()
    index = FileIndex(root)
    seconds, waited = await list_all(index)
    memory = resident_mb() - before
    meant = draw.sample(files, words)
    pieces = [typed(name, draw) for name in meant]
    clock, processor = await keystrokes(index, pieces)
    return {
        "files": len(files),
        "letters_of_a_path": statistics.mean(map(len, files)),
        "listing_s": seconds,
        "others_waited_ms": waited * 1000,
        "memory_mb": memory,
        "keystrokes": len(clock),
        "keystroke_median_ms": statistics.median(clock),
        "keystroke_p99_ms": clock[int(0.99 * len(clock))],
        "keystroke_worst_ms": clock[-1],
        "keystroke_median_cpu_ms": statistics.median(processor),
        "keystroke_p99_cpu_ms": processor[int(0.99 * len(processor))],
        "keystroke_worst_cpu_ms": processor[-1],
        "found_of_ten": await found(index, meant, pieces),
    }


async def found(index: FileIndex, meant: list[str], pieces: list[str]) -> float:
    """Return how often a file with the words that were meant is among the first ten."""
    count = 0
    for name, piece in zip(meant, pieces, strict=True):
        shown = await index.names.search(piece, most=10)
        count += words_of(name) in map(words_of, shown)
    return count / len(meant)


def words_of(name: str) -> str:
    """Return the words of a file's name, whatever is between them."""
    return re.sub(r"[^a-z0-9]", "", Path(name).stem.lower())


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    files = names(args.files, args.seed)
    with tempfile.TemporaryDirectory(prefix="apr-bench-") as folder:
        make(Path(folder), files)
        result = asyncio.run(measured(Path(folder), files, args.words, args.seed))
    if args.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name:24} {value:12,.2f}")
    good = result["keystroke_p99_ms"] <= KEY_MS
    print(f"99 of 100 keystrokes are {'within' if good else 'not within'} {KEY_MS:.0f} ms")


if __name__ == "__main__":
    main()
