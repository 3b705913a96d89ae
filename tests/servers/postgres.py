"""A real PostgreSQL: a cluster of its own, as many databases as asked for, stopped and started on command."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.servers.process import ServerProcess, find_program, group_of, unprivileged_user

ROLE = "steward"


class Postgres:
    """Use it with `with`. `fsync` is off by default: a killed process loses nothing, only a power cut would."""

    def __init__(self, *, fsync: bool = False) -> None:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
        self._initdb = find_program("initdb", "postgresql", folders)
        program = find_program("postgres", "postgresql", folders)
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=None if fsync else _memory()))
        self._user = unprivileged_user()
        switch = "on" if fsync else "off"
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": switch,
            "full_page_writes": switch,
            "max_connections": "200",
            "shared_buffers": "32MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.data = self.folder / "data"
        # SIGQUIT is PostgreSQL's immediate stop: its children go with it.
        self._process = ServerProcess(
            [program, "-D", str(self.data), *options],
            self.folder / "log",
            user=self._user,
            death=signal.SIGQUIT,
            cwd=self.folder,
        )

    def start(self) -> Self:
        """Make the cluster if there is none, start it, and return when it answers."""
        if not self.data.exists():
            self._make_cluster()
        self._process.start()
        try:
            wait_until(self._answers, "postgres starts", 30, lambda: self._process.alive)
        except (TimeoutError, RuntimeError) as error:
            raise RuntimeError(f"{error}\n{self._process.words()}") from error
        return self

    def url(self, dbname: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database; see `create` for new ones."""
        return f"postgresql+psycopg://{ROLE}@{LOOPBACK}:{self.port}/{dbname}"

    def create(self, dbname: str = "") -> str:
        """Make an empty database and return its URL; without a name, one that nobody else has."""
        name = dbname or f"t{secrets.token_hex(6)}"
        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def rows(self, url: str) -> str:
        """Return every row of every table of a database, and the commonest values that its planner has noted."""
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            tables = connection.execute(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            told = [
                connection.execute(f"SELECT t::text FROM {name} t").fetchall()  # type: ignore[arg-type]  # quoted above
                for (name,) in tables
            ]
            told.append(
                connection.execute("SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats").fetchall()
            )
        return "\n".join(str(value) for rows in told for row in rows for value in row)

    def files(self, url: str) -> bytes:
        """Return every byte of a database's own files: of rows that are deleted, too, until they are overwritten."""
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            found = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        assert found is not None
        folder = self.data / "base" / str(found[0])
        return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())

    def restart(self) -> None:
        """Stop it in good order, cutting connections off, and start it again."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Stop it in good order; open connections are cut off (SIGINT, the "fast" shutdown)."""
        self._process.stop(signal.SIGINT)

    def kill(self) -> None:
        """Stop it as a power cut would."""
        self._process.kill()

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._process.stop(signal.SIGQUIT, seconds=5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_cluster(self) -> None:
        if self._user:
            shutil.chown(self.folder, self._user)
        words = [self._initdb, "-D", str(self.data), "-U", ROLE, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        done = subprocess.run(
            words,
            user=self._user,
            group=group_of(self._user),
            extra_groups=[] if self._user else None,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stderr}")

    def _conninfo(self) -> str:
        return f"host={LOOPBACK} port={self.port} user={ROLE} dbname=postgres connect_timeout=5"

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self._conninfo()) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _memory() -> Path | None:
    """Return a folder in memory if there is room for hundreds of databases: each is made seven times as fast there."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > 4_000_000_000 else None


def _version(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0
