"""`apr serve`: serve a model to other programs, in the shapes of OpenAI and Anthropic."""

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from apr.cli.options import duration, positive
from apr.errors import AprError
from apr.home import home, open_private
from apr.legible import legible
from apr.ui.terminal import line, plain

if TYPE_CHECKING:
    from apr.serve.backend import Served

INTERRUPTED = 130
GIB = 1 << 30

EPILOG = """\
examples:
  apr serve --model demo
  apr serve --model qwen3-coder --port 0 --json
  OPENAI_BASE_URL=http://127.0.0.1:8642/v1 OPENAI_API_KEY=none my-openai-program
  ANTHROPIC_BASE_URL=http://127.0.0.1:8642 ANTHROPIC_API_KEY=none my-anthropic-program
  apr serve --host 0.0.0.0 --api-key-file ~/.apr/serve.key

It serves /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models, /v1/messages,
/v1/messages/count_tokens, /health and /metrics, and never opens a connection itself."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments, description and examples."""
    parser.description = "Serve a model to other programs."
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--model", metavar="NAME", help="demo, a .gguf file, or a name (see: apr models)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1")
    add("--port", type=_port, default=8642, metavar="N", help="default: 8642; 0 for any free one")
    add(
        "--api-key-env",
        metavar="VAR",
        help="environment variable that holds the key that clients need, or several with spaces "
        "between them",
    )
    add(
        "--api-key-file",
        type=Path,
        metavar="PATH",
        help="file that holds it; made with a new key if there is none",
    )
    add("--ctx", type=positive, metavar="N", help="tokens of context; default: what memory allows")
    add("--slots", type=positive, metavar="N", help="conversations at a time; default: up to 16")
    add("--threads", type=positive, metavar="N", help="default: one for each core")
    add("--mmproj", type=Path, metavar="PATH", help="the projector of a model that takes images")
    add(
        "--queue",
        type=_count,
        default=64,
        metavar="N",
        help="requests that may wait; beyond it they are refused (default 64)",
    )
    add(
        "--cache-dir",
        type=Path,
        metavar="DIR",
        help="where evaluated prompts are kept (default: ~/.apr/prefixes)",
    )
    add(
        "--cache-size",
        type=_gib,
        default=8 * GIB,
        metavar="GB",
        help="how much of them is kept, the last used (default 8)",
    )
    add("--no-cache", action="store_true", help="keep none on the disk")
    add(
        "--grace",
        type=duration,
        default="10s",
        metavar="TIME",
        help="how long answers in work may take when the server is told to end (default 10s)",
    )
    add("--json", action="store_true", help="tell where it listens as a JSON object")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM (0) or Ctrl-C (130).

    Raises:
        AprError: what is told to the user.
    """
    import logging

    from apr.models.resolve import choose
    from apr.serve.server import Options, is_loopback, listen, serve

    logging.basicConfig(format="apr: %(message)s", level=logging.WARNING)
    keys = _keys(args)
    try:
        if not keys and not is_loopback(args.host):
            raise AprError(
                f"--host {args.host} lets other machines ask, so a key is needed: "
                "--api-key-file PATH makes one, --api-key-env VAR takes yours."
            )
        listening = listen(args.host, args.port)
    except OSError as error:
        raise AprError(_cannot_listen(args, error)) from error
    choice = choose(args.model, os.environ)
    if choice.notice:
        print(f"apr: {line(choice.notice)}", file=sys.stderr)
    if args.mmproj is not None and not args.mmproj.is_file():
        raise AprError(f"--mmproj: there is no file {args.mmproj}")
    options = Options(
        model=choice.path,
        name=legible(choice.name),
        host=args.host,
        port=args.port,
        keys=keys,
        ctx=args.ctx,
        slots=args.slots,
        threads=args.threads,
        projector=args.mmproj,
        most_waiting=args.queue,
        cache=None if args.no_cache else args.cache_dir or home() / "prefixes",
        cache_bytes=args.cache_size,
        grace=args.grace,
    )
    number = serve(options, listening, lambda served, url: _say(served, url, args, keys=keys))
    # Not through the native destructors: they wait for the batch in work, and nobody wants it.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(INTERRUPTED if number == signal.SIGINT else 0)


def _say(served: "Served", url: str, args: argparse.Namespace, *, keys: frozenset[str]) -> None:
    """Tell where the server listens."""
    if args.json:
        told = {"url": url, "model": served.model, "context": served.context, "pid": os.getpid()}
        print(msgspec.json.encode(told).decode(), flush=True)
        return
    print(f"Serving {plain(served.model)} at {url} (context {served.context:,})", flush=True)
    if args.api_key_file is not None:
        print(f"apr: the key is in {plain(str(args.api_key_file))}", file=sys.stderr)


def _keys(args: argparse.Namespace) -> frozenset[str]:
    """Return the keys that open. They are taken out of our environment.

    Raises:
        AprError: there is none where one should be, or others can read it.
    """
    keys: list[str] = []
    if args.api_key_env:
        keys += (os.environ.pop(args.api_key_env, None) or "").split()
        if not keys:
            raise AprError(f"--api-key-env: the environment variable {args.api_key_env} is not set")
    if args.api_key_file:
        keys += _key_file(args.api_key_file)
    return frozenset(keys)


def _key_file(path: Path) -> list[str]:
    import secrets

    try:
        if not path.exists():
            with os.fdopen(open_private(path), "w") as file:
                file.write(f"{secrets.token_urlsafe(32)}\n")
        if path.stat().st_mode & 0o077:
            raise AprError(f"--api-key-file: others can read {path}; run: chmod 600 {path}")
        keys = path.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise AprError(f"--api-key-file: {error}") from error
    if not keys:
        raise AprError(f"--api-key-file: there is no key in {path}")
    return keys


def _cannot_listen(args: argparse.Namespace, error: OSError) -> str:
    where = f"{args.host}:{args.port}"
    return f"Cannot listen at {where}: {error.strerror}. Choose another --port, or 0 for any."


def _port(text: str) -> int:
    return _number(text, 0, 65535, "a port")


def _count(text: str) -> int:
    return _number(text, 0, 1_000_000, "a number")


def _number(text: str, least: int, most: int, what: str) -> int:
    with contextlib.suppress(ValueError):
        if least <= (number := int(text)) <= most:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {least} to {most}")


def _gib(text: str) -> int:
    with contextlib.suppress(ValueError, OverflowError):
        if (size := int(float(text) * GIB)) >= 0:
            return size
    raise argparse.ArgumentTypeError(f"{text!r} is not a size in GB")
