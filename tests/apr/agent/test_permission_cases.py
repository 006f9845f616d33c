"""The table of permission_cases.toml: each line of it is one decision."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apr.agent.permissions import Policy, decide, parse_rules
from apr.tools.base import Access

TABLE = tomllib.loads(Path(__file__).with_name("permission_cases.toml").read_text())
READING = {"Read", "Grep", "Glob"}
WRITING = {"Edit", "Write", "NotebookEdit"}


def cases() -> Iterator[Any]:
    for group in TABLE["group"]:
        for mode in group.get("modes", ["default"]):
            for asked, decision, *_ in group["cases"]:
                yield pytest.param(group, mode, asked, decision, id=f"{mode}: {asked!r}")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("places").resolve()
    root, outside = base / "project", base / "outside"
    for file in ("src/a.py", "docs/a.md", "secrets/key", ".git/config", ".claude/settings.json"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("x")
    (root / "vendor" / ".claude").mkdir(parents=True)
    (outside / "vault").mkdir(parents=True)
    for name, target in {
        "way-out": outside,
        "in-link": root / "src",
        "open": root / "secrets",
        "vault": outside / "vault",
    }.items():
        (root / name).symlink_to(target)
    (base / "home").mkdir()
    return {"root": root, "outside": outside, "home": base / "home"}


def access(tool: str, asked: str, root: Path) -> tuple[str, Access]:
    if tool != "*":
        return tool, Access(kind="execute", command=asked)
    name, _, rest = asked.partition(" ")
    if name in READING | WRITING:
        path = (root / rest).resolve()
        return name, Access(kind="read" if name in READING else "write", paths=(path,))
    if name in {"Agent", "Skill"}:
        return name, Access(kind="none", name=rest)
    if name == "ExitPlanMode":
        return name, Access(kind="consent")
    if name in {"WebFetch", "WebSearch"}:
        return name, Access(kind="network", domain=rest or None)
    return name, Access(kind="network" if rest else "execute")


@pytest.mark.parametrize(("group", "mode", "asked", "decision"), list(cases()))
def test_the_table_of_decisions(
    group: dict[str, Any],
    mode: str,
    asked: str,
    decision: str,
    places: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def filled(text: str) -> str:
        for name, path in places.items():
            text = text.replace(f"//{{{name}}}", f"/{path}").replace(f"{{{name}}}", str(path))
        return text

    monkeypatch.setenv("HOME", str(places["home"]))
    policy = Policy(
        root=places["root"],
        mode=mode,  # type: ignore[arg-type]
        allow=parse_rules(map(filled, group.get("allow", ()))),
        ask=parse_rules(map(filled, group.get("ask", ()))),
        deny=parse_rules(map(filled, group.get("deny", ()))),
        sandboxed=group.get("sandboxed", False),
        unconfined=tuple(group.get("unconfined", ())),
        folds_case=group.get("folds_case", False),
    )
    tool, wanted = access(group.get("tool", "Bash"), filled(asked), places["root"])
    came_to = decide(policy, tool, wanted)
    assert came_to.behavior == decision, group["why"]
    assert came_to.reason.endswith((".", "!", "?")) or came_to.behavior == "allow"


def test_the_table_is_large_and_every_group_says_why() -> None:
    assert sum(len(group["cases"]) for group in TABLE["group"]) >= 200
    assert all(group["why"] for group in TABLE["group"])
