"""From what a user calls a model, or does not, to the file that holds it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from apr.errors import AprError
from apr.home import home

if TYPE_CHECKING:  # what a named model does without
    from apr.models.discovery import Found, Survey
    from apr.models.header import ModelInfo
    from apr.models.ranking import Ranked

DEMO = "demo"


class ModelNotFound(AprError):
    """No file goes by that name. The message says what was looked for, where, and what to do."""

    exit_code = 3


class Choice(Struct, frozen=True):
    """The model to use."""

    path: Path
    """Absolute; of a split model the first file."""
    name: str
    """What it is called: for a file that was named, its stem."""
    notice: str | None = None
    """Where nobody named it: which it is, where from and why, to be shown to the user."""


def resolve(
    name: str | None, env: Mapping[str, str], root: Path = Path(), *, setting: str | None = None
) -> Path:
    """Return the absolute path of the model to use; see `choose`."""
    return choose(name, env, root, setting=setting).path


def choose(
    name: str | None, env: Mapping[str, str], root: Path = Path(), *, setting: str | None = None
) -> Choice:
    """Return the model that `name`, or else `$APR_MODEL`, or else `setting` stands for.

    A name is `demo` (the model that comes with apr), a path to a `.gguf` file, a bare name that
    is looked up, with and without `.gguf`, in `$APR_HOME/models` and then in `root/models`, or
    what a model on this disk is called (`apr models` lists them). A path is relative to the current
    directory, as everywhere on a command line. Where nothing is named, it is the best model on this
    disk (`apr.models.ranking`), never the demo. Nothing is searched for where a path was given.

    Raises:
        ModelNotFound: there is no such file, or several models go by that name.
        BadModel: the only model that goes by that name is broken.
    """
    wanted = name or env.get("APR_MODEL") or setting
    if not wanted:
        return _best(env, root)
    candidates = list(_candidates(wanted, env, root))
    for path in candidates:
        if _is_file(path):
            return Choice(path.absolute(), path.stem)
    looked = "".join(f"\n  {path.absolute()}" for path in candidates)
    if wanted == DEMO or wanted.startswith(("/", "./", "../", "~")):
        raise ModelNotFound(f"No model {wanted!r}. Looked for{looked}\n{_advice(wanted)}")
    model = _called(wanted, env, root, looked)
    return Choice(model.path, model.name)


def demo() -> Path:
    """Return where the model that comes with apr is: a file of the package itself."""
    return Path(__file__).parent.parent / "data" / "demo.gguf"


def ranking(survey: "Survey") -> "list[Ranked]":
    """Return the models of a survey in order, the best first, for this machine as it is now."""
    from apr.engine.machine import free_memory, plan
    from apr.engine.state import EngineError, directory, identity, running
    from apr.models.ranking import preferences, rank

    free = free_memory()
    try:
        loaded = {engine.identity for _, engine in running(directory())}
    except EngineError:  # no folder for engines' files, so no engine
        loaded = set()

    def fits(info: "ModelInfo") -> bool:
        try:
            if identity(info.path) not in loaded:  # what that one takes is taken already
                plan(info, free)
        except EngineError:
            return False
        return True

    return rank(survey.models, fits, preferences())


def _best(env: Mapping[str, str], root: Path) -> Choice:
    """Return the model that is used where none is named."""
    from apr.models.discovery import survey
    from apr.models.ranking import best, why

    seen = survey(env, root)
    ranked = ranking(seen)
    chosen = best(ranked)
    if chosen is None:
        broken = f" ({len(ranked)} broken: apr models --why)" if ranked else ""
        raise ModelNotFound(
            "No model is named (by --model, APR_MODEL or the settings), and none was found on this "
            f"disk{broken}.\n{_advice()}"
        )
    model = chosen.model
    notice = f"using {model.name} from {model.store}: {why(chosen, ranked)}"
    return Choice(model.path, model.name, notice)


def _called(name: str, env: Mapping[str, str], root: Path, looked: str) -> "Found":
    """Return the one model on this disk that goes by the name.

    Raises:
        ModelNotFound: there is none, or more than one.
        BadModel: it is broken.
    """
    from apr.models.discovery import found
    from apr.models.header import BadModel
    from apr.models.matching import called, near

    models = found(env, root)
    model = called(name, models)
    if model is not None and model.info is None:
        raise BadModel(f"{model.path}: {model.problem}")
    if model is not None:
        return model
    alike = near(name, models)
    hint = f"Alike are: {', '.join(alike)} (all: apr models).\n" if alike else ""
    raise ModelNotFound(
        f"No model {name!r}. Looked for{looked}\n"
        f"and among the {len(models)} models on this disk.\n{hint}{_advice(name)}"
    )


def _candidates(name: str, env: Mapping[str, str], root: Path) -> Iterator[Path]:
    """Yield the places that a name may mean, the likeliest first."""
    if name == DEMO:
        yield demo()
        return
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # no such user's home
        path = Path(name)
    if path.is_absolute() or len(path.parts) > 1 or path.suffix == ".gguf":
        yield path
    if len(path.parts) == 1:
        for folder in (home(env) / "models", root / "models"):
            if path.suffix != ".gguf":
                yield folder / f"{name}.gguf"
            yield folder / name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a folder that cannot be entered; a name that no file can have
        return False


def _advice(name: str = "") -> str:
    from apr.models.aliases import aliases

    known = name.partition(":")[0].lower() in aliases() or name.strip("/").count("/") == 1
    pull = name if known and not name.startswith((".", "/", "~")) else "qwen3-coder"
    return (
        f"Fetch one with: apr pull {pull}\n"
        "Or use --model demo (a tiny model that comes with apr), --model PATH.gguf,\n"
        "or --base-url URL for a server that already runs a model."
    )
