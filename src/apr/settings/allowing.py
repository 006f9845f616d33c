"""What a person allows from now on, kept where it holds for them in this project alone."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from apr.settings.files import SettingsError, read
from apr.settings.write import change


def allow(rules: Iterable[str], root: Path) -> Path:
    """Add rules to those that the project's local settings allow, and return that file.

    Raises:
        SettingsError: the file cannot be used as it is, or a link leads out of the project.
        OSError: it cannot be written.
    """
    path = root / ".apr" / "settings.local.json"
    if not path.resolve().is_relative_to(root.resolve()):  # a rule for here would hold elsewhere
        raise SettingsError(
            f"{path} leads out of the project, to {path.resolve()}: remove that link"
        )
    layer = read(path, "local")
    known = ((layer.data if layer else {}).get("permissions") or {}).get("allow") or []
    new = [rule for rule in rules if rule not in known]
    if new:
        change(path, ("permissions", "allow"), msgspec.json.encode([*known, *new]).decode())
    return path
