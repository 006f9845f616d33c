"""Settings: what the organisation, the user and the project have decided, and who decided what."""

from apr.settings.files import Layer, Rung, SettingsError, Source
from apr.settings.ladder import MANAGED, SOURCES, Entry, Settings, files, load, settle, user_folders
from apr.settings.policy import Rules, permission_mode, rules
from apr.settings.schema import Hook, HookGroup, Schema, dotted, undotted, unknown

__all__ = [
    "MANAGED",
    "SOURCES",
    "Entry",
    "Hook",
    "HookGroup",
    "Layer",
    "Rules",
    "Rung",
    "Schema",
    "Settings",
    "SettingsError",
    "Source",
    "dotted",
    "files",
    "load",
    "permission_mode",
    "rules",
    "settle",
    "undotted",
    "unknown",
    "user_folders",
]
