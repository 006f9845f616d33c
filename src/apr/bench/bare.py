"""llama.cpp without apr: `python -m apr.bench.bare MODEL CONTEXT THREADS`, a process of its own.

It loads the model as the library does by itself, apart from the size of the context and the number
of threads (0: the library's own). It answers the requests that it reads as JSON lines:
`{"prompt": [token ids], "n_predict": 128}` is answered with the library's `timings` and the time
that its call took. No HTTP and no code of apr is between.
"""

import json
import os
import sys
import time
from typing import Any


def main(model: str, context: int, threads: int) -> None:
    """Answer requests until standard input ends."""
    # The library writes to the real standard output at times: answers go to a copy of it.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = _load(model, context, threads)
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line) | {"temperature": 0, "ignore_eos": True, "cache_prompt": True}
        began = time.perf_counter()
        timings = server.handle_completions(request)["timings"]
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "timings": timings}), file=answers, flush=True)
    os._exit(0)  # unloading takes its time, and nobody waits for it


def _load(model: str, context: int, threads: int) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [os.urandom(24).hex()]  # it listens too, whether anybody wants it or not
    params.n_ctx = context
    params.n_parallel = 1
    if threads:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = 1
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
