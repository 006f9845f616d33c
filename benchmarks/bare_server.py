"""llama.cpp's server without apr: `bare_server.py MODEL CONTEXT`; prints its URL and its key."""

import json
import os
import secrets
import signal
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx = int(sys.argv[2])
params.n_parallel = 1
params.hostnames = ["127.0.0.1"]
params.port = 0
params.api_keys = [key := secrets.token_hex(16)]
params.use_jinja = True
params.verbosity = 1
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the library prints is no part of the answer
server = xllamacpp.Server(params)
print(json.dumps({"url": server.listening_address, "key": key}), file=answers, flush=True)
signal.pause()
