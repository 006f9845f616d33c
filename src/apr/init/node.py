"""JavaScript and TypeScript: `package.json`, `deno.json`."""

import re
from collections.abc import Iterator, Mapping

from apr.init.facts import Command, Entrance, Fact, Purpose, Rule
from apr.init.project import Data, Project, is_word, quoted, table

MANIFESTS = frozenset({"package.json", "deno.json", "deno.jsonc"})
_MANIFEST = "package.json"
_LOCKS = {
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
}
_SCRIPTS: Mapping[str, Purpose] = {
    "build": "build",
    "compile": "build",
    "dev": "run",
    "start": "run",
    "test": "test",
    "test:unit": "test",
    "test:e2e": "test",
    "lint": "lint",
    "check": "lint",
    "format": "format",
    "fmt": "format",
    "prettier": "format",
    "typecheck": "types",
    "type-check": "types",
    "check-types": "types",
    "tsc": "types",
}
_NO_TESTS = "no test specified"
"""What `npm init` writes where a test command should be."""


def look(project: Project) -> Iterator[Fact]:
    """Yield what the project's files say."""
    yield from _deno(project)
    if _MANIFEST not in project.top:
        return
    data = project.json(_MANIFEST)
    manager, source = _manager(project, data)
    if table(data, "dependencies") or table(data, "devDependencies"):
        yield Command("install", f"{manager} install", source)
    scripts = table(data, "scripts")
    for name, purpose in _SCRIPTS.items():
        line = scripts.get(name)
        if isinstance(line, str) and line.strip() and _NO_TESTS not in line:
            yield Command(purpose, _run(manager, name), _MANIFEST)
    if isinstance(data.get("bin"), str):
        yield Entrance(str(data.get("name")), str(data["bin"]), _MANIFEST)
    for program, place in table(data, "bin").items():
        yield Entrance(program, str(place), _MANIFEST)
    if needed := quoted(table(data, "engines").get("node")):
        yield Rule(f"Node {needed}", _MANIFEST)
    if data.get("type") == "module":
        yield Rule("JavaScript files are ES modules", _MANIFEST)
    if re.search(r'"strict"\s*:\s*true', project.text("tsconfig.json")):
        yield Rule("TypeScript is `strict`", "tsconfig.json")
    yield from _workspaces(project, data)


def _manager(project: Project, data: Data) -> tuple[str, str]:
    """Return the package manager, and the file that says so; a part has that of the whole."""
    for place in dict.fromkeys((project, project.whole)):
        named = str((data if place is project else place.json(_MANIFEST)).get("packageManager"))
        if (manager := named.partition("@")[0]) in set(_LOCKS.values()):
            return manager, _MANIFEST
        for lock, manager in _LOCKS.items():
            if lock in place.top:
                return manager, lock
    return "npm", _MANIFEST


def _run(manager: str, script: str) -> str:
    return f"{manager} test" if script == "test" and manager != "bun" else f"{manager} run {script}"


def _workspaces(project: Project, data: Data) -> Iterator[Rule]:
    named = data.get("workspaces")
    named = table(data, "workspaces").get("packages") if isinstance(named, dict) else named
    if isinstance(named, list) and named:
        shown = ", ".join(filter(None, map(quoted, named[:6])))
        yield Rule(f"workspaces: {shown}", _MANIFEST)
    elif "pnpm-workspace.yaml" in project.top:
        text = project.text("pnpm-workspace.yaml")
        listed = re.search(r"(?m)^packages:[ \t]*\n((?:[ \t]*[-#].*\n?)+)", text)
        found = re.findall(r"(?m)^[ \t]*-[ \t]*['\"]?([^'\"\s#]+)", listed[1] if listed else "")
        if shown := ", ".join(filter(None, map(quoted, found[:6]))):
            yield Rule(f"workspaces: {shown}", "pnpm-workspace.yaml")


def _deno(project: Project) -> Iterator[Fact]:
    for name in ("deno.json", "deno.jsonc"):
        for task in table(project.json(name), "tasks"):
            if is_word(task) and task in _SCRIPTS:
                yield Command(_SCRIPTS[task], f"deno task {task}", name)
