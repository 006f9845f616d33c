"""The command line against the settings: what of it counts."""

from collections.abc import Sequence

from msgspec import Struct

from apr.settings.files import SettingsError
from apr.settings.ladder import Settings


class Rules(Struct, frozen=True):
    """Permission rules, as they are written."""

    allow: tuple[str, ...]
    ask: tuple[str, ...]
    deny: tuple[str, ...]


def permission_mode(settings: Settings, flag: str | None) -> str:
    """Return the mode to start in. `flag` is what the command line says, if it does.

    Raises:
        SettingsError: `flag` is a mode that the settings forbid.
    """
    permissions = settings.permissions
    key = ("permissions", "disableBypassPermissionsMode")
    if flag == "bypassPermissions" and permissions.disable_bypass_permissions_mode:
        name = settings.sources(*key)[-1].name
        raise SettingsError(f"{name} forbids the mode bypassPermissions; choose another")
    if permissions.default_mode and settings.managed("permissions", "defaultMode"):
        if flag not in {None, permissions.default_mode}:
            name = settings.sources("permissions", "defaultMode")[-1].name
            raise SettingsError(f"{name} sets the mode to {permissions.default_mode}, not {flag}")
        return permissions.default_mode
    return flag or permissions.default_mode or "default"


def rules(settings: Settings, *, allow: Sequence[str] = (), deny: Sequence[str] = ()) -> Rules:
    """Return the rules of the settings and of the command line, which are `allow` and `deny`.

    Where only the organisation's rules count, the command line's are left out. What it denies
    stays: that can take nothing from the policy.
    """
    own = settings.permissions
    if settings.allow_managed_permission_rules_only:
        allow = ()
    return Rules((*own.allow, *allow), own.ask, (*own.deny, *deny))
