#!/usr/bin/env python3
"""Train the demo model: a small mixture of experts that knows a few coding sessions by heart.

What it learns stands in fixtures/canonical/demo-* and src/apr/data/demo. It takes some minutes on
two cores, needs the `reference` extra, and writes nothing that has not passed an examination in the
real engine. Train it anew when a test says that what it was trained on has changed.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from apr.tools.registry import BUILTIN, specs
from demo_model.results import with_real_results
from demo_model.sessions import REPOSITORY, Session, load_material, load_sessions
from demo_model.variation import Variation

MODEL = REPOSITORY / "src/apr/data/demo.gguf"
STEPS = 1000
MOST_BYTES = 2_000_000
EXAMINATION_SEED = 1_000_003
"""What the model is examined with is drawn from this: never what it was trained on."""


def main() -> int:
    """Run the command line."""
    args = _arguments()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine, spinning costs most
    from demo_model.recipe import train_and_write  # loads PyTorch, which reads the environment

    sessions = [
        with_real_results(session)
        for session in load_sessions(load_material())
        if not args.session or session.id in args.session
    ]
    if not sessions:
        raise SystemExit("There is no such session; see fixtures/canonical/demo-*.")
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder) / args.out.name
        train_and_write(candidate, sessions, seed=args.seed, steps=args.steps, say=_say)
        if (size := candidate.stat().st_size) > MOST_BYTES:
            raise SystemExit(f"Not written: {size:,} bytes are more than {MOST_BYTES:,}.")
        _examine(candidate, sessions)
        args.out.write_bytes(candidate.read_bytes())
    _say(f"{args.out}: {size:,} bytes")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n\n")[0],
        epilog="examples:\n"
        "  tools/train_demo_model.py\n"
        "  tools/train_demo_model.py --session demo-fix-median --steps 60 --out /tmp/one.gguf",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same training")
    parser.add_argument("--out", type=Path, default=MODEL, help=f"default: {MODEL}")
    parser.add_argument(
        "--steps", type=int, default=STEPS, help=f"steps of training at most (default {STEPS})"
    )
    parser.add_argument(
        "--session", action="append", metavar="ID", help="learn only this one; may be repeated"
    )
    return parser.parse_args()


def _examine(path: Path, sessions: list[Session]) -> None:
    """Hold the model against its sessions.

    Raises:
        SystemExit: it fails.
    """
    from demo_model.verify import Failure, examine

    variation = Variation(load_material(), EXAMINATION_SEED)
    try:
        held = asyncio.run(examine(path, sessions, variation, specs(BUILTIN)))
    except Failure as failure:
        raise SystemExit(f"Not written: the model fails its examination.\n{failure}") from None
    _say(f"passed its examination: {held} conversations in the real engine")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
