"""A real Redis: in memory or with its append-only file, killed and started on command."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.ports import LOOPBACK, free_port, listens, wait_until
from tests.servers.process import ServerProcess, find_program


class Redis:
    """Use it with `with`. `appendonly` keeps each write on disk before the answer, so that a kill loses none."""

    def __init__(self, *, appendonly: bool = False) -> None:
        program = find_program("redis-server", "redis-server")
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        options = ["--bind", LOOPBACK, "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always"] if appendonly else []
        self._process = ServerProcess([program, *options], self.folder / "log")

    @property
    def url(self) -> str:
        """Its address for clients, database 0."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def start(self) -> Self:
        """Start it and return when it answers."""
        self._process.start()
        try:
            wait_until(self._answers, "redis-server starts", 20, lambda: self._process.alive)
        except (TimeoutError, RuntimeError) as error:
            raise RuntimeError(f"{error}\n{self._process.words()}") from error
        return self

    def command(self, *words: str) -> str:
        """Send one command and return the first line of the answer, without its mark."""
        with socket.create_connection((LOOPBACK, self.port), timeout=5) as connection:
            parts = [f"*{len(words)}", *(f"${len(w.encode())}\r\n{w}" for w in words)]
            connection.sendall("\r\n".join([*parts, ""]).encode())
            line = connection.makefile("rb").readline().decode().strip()
        if line.startswith("-"):
            raise RuntimeError(line[1:])
        return line[1:]

    def flushall(self) -> None:
        """Forget everything."""
        self.command("FLUSHALL")

    def stop(self) -> None:
        """Stop it in good order."""
        self._process.stop()

    def kill(self) -> None:
        """Stop it as a power cut would."""
        self._process.kill()

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._process.stop(seconds=5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            return listens(self.port) and self.command("PING") == "PONG"
        except (OSError, RuntimeError):
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
