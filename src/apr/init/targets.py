"""Named targets: of a `Makefile`, `justfile`, `Taskfile.yml`, and scripts in `scripts/`."""

import os
import re
from collections.abc import Iterator, Mapping

from apr.init.facts import Command, Fact, Purpose
from apr.init.project import Project

_PURPOSES: Mapping[str, Purpose] = {
    "install": "install",
    "setup": "install",
    "bootstrap": "install",
    "all": "build",
    "default": "build",
    "build": "build",
    "compile": "build",
    "run": "run",
    "dev": "run",
    "serve": "run",
    "demo": "run",
    "test": "test",
    "tests": "test",
    "check": "test",
    "unit": "test",
    "lint": "lint",
    "format": "format",
    "fmt": "format",
    "types": "types",
    "typecheck": "types",
    "type-check": "types",
    "mypy": "types",
}
_RUNNERS = (
    (("GNUmakefile", "makefile", "Makefile"), "make", r"(?m)^([A-Za-z][\w. \t-]*):{1,2}(?!=)"),
    (("justfile", "Justfile", ".justfile"), "just", r"(?m)^@?([A-Za-z][\w-]*+)[^:=\n]*:(?!=)"),
    (("Taskfile.yml", "Taskfile.yaml"), "task", r"(?m)^  ([A-Za-z][\w-]*):[ \t]*$"),
)


def look(project: Project) -> Iterator[Fact]:
    """Yield the targets whose names say what they are for."""
    for path in project.files:
        if len(path.parts) == 2 and path.parts[0] in {"scripts", "script"}:
            stem = path.name.removesuffix(".sh")
            if stem in _PURPOSES and os.access(project.root / path, os.X_OK):
                yield Command(_PURPOSES[stem], str(path), str(path))
    for names, runner, pattern in _RUNNERS:
        name = next((one for one in names if one in project.top), None)
        if name is None:
            continue
        heads = re.findall(pattern, project.text(name))
        targets = dict.fromkeys(target for head in heads for target in head.split())
        for target in targets:
            if target in _PURPOSES:
                yield Command(_PURPOSES[target], f"{runner} {target}", name)
