"""How files are to look, and what runs before a commit: `.editorconfig`, formatters, hooks."""

import re
from collections.abc import Iterator

from apr.init.facts import Command, Fact, Rule
from apr.init.project import Project, quoted, table

_PRETTIER = (".prettierrc", ".prettierrc.json", ".prettierrc.yaml", ".prettierrc.yml")


def look(project: Project) -> Iterator[Fact]:
    """Yield what the project's files say."""
    if ".editorconfig" in project.top:
        yield from _editorconfig(project)
    yield from _prettier(project)
    for name in ("biome.json", "biome.jsonc"):
        if name in project.top:
            yield Rule("Biome formats and checks", name)
    for name in (".clang-format", "_clang-format"):
        if name in project.top:
            based = re.search(r"(?m)^BasedOnStyle:\s*([\w-]+)", project.text(name))
            yield Rule(f"clang-format, {based[1]} style" if based else "clang-format", name)
    for name in (".pre-commit-config.yaml", ".pre-commit-config.yml"):
        if name in project.top:
            yield Command("lint", "pre-commit run --all-files", name)


def _editorconfig(project: Project) -> Iterator[Rule]:
    """Yield what holds for all files."""
    name, inside = ".editorconfig", False
    values: dict[str, str] = {}
    for line in project.text(name).casefold().splitlines():
        if line.lstrip().startswith("["):
            inside = line.strip() == "[*]"
        elif inside and "=" in line:
            key, _, value = line.partition("=")
            values[key.strip()] = value.strip()
    size, longest = values.get("indent_size", ""), values.get("max_line_length", "")
    if values.get("indent_style") == "tab":
        yield Rule("tabs indent", name)
    elif values.get("indent_style") == "space" and size.isdecimal() and len(size) < 3:
        yield Rule(f"{size} spaces indent", name)
    if longest.isdecimal() and len(longest) < 5:
        yield Rule(f"lines of at most {longest} characters", name)


def _prettier(project: Project) -> Iterator[Rule]:
    source = next((name for name in _PRETTIER if name in project.top), None)
    inside = table(project.json("package.json"), "prettier")
    if source is None and not inside:
        return
    settings = inside if source is None else project.json(source) or _yaml(project.text(source))
    said = [
        f"{name} {quoted(str(settings[name]).lower())}"
        for name in ("printWidth", "tabWidth", "useTabs", "semi", "singleQuote", "trailingComma")
        if isinstance(settings.get(name), str | int)
    ]
    yield Rule(f"Prettier{': ' if said else ''}{', '.join(said)}", source or "package.json")


def _yaml(text: str) -> dict[str, object]:
    """Return the plain settings of a YAML file."""
    return dict(re.findall(r"(?m)^(\w+):[ \t]*['\"]?(\w+)['\"]?[ \t]*$", text))
