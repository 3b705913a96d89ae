"""Warm child processes that work within limits: a pool for the parent, and the child's own side."""

from steward.sandbox.failures import (
    SandboxCancelled,
    SandboxDied,
    SandboxFailed,
    SandboxOutOfMemory,
    SandboxRaised,
    SandboxTimedOut,
)
from steward.sandbox.limits import SandboxLimits
from steward.sandbox.messages import send
from steward.sandbox.pool import SandboxCall, SandboxPool, pickled
from steward.sandbox.process import LOOK
from steward.sandbox.progress_marker import stand_at

__all__ = [
    "LOOK",
    "SandboxCall",
    "SandboxCancelled",
    "SandboxDied",
    "SandboxFailed",
    "SandboxLimits",
    "SandboxOutOfMemory",
    "SandboxPool",
    "SandboxRaised",
    "SandboxTimedOut",
    "pickled",
    "send",
    "stand_at",
]
