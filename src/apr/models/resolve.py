"""From what a user calls a model to the file that holds it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from apr.errors import AprError
from apr.home import home

DEMO = "demo"


class ModelNotFound(AprError):
    """No file goes by that name. The message says what was looked for, where, and what to do."""

    exit_code = 3


def resolve(name: str | None, env: Mapping[str, str], root: Path = Path()) -> Path:
    """Return the absolute path of the model that `name`, or else `$APR_MODEL`, stands for.

    A name is `demo` (the model that comes with apr), a path to a `.gguf` file, or a bare name that
    is looked up, with and without `.gguf`, in `$APR_HOME/models` and then in `root/models`. A path
    is relative to the current directory, as everywhere on a command line.

    Raises:
        ModelNotFound: there is no such file.
    """
    wanted = name or env.get("APR_MODEL")
    if not wanted:
        raise ModelNotFound(f"No model named: neither --model nor APR_MODEL is set.\n{_advice()}")
    candidates = list(_candidates(wanted, env, root))
    for path in candidates:
        if path.is_file():
            return path.absolute()
    looked = "\n".join(f"  {path.absolute()}" for path in candidates)
    raise ModelNotFound(f"No model {wanted!r}. Looked for\n{looked}\n{_advice()}")


def _candidates(name: str, env: Mapping[str, str], root: Path) -> Iterator[Path]:
    """Yield the places that a name may mean, the likeliest first."""
    if name == DEMO:
        yield demo()
        return
    path = Path(name).expanduser()
    if path.is_absolute() or len(path.parts) > 1 or path.suffix == ".gguf":
        yield path
    if len(path.parts) == 1:
        for folder in (home(env) / "models", root / "models"):
            if path.suffix != ".gguf":
                yield folder / f"{name}.gguf"
            yield folder / name


def demo() -> Path:
    """Return where the model that comes with apr is: a file of the package itself."""
    return Path(__file__).parent.parent / "data" / "demo.gguf"


def _advice() -> str:
    return (
        "Use --model demo (a tiny model that comes with apr), --model PATH.gguf,\n"
        "or --base-url URL for a server that already runs a model."
    )
