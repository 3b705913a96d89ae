"""Who asks, and what they may ask for, see and change."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from steward.errors import InvalidOption, MissingScope, NotPermitted

Audience = Literal["send", "reports", "operate", "internal"]
"""Who may ask for a kind of task: everybody who sends, staff, operators, or nobody but the service itself."""

AUDIENCES: Final[tuple[str, ...]] = get_args(Audience)
INTERNAL: Final = "internal"
_ADMITS: Final = {
    "send": frozenset(("send",)),
    "reports": frozenset(("reports", "operate")),
    "operate": frozenset(("operate",)),
    INTERNAL: frozenset((INTERNAL,)),
}
"""Which scopes ask for what is made for each audience: operators are staff as well."""
SCOPES: Final = ("send", "read", "reports", "operate")
"""send: hand over tasks; read: see them; reports: ask for and download reports; operate: see and change everybody's."""
LONGEST_NAME: Final = 80


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. `id` is what their tasks, schedules and idempotency keys belong to; `name` is only shown.

    `only` holds the names of the tasks that a key is limited to; None means every task that its scopes allow.
    """

    id: str
    name: str
    scopes: frozenset[str]
    only: frozenset[str] | None = None

    @property
    def operates(self) -> bool:
        """Whether everybody's tasks are theirs to see and to change."""
        return "operate" in self.scopes

    def knows(self, task: str) -> bool:
        """Whether tasks of this name are within what a key is limited to."""
        return self.only is None or task in self.only

    def may_ask(self, task: str, audience: str) -> bool:
        """Whether they may ask for a task of this name, which is made for `audience`."""
        return self.knows(task) and not self.scopes.isdisjoint(_ADMITS[audience])

    def require_ask(self, task: str, audience: str) -> None:
        """Return if they may ask for a task of this name.

        Raises:
            MissingScope: it is made for others.
            NotPermitted: their key is limited to other tasks, or the task is the service's own.
        """
        self.require_known(task)
        if self.may_ask(task, audience):
            return
        if audience == INTERNAL:
            raise NotPermitted(f"Nobody may ask for {task}", "The service itself makes these tasks")
        admitted = sorted(_ADMITS[audience], key=SCOPES.index)
        raise MissingScope(
            f"This needs the scope {' or '.join(admitted)}",
            f"'{self.name}' has {', '.join(sorted(self.scopes)) or 'none'}",
            "Ask an operator for a key that has it",
            scope=" ".join(admitted),
        )

    def require_again(self, task: str, audience: str) -> None:
        """Return if they may have a task made again that was asked for before. Raises as `require_ask`.

        Operators may, whoever asked: what it is given was looked at then.
        """
        if self.operates:
            self.require_known(task)
        else:
            self.require_ask(task, audience)

    def require_known(self, task: str) -> None:
        """Return if tasks of this name are within what the key is limited to.

        Raises:
            NotPermitted: they are not.
        """
        if not self.knows(task):
            raise NotPermitted(
                f"The key '{self.name}' is not for {task}",
                f"It is limited to {', '.join(sorted(self.only or ())) or 'nothing'}",
                "Ask an operator for a key that allows it",
            )

    def sees(self, task: str, owner_id: str) -> bool:
        """Whether a task or schedule of this name and owner is theirs to see."""
        return self.knows(task) and (self.operates or owner_id == self.id)


PROCESS: Final = Caller("process", "", frozenset((*SCOPES, INTERNAL)))
"""The program that embeds the service: it is trusted as the service itself is."""
COMMAND_LINE: Final = Caller("command line", "command line", frozenset(SCOPES))
"""Whoever may run the command on the service's own host and data: an operator."""
SERVICE: Final = Caller("steward", "steward", frozenset((*SCOPES, INTERNAL)))
"""The service itself: its alerts, and what plugins and settings have it do."""
UNKNOWN: Final = Caller("", "", frozenset(("send", "reports")))
"""The owner of what was kept before owners were told apart, where the name stands for several."""


def proper_name(name: str, taken: Iterable[str] = (), *, whose: str = "A key") -> str:
    """Return `name` without blanks around it, its characters composed, as it is kept.

    Raises:
        InvalidOption: it is empty, longer than 80 characters, not printable, or another's already.
    """
    kept = plain_name(name)
    if not kept or len(kept) > LONGEST_NAME or not kept.isprintable():
        why = f"It has {len(kept)}" if len(kept) > LONGEST_NAME else "It is empty" if not kept else "Some are not"
        raise InvalidOption("The name cannot be used", why, f"It needs 1 to {LONGEST_NAME} printable characters")
    if kept.casefold() in {other.casefold() for other in taken}:
        raise InvalidOption(f"{whose} of the name '{kept}' is in use", remedy="Choose another name, or end that one")
    return kept


def plain_name(name: str) -> str:
    """Return `name` without blanks around it, and its characters composed: one name has one spelling."""
    return unicodedata.normalize("NFC", name).strip()


def shown_name(name: str) -> str:
    """Return what a program gave as a name to show, as it is kept: printable, and at most 80 characters."""
    return "".join(c for c in name if c.isprintable())[:LONGEST_NAME]


def known_names(wanted: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    """Return the names of tasks that a key is limited to.

    Raises:
        InvalidOption: one is no task's; the nearest that is one is offered.
    """
    known = sorted(names)
    for each in wanted:
        if each not in known:
            near = difflib.get_close_matches(each, known, n=1)
            raise InvalidOption(
                f"There is no task named '{each[:80]}'",
                remedy=f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(known) or 'none'}",
            )
    return frozenset(wanted)
