"""What maintenance handlers may do to the installation itself; asked for by annotation (`operations: Operations`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from steward.app import Steward


class Operations:
    """The installation's own housekeeping."""

    injected_as: ClassVar[str] = "operations"

    def __init__(self, steward: Steward) -> None:
        self._steward = steward


def operations_for(steward: Steward) -> Operations:
    """Return the operations of an installation."""
    return Operations(steward)
