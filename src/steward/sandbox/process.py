"""One child process as its parent sees it: started, asked, watched, stopped."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Final

from steward import errors
from steward.sandbox import diagnosis, frames
from steward.sandbox.failures import SandboxCancelled, SandboxFailed, SandboxOutOfMemory, SandboxRaised, SandboxTimedOut
from steward.sandbox.progress_marker import FAR, NOWHERE, ProgressMarker, memory
from steward.sandbox.server import SandboxSetup
from steward.system import log_line, usage

log = logging.getLogger(__name__)

TICK: Final = 0.1  # seconds between looks at the clock, the memory and `cancelled`, while a call runs and only then
START_SECONDS: Final = 60.0
LOOK: Final = object()
"""What a talk yields when it has looked at the clock, for whoever wants to look at something too."""
_BOOT: Final = str(Path(__file__).with_name("bootstrap.py"))
MOST_PIECES: Final = 16  # of 64 KiB of what a child says on its standard error, between two looks at the clock
DEAF: Final = 2.0  # seconds of processor time for which the kernel's signal is waited for
_MB: Final = 1 << 20


class SandboxProcess:
    """A process of its own session, started by the constructor and warming up from then on.

    The thread that constructs it must live as long as it does: the kernel counts that thread as the parent.
    """

    def __init__(self, order: SandboxSetup, name: str, environment: Mapping[str, str] | None = None) -> None:
        self.name, self._order = name, order
        self.uses = 0
        self.usable = True
        self._ready = False
        self._cancelled = False
        self._inbox = frames.FrameReader()
        self._words: deque[str] = deque(maxlen=20)
        self._word = b""
        self._memory = 0
        self._used: float | None = None
        path = json.dumps(sys.path).encode() + b"\n"
        self._outgoing = memoryview(path + frames.frame(frames.ORDER, pickle.dumps(order)))
        self._ending = threading.Lock()
        self._line, theirs = socket.socketpair()
        self._stderr, stderr = os.pipe()
        place = memory()
        self._place = ProgressMarker(os.dup(place))
        try:
            # No preexec_fn, so that any number of threads may run here; Python closes every other descriptor.
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", _BOOT, name, str(theirs.fileno()), str(place), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=(theirs.fileno(), place),
                start_new_session=True,
                env=None if environment is None else dict(environment),
            )
        except OSError:
            self._line.close()
            os.close(self._stderr)
            self._place.close()
            raise
        finally:
            theirs.close()
            os.close(stderr)
            os.close(place)
        self._line.setblocking(False)
        os.set_blocking(self._stderr, False)
        with contextlib.suppress(OSError):
            self._send()

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group and session."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs. It is not reaped, so that its id stays its own until `kill`."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None
        except ChildProcessError:
            return False

    @property
    def is_warm(self) -> bool:
        """Whether it has finished warming up, or at least has something to say."""
        return self._ready or self._has_news()

    @property
    def has_grown(self) -> bool:
        """Whether it holds more than half of its memory while it rests."""
        return self._resident() * 2 > self._order.limits.memory_mb * _MB

    def talk(self, request: bytes, seconds: float) -> Generator[Any, None, Any]:
        """Ask with the pickled `request`: yields what the child says, and LOOK ten times a second; returns its reply.

        After any SandboxFailed but SandboxRaised the process is gone. Whoever gives up throws `given_up()` in. A
        SandboxFailed tells as its `place` what the child had told `stand_at` last.
        """
        self._place.number, self._place.end = NOWHERE, FAR
        try:
            if not self._ready:
                for news in self._exchange(START_SECONDS):
                    if news is LOOK:
                        yield LOOK
                self._ready = True
            self.uses += 1
            self._used = usage.processor(self.pid)
            self._outgoing = memoryview(frames.frame(frames.REQUEST, request))
            return (yield from self._exchange(seconds))
        except SandboxRaised as error:
            error.place = self._place.number
            self.usable = self.usable and self._ready
            raise
        except errors.StewardError as error:
            if isinstance(error, SandboxFailed):
                error.place = self._place.number
            if isinstance(error, SandboxFailed) or not self._ready:
                self.kill()
            raise
        except BaseException:
            self.kill()
            raise

    @property
    def place(self) -> int:
        """What the process has told `stand_at` last in this call, -1 before that."""
        return self._place.number

    def go_no_further(self) -> None:
        """Let the process end its call after the part that it is at."""
        self._place.end = self._place.number + 1

    def cancel(self) -> None:
        """Stop the process from another thread; a call in progress ends with SandboxCancelled."""
        self._cancelled = True
        with self._ending:
            if self._process.returncode is None:  # else it is reaped, and its id may be another's
                self._kill_group()

    def kill(self) -> None:
        """Stop the process and all that it started, now, and free what it held here. Harmless when repeated."""
        if self._line.fileno() < 0:
            return
        self.usable = False
        self._end()
        self._line.close()
        os.close(self._stderr)
        self._place.close()

    def _end(self) -> int:
        """Kill the process (if it only closed its socket) and all that it started; return its exit code."""
        with self._ending:
            if self._process.returncode is None:
                self._kill_group()
            return self._process.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def given_up(self) -> SandboxCancelled:
        """Return the error to throw into a talk that is no longer wanted."""
        return SandboxCancelled(f"The work in {self.name} was given up", "It is no longer wanted")

    def _exchange(self, seconds: float) -> Generator[Any, None, Any]:
        """Send what is outgoing, yield what the child says, and return its reply."""
        poll = select.poll()
        poll.register(self._stderr, select.POLLIN)
        end = time.monotonic() + seconds
        look = 0.0
        while True:
            now = time.monotonic()
            if now >= look or now >= end:
                look = now + TICK
                self._check()
                yield LOOK
                if now >= end:
                    raise SandboxTimedOut(self.name, seconds)
            poll.register(self._line, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
            for descriptor, event in poll.poll(max(0.0, min(look, end) - now) * 1000):
                if descriptor == self._stderr:
                    if not self._listen():
                        poll.unregister(self._stderr)
                    continue
                if event & select.POLLOUT:
                    self._send()
                if event & ~select.POLLOUT:
                    self._receive()
            while (arrived := self._take()) is not None:
                kind, content = arrived
                if kind == frames.MESSAGE:
                    yield self._value(content)
                elif kind == frames.READY:
                    return None
                elif kind == frames.REPLY:
                    return self._value(content)
                else:
                    raise diagnosis.raised(self.name, self._order.limits, self._order.codec, content)

    def _check(self) -> None:
        if self._cancelled:
            raise self.given_up()
        # The kernel's own signal (SIGXCPU) comes first, unless the process is deaf to it.
        if self._used is not None and usage.processor(self.pid) - self._used > self._order.limits.cpu_seconds + DEAF:
            raise SandboxTimedOut(self.name, self._order.limits.cpu_seconds, of_processor=True)
        if self._resident() > self._order.limits.memory_mb * _MB:
            raise SandboxOutOfMemory(self.name, self._order.limits.memory_mb)
        if not self.is_alive and not self._has_news():  # what it said before it ended comes first
            raise self._death()

    def _has_news(self) -> bool:
        poll = select.poll()  # not select(2), which cannot take descriptors over 1023
        poll.register(self._line, select.POLLIN)
        return bool(poll.poll(0))

    def _send(self) -> None:
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[self._line.send(self._outgoing) :]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            raise self._death() from None

    def _receive(self) -> None:
        try:
            piece = self._line.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise self._death()
        self._inbox.add(piece)

    def _take(self) -> tuple[bytes, bytes] | None:
        try:
            return self._inbox.take()
        except ValueError as error:
            raise diagnosis.nonsense(self.name, error) from error

    def _value(self, content: bytes) -> Any:
        try:
            return frames.unpack(content, self._order.codec)
        except Exception as error:
            raise diagnosis.nonsense(self.name, error) from error

    def _death(self) -> SandboxFailed:
        """Return why the process ended; it is reaped."""
        code = self._end()
        self._listen()
        if self._word:
            self._words.append(self._word.decode(errors="replace"))
        if self._cancelled:
            return SandboxCancelled(f"The work in {self.name} was given up", "The service is stopping")
        return diagnosis.death(self.name, self._order.limits, code, "\n".join(self._words), self._memory)

    def _listen(self) -> bool:
        """Take what the child wrote to its standard error; return whether more may come."""
        try:
            for _ in range(MOST_PIECES):  # one that never falls silent must not keep the clock from being looked at
                if not (piece := os.read(self._stderr, 1 << 16)):
                    return False
                *lines, self._word = (self._word + piece).split(b"\n")
                self._word = self._word[-4096:]
                for line in lines:
                    text = line.decode(errors="replace")[:4096]
                    if not log_line.relay(text):
                        self._words.append(text)
                        log.info("%s[%d]: %s", self.name, self.pid, text)
        except BlockingIOError:
            pass
        return True

    def _resident(self) -> int:
        resident, data = usage.memory(self.pid)
        self._memory = data if resident else self._memory
        return resident
