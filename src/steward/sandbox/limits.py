"""What a child process may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """`seconds` (of the clock) and `cpu_seconds` count for each call, `memory_mb` (resident, MiB) for the process.

    Without `network` the process cannot make a socket: see `steward.sandbox.confinement` for what that rests on.
    """

    seconds: float
    cpu_seconds: float
    memory_mb: int
    network: bool = False
