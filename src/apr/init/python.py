"""Python: `pyproject.toml`, and the files that came before it."""

import re
from collections.abc import Iterator, Mapping

from apr.init.facts import Command, Entrance, Fact, Purpose, Rule
from apr.init.project import Data, Project, quoted, table, words

MANIFESTS = frozenset({"pyproject.toml", "setup.py", "setup.cfg"})
_MANIFEST = "pyproject.toml"
_RUNNERS = (("uv.lock", "uv run "), ("poetry.lock", "poetry run "), ("pdm.lock", "pdm run "))
_REQUIREMENTS = ("requirements-dev.txt", "dev-requirements.txt", "requirements.txt")
_INSTALLS = {"uv run ": "uv sync", "poetry run ": "poetry install", "pdm run ": "pdm install"}


def look(project: Project) -> Iterator[Fact]:
    """Yield what the project's files say."""
    data = project.toml(_MANIFEST)
    if not project.top & MANIFESTS and "requirements.txt" not in project.top:
        return
    top = project.top | project.whole.top  # a workspace has one lock file, at its root
    lock, runner = next(((f, r) for f, r in _RUNNERS if f in top), ("", ""))
    listed = [n for n in _REQUIREMENTS if n in project.top]
    whole = next((n for n in listed if _for_work(project.text(n))), None)
    if runner:
        if lock in project.top:
            yield Command("install", _INSTALLS[runner], lock)
    elif whole:
        yield Command("install", f"pip install -r {whole}", whole)
    elif "project" in data or "setup.py" in project.top:
        source = _MANIFEST if "project" in data else "setup.py"
        yield Command("install", f"pip install -e {_with_extras(data)}", source)
    elif "requirements.txt" in project.top:
        yield Command("install", "pip install -r requirements.txt", "requirements.txt")
    if needed := quoted(table(data, "project").get("requires-python")):
        yield Rule(f"Python {needed}", _MANIFEST)
    for program, place in table(data, "project", "scripts").items():
        yield Entrance(program, str(place), _MANIFEST)
    yield from _tests(project, data, runner)
    yield from _checks(project, data, runner)


def _for_work(requirements: str) -> bool:
    """Whether requirements are what one needs to work on the project, not only to run it."""
    return re.search(r"(?m)^(-e \.|pytest\b|ruff\b|mypy\b|tox\b)", requirements) is not None


def _with_extras(data: Data) -> str:
    extras = words(table(data, "project", "optional-dependencies"))
    wanted = next((one for one in ("dev", "test", "tests", "testing") if one in extras), None)
    return f"'.[{wanted}]'" if wanted else "."


def _tests(project: Project, data: Data, runner: str) -> Iterator[Fact]:
    if "tox.ini" in project.top and re.search(r"(?m)^\[(tox|testenv)\b", project.text("tox.ini")):
        yield Command("test", f"{runner}tox", "tox.ini")
    if "noxfile.py" in project.top:
        yield Command("test", f"{runner}nox", "noxfile.py")
    if (source := _pytest(project, data)) is not None:
        yield Command("test", f"{runner}pytest", source)
    elif "manage.py" in project.top and "django" in project.text("manage.py"):
        yield Command("test", f"{runner}python manage.py test", "manage.py")
    for name in words(table(data, "tool", "hatch", "envs", "default", "scripts")):
        if name in _PURPOSES:
            yield Command(_PURPOSES[name], f"hatch run {name}", _MANIFEST)


_PURPOSES: Mapping[str, Purpose] = {
    "test": "test",
    "tests": "test",
    "lint": "lint",
    "fmt": "format",
    "format": "format",
    "types": "types",
    "build": "build",
}


def _pytest(project: Project, data: Data) -> str | None:
    """Return the file that says that the tests are pytest's."""
    if table(data, "tool", "pytest"):
        return _MANIFEST
    for name, section in (
        ("pytest.ini", "pytest"),
        ("tox.ini", "pytest"),
        ("setup.cfg", "tool:pytest"),
    ):
        if f"[{section}]" in project.text(name):
            return name
    if any(re.match(r"pytest\b", one) for one in _dependencies(data)):
        return _MANIFEST
    for path in project.files:
        if path.name == "conftest.py" and len(path.parts) <= 2:
            return str(path)
    return None


def _dependencies(data: Data) -> Iterator[str]:
    """Yield all that is asked for: by the project, for its development, by its groups."""
    groups = [
        table(data, "project").get("dependencies"),
        *table(data, "project", "optional-dependencies").values(),
        *table(data, "dependency-groups").values(),
    ]
    for group in groups:
        if isinstance(group, list):
            yield from (one for one in group if isinstance(one, str))
    yield from table(data, "tool", "poetry", "dependencies")
    for group in table(data, "tool", "poetry", "group").values():
        yield from table(group, "dependencies")


def _checks(project: Project, data: Data, runner: str) -> Iterator[Fact]:
    tools = table(data, "tool")
    ruff = next((n for n in ("ruff.toml", ".ruff.toml") if n in project.top), None)
    settings = project.toml(ruff) if ruff else table(tools, "ruff")
    if ruff or settings:
        source = ruff or _MANIFEST
        yield Command("lint", f"{runner}ruff check", source)
        if "black" not in tools:
            yield Command("format", f"{runner}ruff format", source)
        yield from _width(settings.get("line-length"), source)
        if convention := quoted(table(settings, "lint", "pydocstyle").get("convention")):
            yield Rule(f"docstrings in the style {convention}", source)
    if "black" in tools:
        yield Command("format", f"{runner}black .", _MANIFEST)
        yield from _width(table(tools, "black").get("line-length"), _MANIFEST)
    if ".flake8" in project.top:
        yield Command("lint", f"{runner}flake8", ".flake8")
    mypy = _MANIFEST if "mypy" in tools else "mypy.ini" if "mypy.ini" in project.top else None
    if mypy:
        files = table(tools, "mypy").get("files") or "[mypy]\nfiles" in project.text("mypy.ini")
        yield Command("types", f"{runner}mypy" if files else f"{runner}mypy .", mypy)
    if table(tools, "mypy").get("strict") is True:
        yield Rule("types are checked strictly (`mypy --strict`)", _MANIFEST)
    if "pyright" in tools or "pyrightconfig.json" in project.top:
        source = _MANIFEST if "pyright" in tools else "pyrightconfig.json"
        yield Command("types", f"{runner}pyright", source)


def _width(value: object, source: str) -> Iterator[Rule]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield Rule(f"lines of at most {value} characters", source)
