"""All checks of a machine and a project, in the order in which they are told."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from apr.doctor import configured, confinement, machine, terminal
from apr.doctor.finding import Finding
from apr.errors import AprError


def findings(root: Path, env: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what each check comes to, when it is done; some take seconds.

    What cannot even be looked at is a finding, and keeps nothing else from being one. It runs event
    loops of its own, so it must not be called in one: use a thread.
    """
    settings, found = configured.settings_files(root, env)
    checks: list[tuple[str, Iterable[Finding]]] = [
        ("engine", machine.engine()),
        ("model", machine.model(root, env, settings)),
        ("models", machine.disk()),
        ("sessions", machine.sessions(root)),
        ("sandbox", confinement.sandbox(settings)),
        ("programs", machine.programs()),
        ("terminal", terminal.terminal(env)),
        ("clipboard", terminal.clipboard()),
        ("keys", terminal.keys()),
        ("settings", found),
    ]
    if settings is not None:
        checks += [("rules", configured.rules(settings)), ("hooks", configured.hooks(settings))]
    checks.append(("mcp", configured.servers(root, env, settings)))
    for about, check in checks:
        try:
            yield from check
        except (AprError, OSError, ValueError) as error:
            do = "see to what it names; the other lines stand"
            yield Finding(about, "broken", f"it cannot be looked at: {error}", do)
