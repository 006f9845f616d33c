"""What a subagent has of its chief's: the gate, as it is at the time, and the hooks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from apr.agent.gate import Gate
from apr.agent.permissions import Mode, Policy, Rule
from apr.agent.rules import path_matches
from apr.hooks.base import NOTHING, Fired, HookName, Hooks
from apr.subagents.kinds import Kind

_LOOSER: tuple[Mode, ...] = ("plan", "dontAsk", "default", "acceptEdits", "bypassPermissions")
_OF_PATHS = frozenset({"Read", "Edit", "Write", "NotebookEdit", "Glob", "Grep"})


class BorrowedGate(Gate):
    """The gate of a subagent: its chief's, also when that changes, for the directory it works in.

    What a person allows for the session in answer to a subagent's question is allowed to all.

    Args:
        chief: the gate it is borrowed from.
        root: the directory that the subagent works in.
        kind: its permission mode, and whose word that is.
        hooks: the subagent's.
        allow: what is granted for this task besides.
    """

    def __init__(
        self, chief: Gate, root: Path, kind: Kind, hooks: Hooks, allow: tuple[Rule, ...] = ()
    ) -> None:
        self._chief = chief
        self._root = root
        self._kind = kind
        self._task = (*chief.granted, *allow)
        super().__init__(self.policy, hooks=hooks, ask=chief.ask)

    @property
    def policy(self) -> Policy:
        """The chief's policy at this moment, for this directory."""
        policy = moved(self._chief.policy, self._root)
        mode = mode_of(policy.mode, self._kind)
        return msgspec.structs.replace(policy, mode=mode, allow=(*policy.allow, *self._task))

    @policy.setter
    def policy(self, policy: Policy) -> None:
        now, chief = self.policy, self._chief.policy
        self._chief.policy = msgspec.structs.replace(
            chief,
            allow=(*chief.allow, *policy.allow[len(now.allow) :]),
            mode=chief.mode if policy.mode == now.mode else policy.mode,
        )


def mode_of(chief: Mode, kind: Kind) -> Mode:
    """Return the mode of a subagent: what its chief has, or what is stricter.

    Only where the chief asks for consent may the user's own kind accept edits; none lifts all
    permissions.
    """
    if kind.mode is None or _LOOSER.index(kind.mode) <= _LOOSER.index(chief):
        return kind.mode or chief
    lifted = chief == "default" and kind.own and kind.mode == "acceptEdits"
    return kind.mode if lifted else chief


def moved(policy: Policy, root: Path) -> Policy:
    """Return a policy for a worktree: its rules speak of it as they do of the project.

    What they forbid in the project itself stays forbidden, unless that held for the worktree, too.
    """
    if root == policy.root:
        return policy
    return msgspec.structs.replace(
        policy,
        root=root,
        ask=(*policy.ask, *_of_the_project(policy.ask, policy.root, root)),
        deny=(*policy.deny, *_of_the_project(policy.deny, policy.root, root)),
    )


def _of_the_project(rules: tuple[Rule, ...], project: Path, root: Path) -> tuple[Rule, ...]:
    """Return rules on paths of the project as rules that hold wherever they are read."""
    return tuple(
        Rule(rule.tool, _absolute(rule.specifier, project))
        for rule in rules
        if rule.tool in _OF_PATHS
        and rule.specifier is not None
        and not rule.specifier.startswith(("//", "~/"))
        and not path_matches(rule.specifier, project, root / "file")
    )


def _absolute(specifier: str, project: Path) -> str:
    pattern = specifier.removeprefix("./")
    anchored = "/" in pattern.rstrip("/") and not pattern.startswith("**/")
    middle = "/" if anchored or pattern.startswith("/") else "/**/"
    return f"/{project.as_posix()}{middle}{pattern.removeprefix('/').removeprefix('**/')}"


class TheirHooks:
    """The hooks of a session as they run for one subagent, which they are told of.

    Args:
        hooks: returns those of the session.
        agent_id: its name in the session.
        kind: its kind, the subject of its end.
        cwd: returns where it is.
    """

    def __init__(
        self, hooks: Callable[[], Hooks], agent_id: str, kind: str, cwd: Callable[[], Path]
    ) -> None:
        self._hooks = hooks
        self._facts = {"agent_id": agent_id, "agent_type": kind}
        self._kind = kind
        self._cwd = cwd

    async def fire(
        self,
        event: HookName,
        *,
        subject: str = "",
        tool_use_id: str | None = None,
        **payload: Any,
    ) -> Fired:
        """Run them; see `Hooks.fire`. A subagent's task is not the prompt of a user."""
        if event == "UserPromptSubmit":
            return NOTHING
        return await self._hooks().fire(
            event,
            subject=self._kind if event in {"SubagentStart", "SubagentStop"} else subject,
            tool_use_id=tool_use_id,
            **{"cwd": str(self._cwd()), **self._facts, **payload},
        )
