"""Warm child processes that work within limits: a pool for the parent, and the child's own side."""

from steward.children.failures import (
    ChildCancelled,
    ChildDied,
    ChildFailed,
    ChildOverMemory,
    ChildRaised,
    ChildTimedOut,
)
from steward.children.limits import Limits
from steward.children.place import stand_at
from steward.children.pool import Call, Children
from steward.children.sending import send

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
