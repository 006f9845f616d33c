"""Which model, and how it is asked: the options, and the wire that they stand for."""

import argparse
import functools
import os
import sys
from pathlib import Path

from apr.cli.options import add_engine_options, positive, temperature
from apr.errors import AprError
from apr.legible import legible
from apr.providers.base import Provider, ProviderError
from apr.ui.terminal import line

MAX_TOKENS = 8192


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that name a model and say how it is asked."""
    add = parser.add_argument
    add("--model", metavar="NAME", help="demo, a .gguf file, or a name (see: apr models)")
    add("--base-url", metavar="URL", help="use this server (OpenAI chat completions) instead")
    add("--api-key-env", metavar="VAR", help="environment variable that holds the server's key")
    add("--vision", action="store_true", help="the model of --base-url can be shown pictures")
    add_engine_options(parser)
    add("--max-tokens", metavar="N", type=positive, default=MAX_TOKENS, help="per answer")
    add(
        "--temperature",
        metavar="T",
        type=temperature,
        help="sampling temperature (default: the model's)",
    )


def provider_of(args: argparse.Namespace, *, setting: str | None = None) -> tuple[Provider, str]:
    """Return the wire to the model, and the name the trace gives the model.

    `setting` is the model that the settings name, if they do. Where none is named at all, one is
    chosen of those on this disk, and a line on stderr says which, and why.
    """
    if args.base_url:
        from apr.providers.openai_chat import OpenAIChat

        key = _secret(args.api_key_env) if args.api_key_env else None
        if args.api_key_env and not key:
            raise AprError(f"--api-key-env: the environment variable {args.api_key_env} is not set")
        name = legible(args.model or os.environ.get("APR_MODEL") or setting or "default")
        try:
            return OpenAIChat(args.base_url, name, api_key=key, context=args.ctx), name
        except ProviderError as error:
            raise AprError(f"--base-url: {error}") from None
    if args.api_key_env:
        raise AprError("--api-key-env goes with --base-url: a local model needs no key")
    if args.vision:
        raise AprError("--vision goes with --base-url: the local engine shows no pictures")
    from apr.models.resolve import choose
    from apr.providers.local import LocalModel

    root = Path(getattr(args, "project", "."))
    choice = choose(args.model, os.environ, root, setting=setting)
    if choice.notice:
        print(f"apr: {line(choice.notice)}", file=sys.stderr)
    name = legible(choice.name)
    provider = LocalModel(choice.path, name, context=args.ctx, keep_alive=args.keep_alive)
    return provider, name


@functools.cache
def _secret(variable: str) -> str | None:
    """Take a key out of our environment, so that no command of the model's can show it.

    It is remembered, for another model of the same server.
    """
    return os.environ.pop(variable, None)
