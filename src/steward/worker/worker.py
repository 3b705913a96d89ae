"""One process that performs tasks: its runner, its entry in the ledger, its heartbeat and its housekeeping."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from steward.errors import StewardError, StorageBusy
from steward.installation.container import Steward
from steward.installation.former_engine import FormerEngine
from steward.mail.transport import Transport
from steward.storage import working_folders
from steward.storage.database import Connection
from steward.storage.database.group_commit import GroupCommit
from steward.storage.database.write_lock import PATIENT, PROMPT
from steward.storage.fleet import heartbeat, wall_clock, workers
from steward.storage.maintenance import retention
from steward.storage.tasks import acceptance, attempts, claim, idempotency, recovery
from steward.system.clock import SECOND, new_id, now
from steward.worker.executor import Executor
from steward.worker.handlers.pool import HandlerPool
from steward.worker.mail_probe import MailProbe

log = logging.getLogger(__name__)
T = TypeVar("T")

HEARTBEAT = 1.0
DRAIN = 25.0
"""Seconds a stopping process waits for what is in hand; the rest is freed for others and resumes later."""
HOUSEKEEPING = 30.0
TURN = 1.0
SOON = 1.0
"""Seconds after a process is ready until it starts what its first tasks can do without: a start costs less so."""


class Worker:
    """Everything that performing needs, whatever the engine. `start`, then `stop`."""

    def __init__(
        self,
        steward: Steward,
        *,
        engine: str,
        slot: str = "",
        nudge_port: int | None = None,
        leaving: threading.Event | None = None,
    ) -> None:
        """`leaving` is set by whoever wants a process to give up that still waits for its store at the start."""
        self.steward, self._engine, self._nudge_port = steward, engine, nudge_port
        self._leaving = leaving or threading.Event()
        settings, ledger = steward.settings, self._await_store(lambda: steward.ledger)
        self.host = socket.gethostname()
        self.slot = slot or f"{engine}-{os.getpid()}"
        self.id = f"{self.host[:40]}/{self.slot}/{new_id()[9:23]}{new_id()[-6:]}"
        # Each letter in flight waits for one commit at a time: with all of them there, no more will come.
        self.writer = GroupCommit(ledger, linger=0.003, enough=settings.smtp_in_flight)
        self._transport: Transport = steward.transport()
        self._handlers = HandlerPool(settings, steward.registry, self.writer)
        self._renderer = steward.renderer()
        self.runner = Executor(
            self.id,
            self.writer,
            steward.registry,
            steward.seal,
            self._handlers,
            self._transport,
            steward.archive,
            self._renderer,
            steward.spool_folder,
            in_flight=settings.smtp_in_flight,
            retry_delays=settings.retry_delays,
            retries_later=engine != "background",
        )
        self._mail = MailProbe(steward, self.writer, self._transport, self.runner, lambda: self.mail_moves())
        self._schedules = steward.service.abilities.schedules
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._former_engine = FormerEngine(settings.data_dir)

    def start(self, before: Callable[[Connection, int], None] = lambda connection, moment: None) -> None:
        """Enter the ledger, in one commit with `before`, and begin to show signs of life."""

        def enter(connection: Connection) -> None:
            before(connection, now())
            self._register(connection)
            claim.unblock(connection, list(self.steward.registry.handlers))

        if self._schedules:
            self._await_store(self.steward.scheduler.declare)
        self._await_store(lambda: self.steward.ledger.apply(enter))
        with contextlib.suppress(StewardError):  # housekeeping tries again
            self._former_engine.clear(self._known)
        if self._schedules:
            self.spawn("scheduler", self._turn)
        self.spawn("heartbeat", self._beat)
        self.spawn("housekeeping", self._keep_house)

    def warm(self) -> None:
        """Start the child processes without which no task can begin."""
        self._handlers.warm(spare=False)

    def await_warm(self) -> None:
        """Return when handlers can run: a task begun earlier would only wait, and be suspected if its worker dies.

        The spare child and the renderer's follow soon after, or when a task needs them first.
        """
        self._handlers.await_warm()
        self.spawn("warm", self._warm_others)

    def stop(self) -> bool:
        """Finish what is in hand within `DRAIN` seconds, free the rest, and leave; return whether nothing was left."""
        self.stopping.set()
        self.runner.begin_no_more()
        started = time.monotonic()
        while self.runner.busy and time.monotonic() - started < DRAIN:
            self._beat_once()
            self.runner.idle.wait(HEARTBEAT)
        left = self.runner.held()
        if left:
            log.warning("leaving with %d tasks in hand; they go on elsewhere or after the restart", len(left))
        # Freed first: what is cut off below must not be recorded as a failure of the task.
        with contextlib.suppress(StewardError):
            self.steward.ledger.apply(self._leave)
        self.runner.drop(set(left.items()))
        self._handlers.close()
        self._renderer.close()
        self.runner.close()
        self._transport.close()
        self.writer.close()
        for thread in self._threads:
            thread.join(timeout=2)
        self.steward.end_observing()
        return not left

    def spawn(self, name: str, target: Callable[[], None]) -> None:
        """Run `target` in a thread that is waited for at the end."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _await_store(self, change: Callable[[], T]) -> T:
        """Return what `change` returns, however long another process holds the store's lock.

        Raises:
            StorageBusy: this process is to leave before it has begun.
        """
        told, lock = False, self.steward.ledger.lock if "ledger" in vars(self.steward) else None
        patience = PATIENT if lock is None else lock.patience
        try:
            while True:
                if lock is not None:
                    lock.patience = min(patience, PROMPT)  # so that `leaving` is heard
                try:
                    return change()
                except StorageBusy as error:
                    if self._leaving.is_set():
                        raise
                    if not told:
                        log.warning("waiting for the store: %s", error)
                    told = True
        finally:
            if lock is not None:
                lock.patience = patience

    def each_heartbeat(self) -> None:
        """What else is done every second; a worker adopts the dead here."""

    def mail_moves(self) -> None:
        """What is done when a mail server takes us back."""

    def _warm_others(self) -> None:
        if not self.stopping.wait(SOON):
            self._handlers.warm()
            self._renderer.warm()

    def _register(self, connection: Connection) -> None:
        workers.register(connection, self.id, self.host, self.slot, os.getpid(), self._engine, self._nudge_port, now())

    def _leave(self, connection: Connection) -> None:
        moment = now()
        claim.hand_back(connection, self.id)
        recovery.release(connection, [self.id], moment, counts=False)
        heartbeat.retire(connection, [self.id])

    def _beat(self) -> None:
        while not self.stopping.wait(HEARTBEAT):
            self._beat_once()
            self.each_heartbeat()

    def _beat_once(self) -> None:
        try:
            with self.steward.ledger.read() as connection:
                gone = attempts.no_longer_held(connection, self.runner.held())
                running = attempts.running(connection, self.id)
            self.runner.drop(gone)
            forgotten = self.runner.forgotten(running)
            if forgotten and (count := self.writer.apply(lambda c: recovery.reopen(c, forgotten, now()))):
                log.warning("%d tasks are queued again: the end of their attempt could not be recorded", count)
            self.writer.apply(self._show_life)
        except Exception as error:
            # Without heartbeats every task in hand would be given to others: whatever fails now is tried again.
            log.warning("the heartbeat could not be recorded: %s", error)

    def _show_life(self, connection: Connection) -> None:
        if not heartbeat.beat(connection, self.id, now()):
            self._register(connection)  # frozen for so long that it was forgotten: it must not work without a lease

    def _keep_house(self) -> None:
        last = float("-inf")
        while not self.stopping.wait(1.0):
            try:
                self._mail.look()
                if time.monotonic() - last > HOUSEKEEPING:
                    last = time.monotonic()
                    self._tidy()
            except Exception as error:
                # Housekeeping must never end: what it could not do now it tries again.
                log.warning("housekeeping failed: %s", error)

    def _turn(self) -> None:
        """Make the tasks of schedules that are due, and tell what failed, every second; whoever looks first does it."""
        offset = 0  # the first look always compares with what the ledger knows
        while not self.stopping.wait(TURN):
            try:
                reading = wall_clock.read(self.host)
                if abs(reading.wall - reading.elapsed - offset) >= wall_clock.JUMP:
                    self.steward.scheduler.follow_clock(reading)
                    offset = reading.wall - reading.elapsed
                self.steward.scheduler.fire()
                self.steward.alerts.look()
            except Exception as error:
                # What could not be made now is made at the next look, or recorded as missed.
                log.warning("schedules and failures could not be looked at: %s", error)

    def _sweep(self) -> None:
        """Delete the files of attempts that are no more: cancelled, killed, or given to others."""

        def running(ids: Sequence[str]) -> Mapping[str, str]:
            with self.steward.ledger.read() as connection:
                return attempts.running_among(connection, ids)

        left = working_folders.sweep(self.steward.spool_folder, running)
        left += self.steward.archive.sweep()
        if left:
            log.info("deleted the files of %d attempts that have not ended here", left)

    def _known(self, ids: Collection[str]) -> set[str]:
        with self.steward.ledger.read() as connection:
            return acceptance.known(connection, ids)

    def _tidy(self) -> None:
        moment = now()
        self._sweep()
        self.writer.apply(lambda c: idempotency.forget_keys(c, moment))
        self.writer.apply(lambda c: retention.erase_secrets(c, moment))
        self.writer.apply(lambda c: workers.prune(c, moment - 24 * 3600 * SECOND))
        if self._schedules:
            self.steward.scheduler.prune()
            self.steward.alerts.prune()
        self._former_engine.clear(self._known)
