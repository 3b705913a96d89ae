"""What a child says while it works, before its reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_sender: Callable[[Any], None] | None = None


def send(message: Any) -> None:
    """Send `message` to the parent, which hands it to the call's `on_message`. From any thread of the child.

    Raises:
        RuntimeError: this process is no child that serves.
    """
    if _sender is None:
        raise RuntimeError("only a child process can send to its parent")
    _sender(message)


def speak_through(sender: Callable[[Any], None]) -> None:
    """Let `send` use `sender`; called once, in the child."""
    global _sender  # a process has one parent
    _sender = sender
