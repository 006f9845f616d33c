"""The profile for macOS, as text: what it says, for it cannot be run here."""

from pathlib import Path

from apr.sandbox.profile import Profile
from apr.sandbox.seatbelt import arguments, text

PROFILE = Profile(
    writable=(Path("/project"),),
    fixed=(Path("/project/.git/hooks"),),
    missing=(Path("/project/.mcp.json"),),
    hidden=(Path("/home/.ssh"),),
    unset=("GITHUB_TOKEN",),
)


def test_the_last_rule_decides_so_what_is_closed_comes_behind_what_is_open() -> None:
    lines = text(PROFILE, temp=Path("/private/t"), proxy_port=None).splitlines()
    assert lines[:2] == ["(version 1)", "(allow default)"]
    opened = lines.index('(allow file-write* (subpath "/project"))')
    for closed in ("/project/.git/hooks", "/project/.mcp.json", "/home/.ssh"):
        assert lines.index(f'(deny file-write* (subpath "{closed}"))') > opened
    assert '(deny file-read* (subpath "/home/.ssh"))' in lines
    assert '(deny file-write-unlink (literal "/project/.git"))' in lines
    assert "(deny network*)" in lines
    assert not any(line.startswith("(allow network") for line in lines)


def test_the_only_way_out_is_the_proxy() -> None:
    lines = text(PROFILE, temp=Path("/private/t"), proxy_port=4000).splitlines()
    allowed = [line for line in lines if line.startswith("(allow network")]
    assert allowed == ['(allow network-outbound (remote ip "localhost:4000"))']


def test_a_path_cannot_end_its_quotes() -> None:
    profile = Profile(writable=(Path('/a") (allow default) ("'),))
    said = text(profile, temp=Path("/private/t"), proxy_port=None)
    assert r'(subpath "/a\") (allow default) (\"")' in said


def test_secret_variables_are_taken_away() -> None:
    made = arguments(PROFILE, ["true"], temp=Path("/private/t"), proxy_port=None)
    assert made[:2] == ["/usr/bin/sandbox-exec", "-p"]
    assert made[3:] == ["/usr/bin/env", "-u", "GITHUB_TOKEN", "TMPDIR=/private/t", "true"]
