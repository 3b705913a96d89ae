"""A real RabbitMQ node with its own name, ports and folder: quorum queues, killed and started on command."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.ports import LOOPBACK, free_port, listens, wait_until
from tests.servers.process import ServerProcess, find_program

AMQP_GREETING = b"AMQP\x00\x00\x09\x01"


class RabbitMq:
    """Use it with `with`. It starts in about 5 seconds; what was confirmed outlives `kill` and `start`."""

    def __init__(self) -> None:
        # The one in /usr/sbin changes to the user rabbitmq and its folders; the one behind it stays where it is told.
        behind = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        program = str(behind) if behind.exists() else find_program("rabbitmq-server", "rabbitmq-server")
        self.port, self._names_port = free_port(), free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
        env = self._environment()
        # A names daemon (epmd) that the node starts by itself would outlive it.
        self._names = ServerProcess(
            [find_program("epmd", "rabbitmq-server"), "-port", str(self._names_port), "-address", LOOPBACK],
            self.folder / "names.log",
            env=env,
        )
        self._node = ServerProcess([program], self.folder / "node.log", env=env, cwd=self.folder)

    @property
    def url(self) -> str:
        """Its address for clients: user guest, the default virtual host."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def start(self) -> Self:
        """Start it and return when it takes connections."""
        if not self._names.alive:
            self._names.start()
            wait_until(lambda: listens(self._names_port), "epmd starts", 10, lambda: self._names.alive)
        self._node.start()
        try:
            wait_until(self._answers, "rabbitmq-server starts", 60, lambda: self._node.alive)
        except (TimeoutError, RuntimeError) as error:
            raise RuntimeError(f"{error}\n{self._node.words()}") from error
        return self

    def settle(self, queue: str) -> None:
        """Return when the declaration of a quorum queue is on disk.

        Killed within a second of the declaration, the node comes back with a queue that answers nothing (a measured
        finding with 3.10: its name is kept in a file that is saved now and then).
        """
        names = next(self.folder.glob("mnesia/*/quorum/*/names.dets"))
        wait_until(lambda: queue.encode() in names.read_bytes(), f"the queue {queue} is on disk", 20)

    def stop(self) -> None:
        """Stop it in good order."""
        self._node.stop(seconds=20)

    def kill(self) -> None:
        """Stop it as a power cut would."""
        self._node.kill()

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._node.kill()
        self._names.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        config = self.folder / "rabbitmq.conf"
        config.write_text(
            f"listeners.tcp.default = {LOOPBACK}:{self.port}\n"
            "disk_free_limit.absolute = 10MB\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
        )
        nothing = self.folder / "rabbitmq-env.conf"
        nothing.touch()
        plugins = self.folder / "enabled_plugins"
        plugins.write_text("[].\n")
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),  # holds the cookie
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"steward{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_CONF_ENV_FILE": str(nothing),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            # With this the start script becomes the node instead of starting it, so that a signal reaches the node.
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput -start_epmd false +sbwt none +S 2:2",
        }

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(AMQP_GREETING)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
