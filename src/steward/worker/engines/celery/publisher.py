"""Publishes due ids to a broker, and again what was not begun; one is at work at a time, and another stands ready."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from steward.errors import BrokerUnavailable, StorageUnavailable
from steward.storage.database import Connection, Ledger
from steward.storage.fleet import leases, pauses, workers
from steward.storage.tasks import claim
from steward.system.clock import SECOND, now
from steward.tasks.engine import Broker
from steward.tasks.wakeup import WakeupReceiver
from steward.worker.dispatcher import POLL, QueueLimits, SilentWorkers, packed, release, until_next

log = logging.getLogger(__name__)

DUTY = "relay"
BROKER = "broker"
"""The name under which a broker that does not answer stands among the lanes that stand still."""
LEASE = 9 * SECOND
RENEW = 3.0
PROBE = 5.0
"""Seconds between two questions to a broker that has nothing to carry, so that an outage is seen before it matters."""
LONGEST_PAUSE = 5.0
STALE = 8 * SECOND
"""Not begun so long after it was published, while its queue is empty (microseconds): the broker has lost it."""
LOST = 300 * SECOND
"""Not begun so long after it was published: published again even though the queue is not empty."""


class BrokerPublisher:
    """One per worker process; whoever holds the lease works, the others wait for it."""

    def __init__(
        self,
        ledger: Ledger,
        broker: Broker,
        holder: str,
        receiver: WakeupReceiver,
        its_lanes: Sequence[QueueLimits],
        *,
        stale: int = STALE,
    ) -> None:
        """`its_lanes` say how much of each lane one worker is given; `holder` is the name in the lease."""
        self._ledger, self._broker, self._holder, self._receiver = ledger, broker, holder, receiver
        self._lanes, self._stale = tuple(its_lanes), stale
        self._renewed = self._probed = float("-inf")
        self._down_since: float | None = None
        self._pause = 0.5
        self._silent = SilentWorkers()
        self.leads = False
        self.is_full = False
        """Whether tasks wait until others have ended; a worker beside the relay then wakes it at each end."""

    def run(self, stop: threading.Event) -> None:
        """Work while the lease is held, until `stop` is set; then leave the lease to others at once."""
        while not stop.is_set():
            pause = POLL
            try:
                if self._lead() and self.step():
                    continue
                pause = until_next(self._ledger) if self.leads else POLL
            except BrokerUnavailable as error:
                pause = self._broker_fails(error)
            except StorageUnavailable as error:
                log.warning("the relay waits for the store: %s", error)
            except Exception:
                log.exception("the relay stumbled, and goes on")
            self._receiver.wait(pause)
        self._leave()

    def step(self) -> int:
        """Publish what is due and return how many tasks that was.

        Raises:
            BrokerUnavailable: what was taken for it has been given back.
        """
        moment = now()
        self._ask_broker()
        with self._ledger.read() as connection:
            if not claim.anything(connection, moment):
                return 0
            dead = self._silent.surely_dead(claim.dead_holders(connection, moment))
        if dead:
            self._ledger.apply(lambda c: release(self._ledger, c, dead))
        again = self._lost_lanes(moment)
        taken = self._ledger.apply(lambda c: self._take(c, moment, again))
        batches = [(lane, batch) for lane in self._lanes for batch in packed(taken.get(lane.name, ()), lane.batch)]
        count = 0
        for index, (lane, batch) in enumerate(batches):
            try:
                self._broker.publish(lane.name, batch)
            except BrokerUnavailable:
                left = [task_id for _, rest in batches[index:] for task_id in rest]
                self._ledger.apply(lambda c, left=left: claim.give_back(c, left, None))  # type: ignore[misc]
                raise
            count += len(batch)
        return count

    def _lead(self) -> bool:
        """Return whether this relay has the lease, renewed in time."""
        if self.leads and time.monotonic() - self._renewed < RENEW:
            return True
        moment = now()
        had = self.leads
        if not had:  # looked at first, so that those who stand ready write nothing
            with self._ledger.read() as connection:
                if leases.holder_of(connection, DUTY, moment) not in (None, self._holder):
                    return False
        self.leads = self._ledger.apply(lambda c: leases.hold(c, DUTY, self._holder, moment, moment + LEASE))
        self._renewed = time.monotonic()
        if self.leads and not had:
            log.info("this process now relays to the broker")
        return self.leads

    def _take(self, connection: Connection, moment: int, again: dict[str, int]) -> dict[str, list[claim.ClaimedTask]]:
        claim.expire(connection, moment)
        claim.wake(connection, moment)
        still = claim.stopped_lanes(connection)
        there, running = claim.at_broker(connection), claim.running(connection)
        fleet = max(1, sum(w.engine == self._broker.name for w in workers.living(connection, moment)))
        taken: dict[str, list[claim.ClaimedTask]] = {}
        self.is_full = False
        for lane in self._lanes:
            if lane.name in still or (lane.sends_mail and "smtp" in still):
                continue
            found: list[claim.ClaimedTask] = []
            if lane.name in again:
                found = claim.take_again(connection, lane.name, again[lane.name], moment, lane.most * fleet)
                log.warning("the broker has lost %d tasks of the lane %s; published again", len(found), lane.name)
            room = lane.most * fleet - there.get(lane.name, (0, 0))[0] - running.get(lane.name, 0)
            if room > 0:
                found += claim.take(connection, lane.name, min(room, lane.batch * 4), None, moment, stale_before=0)
            else:
                self.is_full = True
            taken[lane.name] = self._without_suspects(connection, found)
        return taken

    def _without_suspects(self, connection: Connection, found: list[claim.ClaimedTask]) -> list[claim.ClaimedTask]:
        """Return `found` with at most one task in whose hand processes have died twice; there is one of them at a time.

        Whatever runs beside a poison pill is then new to it, or has one death behind it: only the pill comes to four.
        """
        grave = [task for task in found if task.lost > 1]
        if not grave:
            return found
        held = grave[1:] if claim.suspects(connection) == len(grave) else grave
        claim.give_back(connection, [task.id for task in held], None)
        self.is_full = True
        return [task for task in found if task not in held]

    def _lost_lanes(self, moment: int) -> dict[str, int]:
        """Return the lanes whose tasks were published and got lost: each with the moment before which that was."""
        with self._ledger.read() as connection:
            there = claim.at_broker(connection)
        lost = {}
        for lane, (_, since) in there.items():
            if since < moment - LOST:
                lost[lane] = moment - LOST
            elif since < moment - self._stale and not self._broker.waiting(lane):
                lost[lane] = moment - self._stale
        return lost

    def _ask_broker(self) -> None:
        """Know how the broker is, at the latest every few seconds."""
        if self._down_since is None and time.monotonic() - self._probed < PROBE:
            return
        self._broker.waiting(self._lanes[0].name)
        self._probed = time.monotonic()
        self._pause = 0.5
        if self._ledger.apply(lambda c: pauses.start_lane(c, BROKER)):
            log.warning("the broker answers again")
        self._down_since = None

    def _broker_fails(self, error: BrokerUnavailable) -> float:
        """Say so where `readyz` and the pages see it; return the seconds until the next try."""
        moment = now()
        if self._down_since is None:
            self._down_since = time.monotonic()
            log.warning("the broker fails: %s", error)
        try:
            self._ledger.apply(
                lambda c: pauses.stop_lane(c, BROKER, str(error), moment, moment + int(LONGEST_PAUSE) * SECOND)
            )
            self._keep_waiting_tasks(moment)
        except StorageUnavailable as second:
            log.warning("the relay waits for the store: %s", second)
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return pause

    def _keep_waiting_tasks(self, moment: int) -> None:
        """What needs no broker goes on without it: what expired ends, and what the dead held is freed."""

        def keep(connection: Connection) -> None:
            claim.expire(connection, moment)
            release(self._ledger, connection, claim.dead_holders(connection, moment))

        self._ledger.apply(keep)

    def _leave(self) -> None:
        self._broker.close()
        if self.leads:
            try:
                self._ledger.apply(lambda c: leases.drop(c, [self._holder]))
            except StorageUnavailable as error:
                log.warning("the relay's lease could not be given back, and runs out: %s", error)
