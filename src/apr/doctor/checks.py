"""All checks of a machine and a project, in the order in which they are told."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from apr.doctor import configured, confinement, machine
from apr.doctor.finding import Finding


def findings(root: Path, env: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what each check comes to, when it is done; some take seconds.

    It runs event loops of its own, so it must not be called in one: use a thread.
    """
    settings, found = configured.settings_files(root, env)
    yield from machine.engine()
    yield from machine.model(root, env, settings)
    yield from machine.disk()
    yield from confinement.sandbox(settings)
    yield from machine.programs()
    yield from found
    if settings is not None:
        yield from configured.rules(settings)
        yield from configured.hooks(settings)
    yield from configured.servers(root, env, settings)
