"""Asks the pinned library what it says of model files: `python loading.py FILE...`.

A line of JSON for each on standard output: null where it was loaded, else the library's own words.
Models that are loaded stay so to the end, which is abrupt: to unload one can take for ever.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import BinaryIO

import xllamacpp

ERRORS_ONLY = 1
LAST_WORDS = "exiting due to model loading error"
LOADED: list[xllamacpp.Server] = []


def complaint(path: str) -> str | None:
    """Load a model, and return what the library wrote to standard error if it could not."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.fit_params = False
    params.warmup = False
    params.n_ctx = 64
    params.verbosity = ERRORS_ONLY
    with tempfile.TemporaryFile() as said, _standard_error(said.fileno()):
        try:
            LOADED.append(xllamacpp.Server(params))
        except RuntimeError:
            return _all_said(said)
    return None


def _all_said(file: BinaryIO) -> str:
    """Wait for the library's last words, which a thread of its own writes."""
    while True:
        file.seek(0)
        said = file.read().decode(errors="replace")
        if LAST_WORDS in said:
            return said
        time.sleep(0.001)


@contextlib.contextmanager
def _standard_error(descriptor: int) -> Iterator[None]:
    kept = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write(json.dumps(complaint(name)) + "\n")
        sys.stdout.flush()
    os._exit(0)
