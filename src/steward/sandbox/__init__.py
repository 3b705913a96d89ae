"""Warm child processes that work within limits: a pool for the parent, and the child's own side."""

from steward.sandbox.failures import ChildCancelled, ChildDied, ChildFailed, ChildOverMemory, ChildRaised, ChildTimedOut
from steward.sandbox.limits import Limits
from steward.sandbox.messages import send
from steward.sandbox.pool import Call, Children
from steward.sandbox.progress_marker import stand_at

__all__ = [
    "Call",
    "ChildCancelled",
    "ChildDied",
    "ChildFailed",
    "ChildOverMemory",
    "ChildRaised",
    "ChildTimedOut",
    "Children",
    "Limits",
    "send",
    "stand_at",
]
