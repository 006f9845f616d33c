"""The native server, llama.cpp through `xllamacpp`, set up. Only the engine process imports it."""

import os
import sys
from pathlib import Path
from typing import Any

from apr.engine.machine import BATCH, Plan
from apr.engine.state import EngineError
from apr.models.header import ModelInfo

ERRORS_ONLY = 1
EMBEDDED_TOKENS = 8192
"""How long a text may be that is embedded; less where the model was trained for less."""


def load(
    info: ModelInfo,
    plan: Plan,
    *,
    name: str,
    key: str,
    port: int,
    threads: int | None,
    slots_folder: Path | None = None,
    projector: Path | None = None,
) -> Any:
    """Return the native server with the model in it, listening on loopback.

    Slots can be saved to files of `slots_folder`. With a `projector` (the GGUF that is published
    as `mmproj`) the model can be shown images. What llama.cpp has to say goes to standard error.

    Raises:
        EngineError: the library is not usable here, or cannot load the model.
    """
    library = _library()
    params = _params(library, info, name=name, key=key, port=port, threads=threads)
    params.n_ctx = plan.context * plan.slots
    params.n_parallel = plan.slots
    params.cache_ram_mib = plan.cache_mib
    if slots_folder is not None:
        params.slot_save_path = f"{slots_folder}/"
    if projector is not None:
        params.mmproj.path = str(projector.absolute())
    return _server(library, params, info)


def load_embedder(info: ModelInfo, *, name: str, key: str, threads: int | None) -> Any:
    """Return a native server that embeds texts with the model: the mean over their tokens.

    It is one beside that of `load`, because a context that yields embeddings generates several
    times slower. It shares the pages of the mapped weights with the other.

    Raises:
        EngineError: as for `load`.
    """
    library = _library()
    params = _params(library, info, name=name, key=key, port=0, threads=threads)
    params.embedding = True
    params.pooling_type = library.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.no_extra_bufts = True  # else the weights are repacked, into memory of their own
    params.n_ctx = params.n_batch = params.n_ubatch = min(info.context_length, EMBEDDED_TOKENS)
    params.n_parallel = 1
    params.cache_ram_mib = 0
    return _server(library, params, info)


def _params(
    library: Any, info: ModelInfo, *, name: str, key: str, port: int, threads: int | None
) -> Any:
    params = library.CommonParams()
    params.model.path = str(info.path.absolute())
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [key]
    params.cors_origins = ""  # no web page has business here
    params.ui = False
    params.offline = True
    params.use_jinja = True
    params.endpoint_props = True
    params.endpoint_metrics = True
    params.verbosity = ERRORS_ONLY
    params.kv_unified = False
    params.n_batch = BATCH  # between batches a cancelled request ends, and others have their turn
    params.fit_params = _has_gpu(library)  # it loads the header twice, to divide what is in it
    if threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    return params


def _server(library: Any, params: Any, info: ModelInfo) -> Any:
    try:
        return library.Server(params)
    except RuntimeError as error:
        raise EngineError(f"llama.cpp cannot load {info.path}") from error


def library_version() -> str:
    """Return the version of the library that `load` has imported."""
    return str(sys.modules["xllamacpp"].__version__)


def installed_version() -> str:
    """Return the version of the library that `load` would import."""
    from importlib.metadata import version

    return version("xllamacpp")


def _library() -> Any:
    # A failed assertion ends the process; ggml would first start a debugger on it, if there is one.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    try:
        import xllamacpp
    except ImportError as error:
        advice = ""
        if "libgomp" in str(error):
            advice = (
                "\nInstall the OpenMP runtime: apt install libgomp1 (Fedora: dnf install libgomp)"
            )
        raise EngineError(f"The inference engine cannot be loaded: {error}{advice}") from error
    return xllamacpp


def _has_gpu(library: Any) -> bool:
    kinds = library.ggml_backend_dev_type
    gpus = {kinds.GGML_BACKEND_DEVICE_TYPE_GPU, kinds.GGML_BACKEND_DEVICE_TYPE_IGPU}
    return any(device["type"] in gpus for device in library.get_device_info())
