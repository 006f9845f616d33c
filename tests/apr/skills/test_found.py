"""Which skills and commands there are, and by what names."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from apr.skills.found import Skill, discover, named, places
from apr.skills.library import LISTED, listing


@pytest.fixture
def env(home: Path) -> Mapping[str, str]:
    return {"HOME": str(home)}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def skill(folder: Path, name: str, head: str = "description: It does.", body: str = "Do.") -> Path:
    return write(folder / "skills" / name / "SKILL.md", f"---\n{head}\n---\n{body}\n")


def found(project: Path, env: Mapping[str, str]) -> dict[str, Skill]:
    skills, notices = discover(places(project, env))
    assert notices == []
    return skills


def test_the_users_counts_before_the_projects_and_a_skill_before_a_command(
    project: Path, home: Path, env: Mapping[str, str]
) -> None:
    skill(home / ".claude", "deploy", "description: mine")
    skill(project / ".claude", "deploy", "description: theirs")
    skill(project / ".claude", "tidy", "description: the skill")
    write(project / ".claude/commands/tidy.md", "---\ndescription: the command\n---\n")
    skill(project / ".claude", "lint", "description: of Claude Code")
    skill(project / ".apr", "lint", "description: of apr")
    skills = found(project, env)
    assert {name: one.description for name, one in skills.items()} == {
        "deploy": "mine",
        "tidy": "the skill",
        "lint": "of apr",
    }


def test_folders_of_commands_are_part_of_their_names(project: Path, env: Mapping[str, str]) -> None:
    write(project / ".claude/commands/front/end/build.md", "Build it.")
    skills = found(project, env)
    assert list(skills) == ["front:end:build"]
    for name in ("front:end:build", "build", "/build"):
        assert named(skills, name) is skills["front:end:build"]
    write(project / ".claude/commands/back/build.md", "Build it.")
    assert named(found(project, env), "build") is None


def test_every_field_is_read(project: Path, env: Mapping[str, str]) -> None:
    head = (
        "name: ship\ndescription: Ships.\nwhen_to_use: On Fridays.\nargument-hint: '[version]'\n"
        "arguments: version\nallowed-tools: Bash(git tag *), Read\nuser-invocable: false\n"
        "context: fork\nagent: Explore\npaths: src/**"
    )
    path = skill(project / ".claude", "folder", head)
    one = found(project, env)["ship"]
    assert one == Skill(
        name="ship",
        description="Ships. On Fridays.",
        path=path,
        kind="skill",
        source="project",
        root=path.parent,
        allowed=("Bash(git tag *)", "Read"),
        argument_hint="[version]",
        arguments=("version",),
        by_user=False,
        agent="Explore",
        globs=("src/**",),
        base=project,
    )


def test_who_may_use_it(project: Path, env: Mapping[str, str]) -> None:
    skill(project / ".claude", "person", "description: x\ndisable-model-invocation: true")
    skill(project / ".claude", "plain", "name: plain", "# Title\n\nIt helps with x.\n\nMore.")
    write(project / ".claude/commands/bare.md", "Fix $ARGUMENTS.")
    write(project / ".claude/commands/told.md", "---\ndescription: Fixes.\n---\nFix it.")
    skills = found(project, env)
    assert {name for name, one in skills.items() if one.by_model} == {"plain", "told"}
    assert all(one.by_user for one in skills.values())
    assert skills["plain"].description == "It helps with x."
    assert skills["bare"].description == "Fix $ARGUMENTS."


@pytest.mark.parametrize("name", ["two words", "a/b", "../up", "line\nbreak"])
def test_a_name_can_be_called(project: Path, env: Mapping[str, str], name: str) -> None:
    skill(project / ".claude", "folder", f"name: {name}\ndescription: x")
    (only,) = found(project, env)
    assert not set(only) & set(" /\n")


def test_skills_of_directories_above_count_up_to_the_repository(
    project: Path, env: Mapping[str, str]
) -> None:
    (project / ".git").mkdir()
    skill(project / ".claude", "whole")
    skill(project.parent / ".claude", "beyond")
    inner = project / "src"
    skill(inner / ".claude", "part")
    assert list(found(inner, env)) == ["part", "whole"]


def test_a_link_out_of_the_project_is_not_followed(
    project: Path, home: Path, tmp_path: Path, env: Mapping[str, str]
) -> None:
    secret = write(tmp_path / "secret/SKILL.md", "---\ndescription: x\n---\nthe key")
    folder = project / ".claude/skills"
    folder.mkdir(parents=True)
    (folder / "theft").symlink_to(secret.parent)
    (folder / "file").mkdir()
    (folder / "file/SKILL.md").symlink_to(secret)
    commands = project / ".claude/commands"
    commands.symlink_to(secret.parent)
    skills, notices = discover(places(project, env))
    assert skills == {}
    assert len(notices) == 3
    assert all("leads out of the project" in notice for notice in notices)


def test_links_within_the_project_and_to_the_users_own_are_followed(
    project: Path, home: Path, env: Mapping[str, str]
) -> None:
    own = skill(home / ".claude", "shared")
    real = write(project / "docs/SKILL.md", "---\ndescription: x\n---\n")
    folder = project / ".claude/skills"
    folder.mkdir(parents=True)
    (folder / "docs").symlink_to(real.parent)
    (folder / "mine").symlink_to(own.parent)
    assert set(found(project, env)) == {"shared", "docs", "mine"}


def test_what_is_no_text_is_told_and_left_out(project: Path, env: Mapping[str, str]) -> None:
    folder = project / ".claude/skills"
    skill(project / ".claude", "good")
    write(folder / "huge/SKILL.md", "x" * 2_000_000)
    (folder / "bytes").mkdir()
    (folder / "bytes/SKILL.md").write_bytes(b"\xff\xfe")
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe/SKILL.md")
    (folder / "folder/SKILL.md").mkdir(parents=True)
    (folder / "loop").symlink_to("loop")
    write(folder / "README.md", "not a skill")
    skills, notices = discover(places(project, env))
    assert list(skills) == ["good"]
    assert {Path(notice.split()[0]).parent.name for notice in notices} == {
        "huge", "bytes", "pipe", "folder",
    } | ({"loop"} if any("loop" in n for n in notices) else set())  # fmt: skip


def test_hooks_in_a_head_are_told_of(project: Path, env: Mapping[str, str]) -> None:
    skill(project / ".claude", "guarded", "description: x\nhooks:\n  PreToolUse:\n    - matcher: y")
    skills, notices = discover(places(project, env))
    assert list(skills) == ["guarded"]
    assert "its hooks are not run" in notices[0]


def test_five_hundred_skills_are_listed_within_the_budget_with_every_name(
    project: Path, env: Mapping[str, str]
) -> None:
    for number in range(500):
        skill(project / ".claude", f"skill-{number}", f"description: {'word ' * 300}")
    listed, notices = listing(found(project, env))
    assert len(listed) <= LISTED + 500
    assert all(f"- skill-{number}" in listed for number in range(500))
    assert notices == ["the descriptions of 500 skills are cut to 8,000 characters in all"]
