"""What languages a project is in, and where its files lie."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from msgspec import Struct

from apr.init.project import Project, quoted

_LANGUAGES: Mapping[str, str] = {
    suffix: language
    for language, suffixes in {
        "C": "c h",
        "C#": "cs",
        "C++": "cc cpp cxx hh hpp hxx",
        "CSS": "css scss sass less",
        "Clojure": "clj cljs",
        "Dart": "dart",
        "Elixir": "ex exs",
        "Erlang": "erl",
        "Fortran": "f90 f95",
        "Go": "go",
        "HTML": "html",
        "Haskell": "hs",
        "Java": "java",
        "JavaScript": "js jsx mjs cjs",
        "Julia": "jl",
        "Kotlin": "kt kts",
        "Lua": "lua",
        "OCaml": "ml mli",
        "Objective-C": "m mm",
        "PHP": "php",
        "Perl": "pl pm",
        "Python": "py pyi",
        "R": "r",
        "Ruby": "rb",
        "Rust": "rs",
        "SQL": "sql",
        "Scala": "scala",
        "Shell": "sh bash zsh fish",
        "Svelte": "svelte",
        "Swift": "swift",
        "Terraform": "tf",
        "TypeScript": "ts tsx mts cts",
        "Vue": "vue",
        "Zig": "zig",
    }.items()
    for suffix in suffixes.split()
}
_MOST_LANGUAGES = 4
_MOST_DIRECTORIES = 12
_SHARE = 0.02
"""Part of the files that a language has to have to be named."""
_FEW = 6


class Directory(Struct, frozen=True):
    """A directory of the project: its name, with a `/`, its files, and what most of them are."""

    name: str
    files: int
    language: str | None


def languages(project: Project) -> list[tuple[str, int]]:
    """Return the languages with their files, the one with most first."""
    found = _counted(project.files)
    whole = sum(found.values())
    named = [(name, count) for name, count in found.most_common() if count >= _SHARE * whole]
    return named[:_MOST_LANGUAGES]


def directories(project: Project) -> list[Directory]:
    """Return the directories that a newcomer should know: those at the top, by their files.

    One that only holds a few others is shown by those.
    """
    inside = _by_directory(project.files, PurePosixPath())
    for above in list(inside):
        within = _by_directory(inside[above], above)
        if 1 <= len(within) <= _FEW and sum(map(len, within.values())) == len(inside[above]):
            del inside[above]
            inside.update(within)
    shown = [one for one in inside if quoted(str(one)) == f"`{one}`"]
    shown = sorted(shown, key=lambda one: -len(inside[one]))[:_MOST_DIRECTORIES]
    return [_directory(one, inside[one]) for one in sorted(shown)]


def _directory(name: PurePosixPath, files: list[PurePosixPath]) -> Directory:
    counted = _counted(files).most_common(1)
    main = counted[0] if counted else ("", 0)
    return Directory(f"{name}/", len(files), main[0] if 2 * main[1] >= len(files) else None)


def _by_directory(
    files: Iterable[PurePosixPath], above: PurePosixPath
) -> dict[PurePosixPath, list[PurePosixPath]]:
    depth = len(above.parts)
    found: dict[PurePosixPath, list[PurePosixPath]] = {}
    for path in files:
        if len(path.parts) > depth + 1 and not path.parts[depth].startswith("."):
            found.setdefault(above / path.parts[depth], []).append(path)
    return found


def _counted(files: Iterable[PurePosixPath]) -> Counter[str]:
    return Counter(_each(files))


def _each(files: Iterable[PurePosixPath]) -> Iterator[str]:
    for path in files:
        language = _LANGUAGES.get(path.suffix[1:].casefold())
        if language is not None:
            yield language
