"""`ccpa schema`: the trace's JSON Schema."""

import argparse
import sys

from ccpa.schema import schema_text

HELP = "print the JSON Schema of a trace's records"

_EPILOG = """\
examples:
  ccpa schema > trace.schema.json         what any agent's records must look like
  ccpa schema --version 2                 what the older version knows, and nothing more

The schema describes one line. What makes the lines a trace (turns that rise, results that answer
tool uses, one start and one end) is checked by `ccpa validate`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa schema`."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--version", type=int, choices=(2, 3), default=3, help="version of the schema (default: 3)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    sys.stdout.write(schema_text(args.version))
    return 0
