"""Reads why a child gave no reply: from the exception that it told, or from its exit code and its last words."""

from __future__ import annotations

import contextlib
import errno
import json
import pickle
import signal
from typing import Final

from steward import errors
from steward.sandbox.failures import SandboxDied, SandboxFailed, SandboxOutOfMemory, SandboxRaised, SandboxTimedOut
from steward.sandbox.frames import Codec
from steward.sandbox.limits import SandboxLimits

_MB: Final = 1 << 20
# How C libraries end when memory is refused: GLib traps, C++ aborts, others follow the null pointer.
_SIGNALS_OF_WANT: Final = {signal.SIGABRT, signal.SIGTRAP, signal.SIGSEGV, signal.SIGBUS}
_WORDS_OF_WANT: Final = ("failed to allocate", "Cannot allocate memory", "out of memory", "MemoryError", "bad_alloc")


def nonsense(name: str, error: Exception) -> SandboxFailed:
    """Return the error for something that came from the child and cannot be read."""
    return SandboxFailed(f"The process for {name} sent something that cannot be read", str(error))


def death(name: str, limits: SandboxLimits, code: int, words: str, memory: int) -> SandboxFailed:
    """Return why a process ended: its exit code, what it wrote at last, and how many bytes it held when last seen."""
    if code == -signal.SIGXCPU:
        return SandboxTimedOut(name, limits.cpu_seconds, of_processor=True)
    wanting = any(sign in words for sign in _WORDS_OF_WANT) or memory > 0.8 * limits.memory_mb * _MB
    if wanting and (-code in _SIGNALS_OF_WANT or code == errno.ENOMEM):
        return SandboxOutOfMemory(name, limits.memory_mb)
    return SandboxDied(name, code, words)


def raised(name: str, limits: SandboxLimits, codec: Codec, content: bytes) -> Exception:
    """Return the exception that a child described: the service's own by its pickle or words, else SandboxRaised."""
    try:
        told = json.loads(content)
        if told["memory"]:
            return SandboxOutOfMemory(name, limits.memory_mb)
        if told.get("pickle") and codec == "pickle":
            with contextlib.suppress(Exception):  # a plugin's own class may be unknown here
                again = pickle.loads(bytes.fromhex(told["pickle"]))  # noqa: S301  # see frames.unpack
                if isinstance(again, errors.StewardError):
                    return again
        if told.get("words"):
            known, what, why, remedy = told["words"]
            kind = getattr(errors, known)
            if issubclass(kind, errors.StewardError):
                words: errors.StewardError = kind(what, why, remedy)
                return words
        return SandboxRaised(told["type"], told["message"], told["where"], told["trace"])
    except (ValueError, KeyError, TypeError, AttributeError) as unreadable:
        return nonsense(name, unreadable)
