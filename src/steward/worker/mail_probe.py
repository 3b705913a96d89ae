"""Asks a mail server that was away, or refused us, whether it takes our letters again: one worker, one question."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from steward.installation.container import Steward
from steward.installation.settings import hostname_of
from steward.mail.transport import Transport
from steward.storage.database.group_commit import GroupCommit
from steward.storage.fleet import circuit_breaker
from steward.storage.tasks import search
from steward.system.clock import now
from steward.worker.executor import Executor

log = logging.getLogger(__name__)

SILENCE = 30.0
"""Seconds after which a connection that nobody greets is told of as a failure; it is waited for all the same."""
MOST_QUESTIONS = 10
"""How many questions to a mute mail server may wait for its greeting, which may take five minutes."""
MOST_SILENT = 3
"""How many tasks are tried in one question that turn out to send no letter."""


class MailProbe:
    """One per process that performs; `look` is called every second. `moved` is called when letters may go again."""

    def __init__(
        self,
        steward: Steward,
        writer: GroupCommit,
        transport: Transport,
        runner: Executor,
        moved: Callable[[], None],
    ) -> None:
        self._steward, self._writer, self._transport, self._runner = steward, writer, transport, runner
        self._moved = moved
        self._questions: list[threading.Thread] = []

    def look(self) -> None:
        """Learn what other workers know of mail, and put the next question if it is due and nobody else does."""
        lane = self._runner.lane
        where = hostname_of(self._steward.settings.carrier_url)
        for _ in range(self._transport.silent(SILENCE)):
            self._writer.apply(lambda c: lane.silent(c, where))
        moment = now()
        with self._steward.ledger.read() as connection:
            standing = circuit_breaker.standing(connection)
        # Through the writer, where answers are heard too: else an old look could hide a new answer.
        if not lane.knows(standing) and self._writer.apply(lane.look):
            self._tell_moved()
        self._questions = [each for each in self._questions if each.is_alive()]
        due = standing.is_doubted and (standing.try_at or 0) <= moment
        if not due or len(self._questions) >= MOST_QUESTIONS:
            return
        claimed = self._writer.apply(lambda c: circuit_breaker.claim(c, moment))
        if claimed is not None:
            question = threading.Thread(target=self._ask, args=(claimed,), name="mail question", daemon=True)
            self._questions.append(question)
            question.start()

    def _ask(self, standing: circuit_breaker.CircuitBreakerState) -> None:
        """Put one question: to a server that was away or refused our sign-in by connecting, else by one letter."""
        lane = self._runner.lane
        try:
            if standing.kind == circuit_breaker.US and standing.task_id and self._ask_with_a_letter(standing.task_id):
                pass
            else:
                reply = self._transport.check()
                self._writer.apply(lambda c: lane.answer(c, reply))
            if not lane.stopped:
                self._tell_moved()
        except Exception as error:
            # The next question follows in half a minute, from here or from elsewhere.
            log.warning("the mail server could not be asked: %s", error)

    def _ask_with_a_letter(self, refused: str) -> bool:
        """Let one letter ask, best not the `refused` task's own; return whether there was one, or will be."""
        lane = self._runner.lane
        for _ in range(MOST_SILENT):
            with self._steward.ledger.read() as connection:
                chosen = circuit_breaker.letter_to_ask(connection, refused)
                waits = search.is_open(connection, refused)
            if chosen is None:
                if waits:
                    self._writer.apply(lambda c: circuit_breaker.ask_soon(c, now()))
                return waits
            lane.ask_with(chosen)
            self._runner.perform([chosen])
            if lane.ask_with(None):
                return True
        return True

    def _tell_moved(self) -> None:
        self._transport.reconnect()
        self._moved()
