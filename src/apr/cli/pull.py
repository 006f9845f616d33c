"""`apr pull`: fetch a model."""

import argparse
import os
import sys

import msgspec

from apr.models.names import parse
from apr.models.pull import Pulled, pull
from apr.ui.amounts import size
from apr.ui.terminal import plain

EPILOG = """\
examples:
  apr pull qwen3-coder                          # a short name, quantisation Q4_K_M
  apr pull qwen3-coder:Q8_0
  apr pull unsloth/Qwen3-Coder-Next-GGUF:UD-Q4_K_XL
  apr pull hf://ggml-org/gpt-oss-20b-GGUF/gpt-oss-20b-mxfp4.gguf
  apr pull https://example.org/model.gguf --sha256 9f86d081884c7d65…

What comes from the hub lies in the Hugging Face cache, where other programs find it too; what comes
from a URL lies in ~/.apr/models. A download that was ended goes on with the same command.
HF_TOKEN, HF_ENDPOINT, HF_HUB_CACHE and HF_HUB_OFFLINE mean what they mean to huggingface_hub.
exit codes: 0 done, 1 it could not be fetched, 2 wrong usage or input, 3 no such model."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Fetch a model, whole and verified."
    parser.epilog = EPILOG
    parser.add_argument("name", help="a short name, OWNER/REPO[:QUANTISATION], hf://…, or a URL")
    parser.add_argument("--sha256", metavar="HEX", help="what the file at a URL must hash to")
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Fetch it; return the exit code.

    Raises:
        AprError: what is told to the user.
    """
    from apr.ui.transfer import watching

    source = parse(args.name)
    try:
        with watching(sys.stderr) as watch:
            pulled = pull(source, os.environ, watch, sha256=args.sha256)
    except KeyboardInterrupt:
        print("apr: what has arrived is kept; the same command goes on from there", file=sys.stderr)
        raise
    print(_json(pulled) if args.json else _text(pulled))
    return 0


def _json(pulled: Pulled) -> str:
    return msgspec.json.encode(
        {
            "name": pulled.name,
            "path": str(pulled.files[0]),
            "files": [str(path) for path in pulled.files],
            "size": pulled.info.size,
            "received": pulled.received,
            "already": pulled.already,
            "architecture": pulled.info.architecture,
            "quantisation": pulled.info.quantisation,
            "license": pulled.info.license,
        }
    ).decode()


def _text(pulled: Pulled) -> str:
    what = "already there" if pulled.already else f"fetched, {size(pulled.info.size)}"
    return plain(
        f"{pulled.name}: {what}\n  {pulled.files[0]}\nUse it with: apr code --model {pulled.name}"
    )
