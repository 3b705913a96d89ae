"""Hands due tasks to the engine: wakes what waits, ends what expired, frees what the dead held, packs the rest."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steward.errors import StorageUnavailable
from steward.storage.database import Connection, Ledger
from steward.storage.tasks import claim, recovery
from steward.system.clock import SECOND, now
from steward.tasks.engine import Engine
from steward.tasks.wakeup import WakeupReceiver

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between looks when nobody nudges."""
CERTAIN = 2.0
"""Seconds for which a worker must look dead: after the machine has slept, all of them do for a moment."""
ONCE_LOST = 8
"""How many tasks may run at once in whose hand one process has died. Of those with more, one: see `_next_suspects`."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much of one kind of work may be in hand at once, and in batches of how many."""

    name: str
    most: int
    batch: int
    sends_mail: bool = True


def lanes(renders: int) -> tuple[QueueLimits, ...]:
    """Return the lanes of a worker that lays out `renders` documents at once, the most urgent first."""
    return (
        QueueLimits("urgent", 100, 25),
        QueueLimits("mail", 400, 100),
        QueueLimits("reports", renders + 1, 1, sends_mail=False),
        QueueLimits("jobs", 2, 1, sends_mail=False),
        QueueLimits("bulk", 400, 100),
    )


class Dispatcher:
    """One per worker. `step` decides nothing twice: taking a task in hand is one conditional update."""

    def __init__(
        self, ledger: Ledger, engine: Engine, worker: str, receiver: WakeupReceiver, its_lanes: Sequence[QueueLimits]
    ) -> None:
        self._ledger, self._engine, self._worker, self._receiver = ledger, engine, worker, receiver
        self._lanes = tuple(its_lanes)
        self._in_hand: dict[str, int] = {lane.name: 0 for lane in its_lanes}
        self._ids: set[str] = set()
        self._suspects: deque[tuple[QueueLimits, claim.ClaimedTask]] = deque()
        self._watched: dict[str, int] = {}
        self._silent = SilentWorkers()
        self._compared = -POLL
        self._lock = threading.Lock()
        self._more = False

    def run(self, stop: threading.Event) -> None:
        """Look, hand over and wait, until `stop` is set. A store that fails is tried again at the next look."""
        while not stop.is_set():
            try:
                self.step()
                pause = 0.0 if self._more else until_next(self._ledger)
            except StorageUnavailable as error:
                log.warning("the dispatcher waits for the store: %s", error)
                pause = POLL
            if pause:
                self._receiver.wait(pause)

    def step(self) -> int:
        """Hand over what is due and return how many tasks that was."""
        moment = now()
        self._more = False
        self._next_suspects()
        self._free_left_over()
        with self._ledger.read() as connection:
            look = claim.look(connection, moment)
            if look.nothing:
                return 0
            silent = claim.dead_holders(connection, moment) if look.dead else []
            still = claim.stopped_lanes(connection)
        dead = self._silent.surely_dead([worker for worker in silent if worker != self._worker])
        if dead:
            self._ledger.apply(lambda c: release(self._ledger, c, dead))
        # What was freed or wakes may be of any lane.
        among = [lane for lane in self._lanes if dead or look.wakes or lane.name in look.lanes]
        if not look.expires and not any(self._room(lane) > 0 for lane in among):
            return 0
        with self._ledger.write() as connection:
            taken = self._take(connection, moment, look, among, still)
        count = 0
        for lane in self._lanes:
            found = taken.get(lane.name, [])
            count += len(found)
            self._count_in(lane, [task.id for task in found])
            self._suspects += [(lane, task) for task in found if task.suspect]
            for batch in packed([task for task in found if not task.suspect], lane.batch):
                self._hand_over(lane, batch)
        self._next_suspects()
        return count

    def _room(self, lane: QueueLimits) -> int:
        with self._lock:
            return lane.most - self._in_hand[lane.name]

    def _take(
        self,
        connection: Connection,
        moment: int,
        look: claim.QueueOverview,
        among: Sequence[QueueLimits],
        still: Mapping[str, str],
    ) -> dict[str, list[claim.ClaimedTask]]:
        if look.expires:
            claim.expire(connection, moment)
        if look.wakes:
            claim.wake(connection, moment)
        taken: dict[str, list[claim.ClaimedTask]] = {}
        for lane in among:
            if lane.name in still or (lane.sends_mail and "smtp" in still):
                continue
            room = self._room(lane)
            if room > 0:
                most = min(room, lane.batch)
                taken[lane.name] = claim.take(connection, lane.name, most, self._worker, moment)
                # Look again at once only where there is room for more: what is done wakes the dispatcher.
                self._more = self._more or len(taken[lane.name]) == most < room
        return taken

    def _count_in(self, lane: QueueLimits, ids: list[str]) -> None:
        with self._lock:
            self._in_hand[lane.name] += len(ids)
            self._ids.update(ids)

    def _hand_over(self, lane: QueueLimits, batch: list[str]) -> None:
        def done() -> None:
            with self._lock:
                self._in_hand[lane.name] -= len(batch)
                self._ids.difference_update(batch)
                for task_id in batch:
                    self._watched.pop(task_id, None)
            self._receiver.wake()

        try:
            self._engine.hand_over(batch, done)
        except Exception as error:
            # They stay in this worker's hand on paper; the comparison below frees them, and the next look takes them.
            log.error("the engine did not take %d tasks: %s", len(batch), error)
            done()

    def _next_suspects(self) -> None:
        """Hand over the next of the tasks in whose hand processes have died, each alone.

        Those with more than one death run one at a time. Whatever else runs beside a poison pill is then new to it,
        or has one death behind it: only the pill itself comes to four.
        """
        for _ in range(len(self._suspects)):
            lane, task = self._suspects.popleft()
            with self._lock:
                once = sum(lost == 1 for lost in self._watched.values())
                room = once < ONCE_LOST if task.lost == 1 else once == len(self._watched)
                if room:
                    self._watched[task.id] = task.lost
            if room:
                self._hand_over(lane, [task.id])
            else:
                self._suspects.append((lane, task))

    def _free_left_over(self) -> None:
        """Give back what the ledger says is in this worker's hand, and is not: the store failed before it began."""
        if time.monotonic() - self._compared < POLL:
            return
        self._compared = time.monotonic()
        with self._ledger.read() as connection:
            held = claim.held_by(connection, self._worker)
        with self._lock:
            left = sorted(held - self._ids)
        if left:
            self._ledger.apply(lambda c: claim.give_back(c, left, self._worker))
            log.warning("%d tasks that could not be begun are handed over again", len(left))


class SilentWorkers:
    """Workers that look dead, each since when: all do for a moment when a machine wakes."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def surely_dead(self, silent: Sequence[str]) -> list[str]:
        """Return those of `silent` that have looked dead for `CERTAIN` seconds, at each question since."""
        moment = time.monotonic()
        self._since = {worker: self._since.get(worker, moment) for worker in silent}
        return [worker for worker, since in self._since.items() if moment - since >= CERTAIN]


def until_next(ledger: Ledger) -> float:
    """Return the seconds until something is due, at most `POLL`."""
    with ledger.read() as connection:
        moment = claim.next_moment(connection)
    return POLL if moment is None else min(POLL, max((moment - now()) / SECOND, 0.001))


def release(ledger: Ledger, connection: Connection, dead: Sequence[str]) -> None:
    """Free what is in the hands of those of `dead` that still look so, now that the ledger can be written.

    While it could not be, nobody could show life: whoever waited then is given the time to do so.
    """
    if ledger.lock.stood(CERTAIN):
        return
    moment = now()
    gone = sorted(set(dead) & set(claim.dead_holders(connection, moment)))
    if gone:
        freed, given_up = recovery.release(connection, gone, moment)
        log.warning("freed %d tasks of dead workers, gave up %d", freed, given_up)


def packed(tasks: Sequence[claim.ClaimedTask], most: int) -> list[list[str]]:
    """Return `tasks` as batches: a suspect alone, so that if it is a poison pill its neighbours do not pay for it."""
    batches = [[t.id] for t in tasks if t.suspect]
    rest = [t.id for t in tasks if not t.suspect]
    return batches + [rest[i : i + most] for i in range(0, len(rest), most)]
