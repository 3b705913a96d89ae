"""What is wrong with one field of a payload: its name, why, and the name that was probably meant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field of a payload."""

    field: str
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f" (did you mean '{self.nearest}'?)" if self.nearest else ""
        return f"{self.field}: {self.message}{hint}" if self.field else f"{self.message}{hint}"
