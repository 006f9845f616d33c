"""From the files of a project to the text of its `APR.md`.

A new kind of project is one more module with a function `look`, and its place in `_KINDS`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from apr.init import ci, compiled, layout, node, python, scripting, style, targets
from apr.init.facts import PURPOSES, Command, Entrance, Fact, Rule
from apr.init.project import Project, is_word, parts, quoted, table

_KINDS = (targets.look, python.look, node.look, compiled.look, scripting.look, style.look)
_ALONE = frozenset({"go.mod", "package.json", "pyproject.toml"})
"""Manifests that do not speak for those of the same name below them."""
_MANIFESTS = (python.MANIFESTS | node.MANIFESTS | compiled.MANIFESTS | scripting.MANIFESTS) - {
    "CMakeLists.txt",
    "meson.build",
    "configure.ac",
    "setup.cfg",
}
"""Those that make a directory a project of its own."""
_TOLD = ("CLAUDE.md", "AGENTS.md", "GEMINI.md", ".github/copilot-instructions.md", ".cursorrules")
"""Instructions for agents, which are imported rather than repeated."""
_NAMED_IN = (
    ("pyproject.toml", ("project",)),
    ("pyproject.toml", ("tool", "poetry")),
    ("package.json", ()),
    ("Cargo.toml", ("package",)),
    ("composer.json", ()),
)
_MOST_PARTS = 6
_MOST_ENTRANCES = 5
_MOST = 3
"""Commands for one purpose, in one place."""


def described(project: Project) -> str:
    """Return what `APR.md` is to say; nothing where no file says anything."""
    told = [name for name in _TOLD if project.text(name).strip()]
    already = "\n".join(project.text(name) for name in told)
    facts = list(_facts(project))
    sections = [
        "\n".join(f"@{name}" for name in told),
        _section("Commands", _commands(project, facts, already)),
        _section("Layout", _layout(project, facts)),
        _section("Conventions", _rules(project, facts)),
    ]
    languages = ", ".join(name for name, _ in layout.languages(project))
    if not languages and not any(sections):
        return ""
    head = [f"# {_name(project)}", _description(project), languages and f"Written in {languages}."]
    return "\n\n".join(filter(None, [*head, *sections])) + "\n"


def _facts(project: Project) -> Iterator[Fact]:
    """Yield what the files say; of what CI runs, what no other file says how to do."""
    known = set()
    for look in _KINDS:
        for fact in look(project):
            yield fact
            if isinstance(fact, Command):
                known.add(fact.purpose)
    yield from (command for command in ci.look(project) if command.purpose not in known)


def _section(title: str, lines: Iterable[str]) -> str:
    text = "\n".join(lines).lstrip("\n")
    return text and f"## {title}\n\n{text}"


def _commands(project: Project, facts: Sequence[Fact], already: str) -> Iterator[str]:
    """Yield the commands of the project, and of parts of it that are projects of their own."""
    yield from _by_purpose(facts, already)
    covered = _covered(project, facts)
    for part in parts(project, _MANIFESTS - covered, _MOST_PARTS):
        lines = list(_by_purpose([fact for look in _KINDS for fact in look(part)], already))
        if lines and quoted(part.place) == f"`{part.place}`":
            yield f"\nIn `{part.place}`:\n"
            yield from lines


def _by_purpose(facts: Iterable[Fact], already: str) -> Iterator[str]:
    commands = [fact for fact in facts if isinstance(fact, Command) and fact.line not in already]
    for purpose in PURPOSES:
        of_it = {one.line: one for one in reversed(commands) if one.purpose == purpose}
        if of_it:
            shown = [f"`{one.line}` ({quoted(one.source)})" for one in reversed(of_it.values())]
            yield f"- {purpose}: {', '.join(shown[:_MOST])}"


def _covered(project: Project, facts: Sequence[Fact]) -> frozenset[str]:
    """Return the manifests that the project's own speak for, wherever they are in it."""
    covered = (project.top & _MANIFESTS) - _ALONE
    if any(isinstance(fact, Rule) and fact.text.startswith("workspaces") for fact in facts):
        covered |= {"package.json"}
    if {"build.gradle", "build.gradle.kts"} & covered:
        covered |= {"build.gradle", "build.gradle.kts"}
    return frozenset(covered)


def _layout(project: Project, facts: Iterable[Fact]) -> Iterator[str]:
    for one in layout.directories(project):
        yield f"- `{one.name}`{': ' if one.language else ''}{one.language or ''}"
    entrances = [fact for fact in facts if isinstance(fact, Entrance)]
    for fact in entrances[:_MOST_ENTRANCES]:
        program = f"the command {quoted(fact.program)}" if fact.program else "a program"
        yield f"- {program} begins in {quoted(fact.place)} ({quoted(fact.source)})"


def _rules(project: Project, facts: Iterable[Fact]) -> Iterator[str]:
    rules = {fact.text: fact for fact in facts if isinstance(fact, Rule)}
    for rule in rules.values():
        yield f"- {rule.text} ({quoted(rule.source)})"
    for name in ("CONTRIBUTING.md", "CONTRIBUTING.rst", ".github/CONTRIBUTING.md"):
        if project.text(name).strip():
            yield f"- `{name}` says how changes are made"


def _name(project: Project) -> str:
    """Return what the project is called: by a manifest, else by its directory."""
    for file, keys in _NAMED_IN:
        data = project.toml(file) if file.endswith(".toml") else project.json(file)
        name = table(data, *keys).get("name")
        if isinstance(name, str) and is_word(name):
            return quoted(name) if "@" in name else name  # `@name` would import a file
    module = re.search(r"(?m)^module\s+(\S+)", project.text("go.mod"))
    name = module[1].rpartition("/")[2] if module else project.root.name
    return name if is_word(name) and "@" not in name else quoted(name) or "The project"


def _description(project: Project) -> str:
    """Return how a manifest describes the project, said to be its words."""
    for file, keys in _NAMED_IN:
        data = project.toml(file) if file.endswith(".toml") else project.json(file)
        if text := quoted(table(data, *keys).get("description")):
            return f"{quoted(file)} describes it as {text}."
    return ""
