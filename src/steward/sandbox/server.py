"""The child's side: warm up, then answer one request after the other until the parent hangs up."""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import pickle
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from steward import errors
from steward.sandbox import confinement, frames
from steward.sandbox.frames import Codec
from steward.sandbox.limits import SandboxLimits
from steward.sandbox.messages import speak_through
from steward.sandbox.progress_marker import ProgressMarker, note_in

_GROWN: Final = 32 * confinement.MB  # after growing by this much, a child tidies up before it rests


@dataclass(frozen=True, slots=True)
class SandboxSetup:
    """What a child is for. `entry` is "module:function"; the function is called once with `argument`."""

    entry: str
    argument: Any
    limits: SandboxLimits
    codec: Codec


def serve(name: str, channel: int, place: int, parent: int) -> NoReturn:
    """Serve the requests on the socket `channel`; ends the process when the parent closes it."""
    confinement.die_with(parent)
    note_in(ProgressMarker(place))
    confinement.leave_signals_to_parent()
    _Server(socket.socket(fileno=channel)).run()
    os._exit(0)


class _Server:
    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._lock = threading.Lock()

    def run(self) -> None:
        order: SandboxSetup = pickle.loads(self._read())  # noqa: S301  # the parent's own
        self._codec = order.codec
        confinement.bound_files()
        if not order.limits.network:
            confinement.leave_network()
        speak_through(lambda message: self._write(frames.MESSAGE, frames.pack(message, self._codec)))
        try:
            module, _, function = order.entry.partition(":")
            answer = getattr(importlib.import_module(module), function)(order.argument)
        except BaseException as error:
            self._write_error(error)
            os._exit(1)
        gc.collect()
        gc.freeze()  # what is warm is never looked at again (1.4x for a render, a measured finding)
        warm, half = confinement.resident(), order.limits.memory_mb * confinement.MB // 2
        confinement.bound_memory(order.limits.memory_mb)
        self._write(frames.READY, b"")
        while True:
            request = pickle.loads(self._read())  # noqa: S301  # the parent's own
            confinement.bound_processor(order.limits.cpu_seconds)
            try:
                self._answer(answer, request, half)
            except (MemoryError, SystemError):  # while describing the first; C code raises the second when it must not
                os.write(2, confinement.LAST_WORDS)
                os._exit(errno.ENOMEM)
            del request
            if confinement.resident() > warm + _GROWN:
                gc.collect()

    def _answer(self, answer: Callable[[Any], Any], request: Any, half: int) -> None:
        try:
            reply = frames.pack(answer(request), self._codec)
            if confinement.resident() > half:  # the parent replaces who rests above the half
                gc.collect()
        except BaseException as error:  # SystemExit, and what libraries derive from BaseException, too
            if isinstance(error, MemoryError):
                confinement.unbound_memory()  # to have room for saying so; the parent replaces this process
            self._write_error(error)
        else:
            self._write(frames.REPLY, reply)

    def _read(self) -> bytes:
        size = frames.HEAD.unpack(self._exactly(frames.HEAD.size))[1]
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._line.recv(min(size, 1 << 20))
            if not part:  # the parent has hung up
                os._exit(0)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _write(self, kind: bytes, content: bytes) -> None:
        with self._lock:
            try:
                self._line.sendall(frames.frame(kind, content))
            except (BrokenPipeError, ConnectionResetError):
                os._exit(0)

    def _write_error(self, error: BaseException) -> None:
        sys.stdout.flush()
        self._write(frames.ERROR, json.dumps(describe(error, self._codec)).encode())


def describe(error: BaseException, codec: Codec) -> dict[str, Any]:
    """Return what the parent needs to raise `error` again: by its pickle if it may, else by its words."""
    told: dict[str, Any] = {
        "type": type(error).__name__,
        "message": _text(error),
        "where": _where(error),
        "trace": "".join(traceback.format_exception(error)),
        "memory": isinstance(error, MemoryError),
    }
    if isinstance(error, errors.StewardError):
        known = next(c for c in type(error).__mro__ if getattr(errors, c.__name__, None) is c and _is_plain(c))
        told["words"] = [known.__name__, error.what, error.why, error.remedy]
        if codec == "pickle":
            try:
                told["pickle"] = pickle.dumps(error).hex()
            except Exception as unfit:  # its words will do
                told["trace"] += f"(not pickled: {unfit})"
    return told


def _is_plain(kind: type) -> bool:
    return kind.__init__ is errors.StewardError.__init__  # type: ignore[misc]  # made of its three sentences alone


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as worse:
        return f"(its message cannot be read: {type(worse).__name__})"


def _where(error: BaseException) -> str:
    frames_ = traceback.extract_tb(error.__traceback__)
    return f"{frames_[-1].filename}:{frames_[-1].lineno}" if frames_ else "an unknown place"
