"""What an editor can choose for a session: its mode, its model, a command, an answer. Pure."""

from collections.abc import Iterable, Sequence
from typing import get_args

from acp import schema

from apr.agent.asking import Answer
from apr.agent.permissions import Mode, Rule
from apr.ui.terminal import line

MODE = "mode"
MODEL = "model"
"""The ids of the options."""
ONCE, SESSION, ALWAYS, NO, FREELY = "once", "session", "always", "no", "acceptEdits"
"""The ids of what a person may answer."""

Option = schema.SessionConfigOptionSelect | schema.SessionConfigOptionBoolean

_MODES: dict[Mode, tuple[str, str]] = {
    "default": ("Ask", "Asks before it changes files or runs commands"),
    "acceptEdits": ("Accept edits", "Changes files in the project without asking"),
    "plan": ("Plan", "Looks, and changes nothing"),
    "bypassPermissions": ("Bypass permissions", "Asks for nothing that no rule forbids"),
    "dontAsk": ("Don't ask", "Does what is allowed, and asks for nothing"),
}


def modes(current: Mode, allowed: Sequence[Mode]) -> schema.SessionModeState:
    """Return the permission modes there are, and which is on."""
    return schema.SessionModeState(
        current_mode_id=current,
        available_modes=[
            schema.SessionMode(id=mode, name=_MODES[mode][0], description=_MODES[mode][1])
            for mode in allowed
        ],
    )


def mode_option(current: Mode, allowed: Sequence[Mode]) -> Option:
    """Return the same as an option: newer editors show these."""
    return schema.SessionConfigOptionSelect(
        type="select",
        id=MODE,
        name="Permission mode",
        description="What is done without asking",
        category="mode",
        current_value=current,
        options=[
            schema.SessionConfigSelectOption(
                value=mode, name=_MODES[mode][0], description=_MODES[mode][1]
            )
            for mode in allowed
        ],
    )


def model_option(current: str, models: Sequence[str]) -> Option:
    """Return the models of this disk, and which is asked."""
    names = models if current in models else (current, *models)
    return schema.SessionConfigOptionSelect(
        type="select",
        id=MODEL,
        name="Model",
        description="Which model of this disk is asked, from the next answer on",
        category="model",
        current_value=current,
        options=[schema.SessionConfigSelectOption(value=name, name=name) for name in names],
    )


def commands(named: Iterable[tuple[str, str, str]]) -> schema.AvailableCommandsUpdate:
    """Return the commands there are: name, description, and a hint at what to give (or empty)."""
    return schema.AvailableCommandsUpdate(
        session_update="available_commands_update",
        available_commands=[
            schema.AvailableCommand(
                name=name,
                description=description or name,
                input=schema.AvailableCommandInput(schema.UnstructuredCommandInput(hint=hint))
                if hint
                else None,
            )
            for name, description, hint in named
        ],
    )


def answers(
    tool: str, rules: tuple[Rule, ...]
) -> dict[str, tuple[schema.PermissionOption, Answer]]:
    """Return what a person may answer to a question about a tool, by id, in this order.

    `rules` are the narrowest that allow just this; none where no rule can.
    """
    yes, no = Answer(allow=True), Answer(allow=False)
    if tool == "ExitPlanMode":
        free = Answer(allow=True, mode="acceptEdits")
        return {
            ONCE: (_option(ONCE, "Go ahead, and ask before changes", "allow_once"), yes),
            FREELY: (_option(FREELY, "Go ahead, and change files freely", "allow_always"), free),
            NO: (_option(NO, "Keep planning", "reject_once"), no),
        }
    given = {ONCE: (_option(ONCE, "Allow", "allow_once"), yes)}
    if rules:
        named, again = ", ".join(map(str, rules)), Answer(allow=True, rules=rules)
        given[SESSION] = (_option(SESSION, f"For this session: {named}", "allow_always"), again)
        given[ALWAYS] = (_option(ALWAYS, f"Always: {named}", "allow_always"), again)
    return {**given, NO: (_option(NO, "Reject", "reject_once"), no)}


def _option(id_: str, name: str, kind: schema.PermissionOptionKind) -> schema.PermissionOption:
    return schema.PermissionOption(option_id=id_, name=line(name), kind=kind)


def mode_named(name: str) -> Mode | None:
    """Return the mode of that name; None if there is none."""
    return next((mode for mode in get_args(Mode) if mode == name), None)
