"""A worker process: holds a slot, keeps its lease, relays due tasks to the engine, and leaves cleanly."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

import sqlalchemy as sa

from steward import relay as relays
from steward import slots
from steward.app import Steward
from steward.clock import SECOND, new_id, now
from steward.engine import Engine
from steward.errors import StewardError
from steward.hosting import HostedPreparer
from steward.ledger import acceptance, attempts, due, upkeep, workers
from steward.ledger.writer import GroupWriter
from steward.nudge import NudgeReceiver
from steward.relay import Relay
from steward.renderers.weasy import WeasyRenderer
from steward.results import Outcome
from steward.runner import Runner
from steward.services.durable import DurableEngine, system_store
from steward.transport import Transport

log = logging.getLogger(__name__)

HEARTBEAT = 1.0
DRAIN = 25.0
"""Seconds a stopping worker waits for what is in hand; the rest is freed for others and resumes later."""
HOUSEKEEPING = 30.0


class Worker:
    """Everything one worker process runs. `start`, then `stop`."""

    def __init__(self, steward: Steward) -> None:
        self.steward = steward
        settings, ledger = steward.settings, steward.ledger
        self.slot = slots.take(settings.data_dir / "slots")
        self.host = socket.gethostname()
        self.id = f"{self.host}/{self.slot.name}/{new_id()[:13]}"
        self._slots = settings.data_dir / "slots"
        self._receiver = NudgeReceiver()
        self._writer = GroupWriter(ledger)
        self._transport: Transport = steward.transport()
        self._preparing = HostedPreparer(settings, steward.registry)
        self._renderer = WeasyRenderer(
            steward.templates.assets,
            processes=settings.render_processes,
            seconds=settings.render_seconds,
            memory_mb=settings.render_memory_mb,
        )
        self.runner = Runner(
            self.id,
            self._writer,
            steward.registry,
            steward.seal,
            self._preparing,
            self._transport,
            steward.archive,
            self._renderer,
            steward.spool_folder,
            in_flight=settings.smtp_in_flight,
            retry_delays=settings.retry_delays,
        )
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._engine: Engine | None = None

    def start(self) -> None:
        """Take over what earlier holders of this slot left, enter the ledger, and begin."""
        ledger = self.steward.ledger
        ledger.apply(self._enter)
        self._engine = DurableEngine(
            system_store(self.steward.settings.ledger_url, self.steward.settings.data_dir),
            self.slot.name,
            self.runner.perform,
        )
        relay = Relay(
            ledger, self._engine, self.id, self._receiver, relays.lanes(self.steward.settings.render_processes)
        )
        self._spawn("relay", partial(relay.run, self._stop))
        self._spawn("heartbeat", self._beat)
        self._spawn("housekeeping", self._keep_house)
        log.info("worker %s is ready", self.id)

    def stop(self) -> None:
        """Take nothing more on, finish what is in hand within `DRAIN` seconds, free the rest, and leave."""
        self._stop.set()
        self._receiver.wake()
        started = time.monotonic()
        while self.runner.held() and time.monotonic() - started < DRAIN:
            self._beat_once()
            threading.Event().wait(0.05)
        left = len(self.runner.held())
        if left:
            log.warning("leaving with %d tasks in hand; they go on elsewhere or after the restart", left)
        self._renderer.close()
        self._preparing.close()
        self._transport.close()
        if self._engine is not None and not left:
            self._engine.close(0)
        with contextlib.suppress(StewardError):
            self.steward.ledger.apply(self._leave)
        self._writer.close()
        for thread in self._threads:
            thread.join(timeout=2)
        self.slot.release()

    def _enter(self, connection: sa.Connection) -> None:
        moment = now()
        # We hold the slot's lock, so whoever held it before is dead, whatever its lease says.
        before = workers.of_slot(connection, self.host, self.slot.name)
        workers.retire(connection, before, moment)
        attempts.release(connection, before, moment)
        workers.register(
            connection, self.id, self.host, self.slot.name, os.getpid(), "durable", self._receiver.port, moment
        )
        due.unblock(connection, list(self.steward.registry.handlers))

    def _leave(self, connection: sa.Connection) -> None:
        moment = now()
        due.hand_back(connection, self.id)
        attempts.release(connection, [self.id], moment, counts=False)
        workers.retire(connection, [self.id], moment)

    # What runs beside the relay

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            self._beat_once()
            self._adopt()

    def _beat_once(self) -> None:
        try:
            with self.steward.ledger.read() as connection:
                gone = attempts.no_longer_held(connection, self.runner.held())
            self.runner.drop(gone)
            self._writer.apply(lambda c: workers.heartbeat(c, self.id, now()))
        except StewardError as error:
            log.warning("the heartbeat could not be recorded: %s", error)

    def _adopt(self) -> None:
        """Free what the dead hold: a slot file that nobody locks belonged to a process that is no more."""
        try:
            for slot in slots.free(self._slots, self.slot.number):
                try:
                    with self.steward.ledger.read() as connection:
                        dead = workers.of_slot(connection, self.host, slot.name)
                    if dead:
                        log.warning("adopting the tasks of %s", ", ".join(dead))
                        if self._engine is not None:
                            self._engine.adopt([slot.name])
                        self.steward.ledger.apply(lambda c, d=dead: self._free(c, d))  # type: ignore[misc]
                finally:
                    slot.release()
        except (StewardError, OSError) as error:
            log.warning("dead workers could not be looked for: %s", error)

    def _free(self, connection: sa.Connection, dead: list[str]) -> None:
        moment = now()
        workers.retire(connection, dead, moment)
        attempts.release(connection, dead, moment)
        self._receiver.wake()

    def _keep_house(self) -> None:
        last = 0.0
        while not self._stop.wait(1.0):
            try:
                self._probe_mail()
                if time.monotonic() - last > HOUSEKEEPING:
                    last = time.monotonic()
                    self._tidy()
            except Exception as error:
                # Housekeeping must never end: what it could not do now it tries again.
                log.warning("housekeeping failed: %s", error)

    def _tidy(self) -> None:
        moment = now()
        self._writer.apply(lambda c: acceptance.forget_keys(c, moment))
        self._writer.apply(lambda c: upkeep.erase_secrets(c, moment))
        self._writer.apply(lambda c: workers.prune(c, moment - 24 * 3600 * SECOND))
        if self._engine is not None:
            self._engine.prune()

    def _probe_mail(self) -> None:
        """Ask a mail server that has refused us whether it takes us back, every half minute."""
        moment = now()
        with self.steward.ledger.read() as connection:
            stopped = workers.due_for_trial(connection, "smtp", moment)
        if not stopped:
            return
        reply = self._transport.check()
        if reply.outcome is Outcome.ACCEPTED or not reply.ours:
            self.runner.lane_moves()
            if self._writer.apply(lambda c: workers.start_lane(c, "smtp")):
                log.warning("mail moves again")
            self._receiver.wake()
        else:
            words = f"{reply.code or ''} {reply.text}".strip()
            self._writer.apply(lambda c: workers.stop_lane(c, "smtp", words, moment, moment + 30 * SECOND))

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)


def run(steward: Steward) -> int:
    """Work until SIGTERM or SIGINT, then leave within half a minute; return the exit code."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    worker = Worker(steward)
    worker.start()
    ended.wait()
    worker.stop()
    log.info("worker %s has left", worker.id)
    logging.shutdown()
    # Threads of a handler that never returns must not hold the process up.
    os._exit(0)
