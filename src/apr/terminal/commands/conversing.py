"""The conversation itself: /clear, /rename, /mode, /vim, /quit."""

from collections.abc import AsyncIterator

from apr.agent.permissions import MODES
from apr.agent.prompt import Rewrite
from apr.terminal.commands.desk import Desk, Leave
from apr.ui.terminal import line
from ccpa.trace import Usage


async def clear(desk: Desk, _given: str) -> AsyncIterator[str]:
    """Begin the conversation anew."""
    desk.submit(Rewrite("/clear"))
    if desk.screen.doing:
        yield "The conversation begins anew when the agent is done. The files stay as they are."
        return
    desk.screen.usage = Usage(input_tokens=0, output_tokens=0)
    yield "The conversation begins anew. The files stay as they are."


async def mode(desk: Desk, given: str) -> AsyncIterator[str]:
    """Show the permission mode, or change it as far as the settings let."""
    from apr.headless.consent import with_mode

    gate = desk.assembled.agent.gate
    if given:
        desk.assembled.enforce(with_mode(gate.policy, given, desk.plan.settings()))
        yield f"mode: {gate.policy.mode}"
        return
    yield f"mode: {gate.policy.mode}. There are: {', '.join(MODES)}"


async def vim(desk: Desk, _given: str) -> AsyncIterator[str]:
    """Edit the line by vim's keys from now on, or no longer."""
    if desk.toggle_vim():
        yield "vim's keys. They stay with: apr config set editorMode vim"
    else:
        yield "No longer vim's keys."


async def rename(desk: Desk, given: str) -> AsyncIterator[str]:
    """Give the session a name."""
    name = " ".join(given.split())
    if not name:
        yield "usage: /rename NAME"
    elif desk.assembled.store is None:
        yield "This session is not stored, so it can have no name."
    else:
        desk.assembled.store.call(name)
        yield line(f"This session is called {name}. /resume and apr code --resume know it by that.")


async def leave(_desk: Desk, _given: str) -> AsyncIterator[str]:
    """End the session."""
    yield ""
    raise Leave
