"""`apr rm`: remove a model."""

import argparse
import os
import sys

import msgspec

from apr.errors import AprError
from apr.home import home
from apr.legible import legible
from apr.models.removal import find, removal, remove_unfinished
from apr.ui.amounts import size
from apr.ui.terminal import plain

EPILOG = """\
examples:
  apr rm qwen3-coder:Q8_0
  apr rm --yes unsloth/Qwen3-Coder-Next-GGUF:UD-Q4_K_XL
  apr rm --unfinished

It removes what apr pull fetches: from the Hugging Face cache, where other quantisations stay, and
from ~/.apr/models. What other programs keep is theirs to remove. On a terminal it asks; anywhere
else it wants --yes."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Remove a model from the disk."
    parser.epilog = EPILOG
    add = parser.add_argument
    add("name", nargs="?", help="a name from apr list, a short name, or a path")
    add("--unfinished", action="store_true", help="remove what ended downloads have left instead")
    add("-y", "--yes", action="store_true", help="do not ask")
    add(
        "--force",
        action="store_true",
        help="also a file that apr did not fetch, or that an engine uses",
    )
    add("--json", action="store_true", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Remove it; return the exit code.

    Raises:
        AprError: it stays, and why.
    """
    if bool(args.name) == args.unfinished:
        raise AprError("name a model (apr list shows them), or use --unfinished")
    return _unfinished(args) if args.unfinished else _model(args)


def _model(args: argparse.Namespace) -> int:
    model = find(args.name, os.environ)
    gone = removal(model, force=args.force)
    what = f"{model.name} ({size(gone.freed)})"
    paths = [legible(str(path)) for path in gone.paths]
    if not args.yes and not _agreed(what, paths):
        return 1
    gone.execute()
    if args.json:
        answer = {"name": legible(model.name), "files": paths, "freed": gone.freed}
        print(msgspec.json.encode(answer).decode())
    else:
        print(plain(legible(f"removed {what}")))
    return 0


def _unfinished(args: argparse.Namespace) -> int:
    from apr.models import hubcache

    gone = remove_unfinished(home(os.environ) / "models", hubcache.location())
    freed = sum(count for _, count in gone)
    if args.json:
        paths = [legible(str(path)) for path, _ in gone]
        print(msgspec.json.encode({"files": paths, "freed": freed}).decode())
    else:
        print(f"removed what unfinished downloads had left ({size(freed)})")
    return 0


def _agreed(what: str, paths: list[str]) -> bool:
    """Ask on a terminal.

    Raises:
        AprError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise AprError(f"nobody can be asked here; to remove {plain(legible(what))}, add --yes")
    for path in paths:
        print(plain(path), file=sys.stderr)
    print(plain(legible(f"Remove {what}? [y/N] ")), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
