"""How work in a child process can end without a reply.

SandboxFailed
├── SandboxDied          the process ended: its signal or exit code, and its last words
├── SandboxTimedOut      it passed its limit of time or of processor seconds, and was stopped
├── SandboxOutOfMemory    it asked for more memory than it may have
├── SandboxCancelled     whoever asked no longer wants the answer, or the pool was closed
└── SandboxRaised        its function raised an exception that has no words for people
"""

from __future__ import annotations

import signal

from steward.errors import StewardError
from steward.sandbox.progress_marker import NOWHERE


class SandboxFailed(StewardError, RuntimeError):
    """A child process gave no reply. `place` is what it had told `stand_at` last, -1 if nothing."""

    kind = "child"
    place = NOWHERE


class SandboxDied(SandboxFailed):
    """The process ended by itself or was killed by someone else. `code` is negative for a signal, as in `Popen`."""

    kind = "child-died"

    def __init__(self, name: str, code: int, last_words: str = "") -> None:
        self.code, self.last_words = code, last_words
        how = f"by the signal {signal_name(-code)}" if code < 0 else f"with exit code {code}"
        last = last_words.strip().splitlines()
        super().__init__(
            f"The process for {name} ended {how} in the middle of its work",
            f"Its last words were: {last[-1]}" if last else "It left no message",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (_again, (type(self), self.__dict__))


class SandboxTimedOut(SandboxFailed):
    """The limit of time was reached. `of_processor` tells which one: processor seconds, or the clock's."""

    kind = "child-timed-out"

    def __init__(self, name: str, seconds: float, *, of_processor: bool = False) -> None:
        self.seconds, self.of_processor = seconds, of_processor
        of = " of processor time" if of_processor else ""
        super().__init__(f"The work in {name} was stopped", f"It took more than its {seconds:g} seconds{of}")

    def __reduce__(self) -> tuple[object, ...]:
        return (_again, (type(self), self.__dict__))


class SandboxOutOfMemory(SandboxFailed):
    """The limit of memory was reached; the process is replaced."""

    kind = "child-over-memory"

    def __init__(self, name: str, memory_mb: int) -> None:
        self.memory_mb = memory_mb
        super().__init__(f"The work in {name} was stopped", f"It needed more than its {memory_mb} MB of memory")

    def __reduce__(self) -> tuple[object, ...]:
        return (_again, (type(self), self.__dict__))


class SandboxCancelled(SandboxFailed):
    """The work was given up before it ended."""

    kind = "child-cancelled"


class SandboxRaised(SandboxFailed):
    """The child's function raised. `message` and `where` (file:line) are for people, `trace` is for the log."""

    kind = "child-raised"

    def __init__(self, type_name: str, message: str, where: str, trace: str) -> None:
        self.type_name, self.message, self.where, self.trace = type_name, message, where, trace
        super().__init__(f"{type_name}: {message}" if message else type_name, f"Raised at {where}")

    def __reduce__(self) -> tuple[object, ...]:
        return (_again, (type(self), self.__dict__))


def _again(kind: type[SandboxFailed], state: dict[str, object]) -> SandboxFailed:
    # The constructors take facts, not the three sentences that an exception's own pickling would hand them.
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = (state["what"], state["why"], state["remedy"])
    return error


def signal_name(number: int) -> str:
    """Return `SIGKILL` for 9, or the number itself if it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
