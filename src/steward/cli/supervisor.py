"""Runs the web server and the workers as processes, starts again what dies, and stops all of them cleanly."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

WAKEFUL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
NAMES = {number.value: number.name for number in signal.Signals}
Mask = set[int | signal.Signals]

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
SETTLED = 30.0
"""Seconds after which a process counts as well: its next death is the first again."""
STOP_WITHIN = 29.0
"""Seconds from the signal until what has not left is killed; a worker needs up to 27."""
UNUSABLE = 2
"""The exit code of a process that cannot work as it is set up (`cli/wording.py`)."""


@dataclass(frozen=True, slots=True)
class SupervisedProcess:
    """What one process is to run: the words after `steward`, and a descriptor that it inherits."""

    name: str
    words: tuple[str, ...]
    descriptor: int | None = None


@dataclass(slots=True)
class _Kept:
    program: SupervisedProcess
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    again_at: float = 0.0
    settled: bool = field(default=False)


def run(programs: Sequence[SupervisedProcess], environment: Mapping[str, str]) -> int:
    """Keep `programs` running until SIGTERM, SIGINT or SIGHUP and return 0 when all have left.

    Each is started again when it dies, after a pause that grows from 0.2 to 30 seconds; the others are not touched.
    A process that says at its very first start that it cannot work as it is set up ends everything, with its exit
    code. Must be called in the main thread: the kernel ends the processes with the thread that started them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAKEFUL)
    # A signal that nothing handles is discarded even while it is waited for, unless it has a handler.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    kept = [_Kept(program) for program in programs]
    try:
        return _keep(kept, {**os.environ, **environment}, before)
    finally:
        _stop(kept)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _keep(kept: list[_Kept], environment: dict[str, str], unblocked: Mask) -> int:
    while True:
        moment = time.monotonic()
        for each in kept:
            if each.process is None and each.again_at <= moment:
                _start(each, environment, unblocked)
        waiting = [each.again_at - moment for each in kept if each.process is None]
        heard = signal.sigtimedwait(WAKEFUL, max(0.01, min(waiting, default=5.0)))
        if heard is not None and heard.si_signo != signal.SIGCHLD:
            log.info("stopping: %s", signal.Signals(heard.si_signo).name)
            return 0
        for each in kept:
            code = each.process.poll() if each.process is not None else None
            if each.process is None or code is None:
                continue
            if code == UNUSABLE and not each.deaths and not each.settled:
                log.error("the %s cannot work as it is set up; stopping", each.program.name)
                each.process = None
                return code
            _mourn(each, code)


def _start(each: _Kept, environment: dict[str, str], unblocked: Mask) -> None:
    command = [sys.executable, "-m", "steward", *each.program.words, "--parent", str(os.getpid())]
    try:
        each.process = subprocess.Popen(  # noqa: S603  # our own program with our own words
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            pass_fds=() if each.program.descriptor is None else (each.program.descriptor,),
            # A group of its own: Ctrl-C in a terminal reaches the supervisor alone, which then stops the rest in order.
            process_group=0,
            # The mask is inherited, and a child that cannot hear SIGTERM would have to be killed. This process has no
            # second thread, so that running Python between fork and exec is safe.
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, unblocked),
        )
    except OSError as error:  # no memory or no process left: the others go on, and this one is tried again
        log.error("the %s could not be started: %s", each.program.name, error)
        each.again_at = time.monotonic() + LONGEST_PAUSE
        return
    each.started = time.monotonic()
    log.info("%s the %s (process %d)", "restarted" if each.deaths else "started", each.program.name, each.process.pid)


def _mourn(each: _Kept, code: int) -> None:
    lived = time.monotonic() - each.started
    if lived > SETTLED:
        each.settled, each.deaths = True, 0
    pause = min(FIRST_PAUSE * 2 ** min(each.deaths, 16), LONGEST_PAUSE)
    each.deaths += 1
    each.process, each.again_at = None, time.monotonic() + pause
    how = f"ended with exit code {code}" if code >= 0 else f"was killed ({NAMES.get(-code, f'signal {-code}')})"
    log.warning("the %s %s after %.1f s; it starts again in %.1f s", each.program.name, how, lived, pause)


def _stop(kept: list[_Kept]) -> None:
    until = time.monotonic() + STOP_WITHIN
    running = {each.program.name: each.process for each in kept if each.process is not None}
    for process in running.values():
        process.terminate()
    while running and time.monotonic() < until:
        heard = signal.sigtimedwait(WAKEFUL, min(1.0, max(0.01, until - time.monotonic())))
        if heard is not None and heard.si_signo == signal.SIGINT:
            break  # a second Ctrl-C: nobody wants to wait any longer
        running = {name: process for name, process in running.items() if process.poll() is None}
    for name, process in running.items():
        log.warning("the %s has not left and is killed", name)
        process.kill()
        process.wait()
    log.info("all have left")
