"""Sends letters steadily while machines break, and counts afterwards what came of each: the four numbers."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from tests.journeys.installation import Installation
from tests.servers.smtp_sink import SmtpSink


class Sender(threading.Thread):
    """Hands letters over by HTTP until told to stop, `pace` a second; asks again under the same key when unanswered."""

    def __init__(self, house: Installation, pace: float) -> None:
        super().__init__(name="sender", daemon=True)
        self._house, self._pause = house, 1 / pace
        self._over = threading.Event()
        self.accepted: dict[str, int] = {}
        """Ids of what was accepted, with the letter's number."""
        self.asked = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        client = self._house.client
        while not self._over.is_set():
            (number,) = self._numbers(1)
            if not self._hand_over(client, number):
                return
            self._over.wait(self._pause)

    def burst(self, count: int) -> None:
        """Hand many letters over at once, in this process, as an application does that runs beside the service."""
        numbers = self._numbers(count)
        self.accepted |= zip(self._house.enqueue_many("letter", map(_payload, numbers)), numbers, strict=True)

    def _numbers(self, count: int) -> range:
        with self._lock:
            self.asked += count
            return range(self.asked - count, self.asked)

    def _hand_over(self, client: httpx.Client, number: int) -> bool:
        name = ("letter", "urgent_letter", "bulk_letter")[number % 3]
        payload = _payload(number)
        while not self._over.is_set():
            with contextlib.suppress(httpx.TransportError):
                answer = client.post(f"/v1/tasks/{name}", json=payload, headers={"Idempotency-Key": f"n{number}"})
                if answer.status_code == 202:
                    self.accepted[answer.json()["id"]] = number
                    return True
                assert answer.status_code in (503, 507), answer.text
            self._over.wait(0.05)
        return False

    def stop(self) -> None:
        """Hand nothing more over."""
        self._over.set()
        self.join(30)


def _payload(number: int) -> dict[str, Any]:
    return {"to": f"m{number}@example.org", "number": number, "words": f"Only for {number}. " * 20}


@contextlib.contextmanager
def sending(house: Installation, pace: float) -> Iterator[Sender]:
    """Hand letters over while the block lasts."""
    sender = Sender(house, pace)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the letters that were accepted."""

    accepted: int
    lost: int
    unexpected: int
    duplicated: int
    recovered: int
    differing: int
    unflagged: int
    open: int

    def __str__(self) -> str:
        return (
            f"accepted {self.accepted}: lost {self.lost}, unexpected {self.unexpected},"
            f" duplicated {self.duplicated}, recovered {self.recovered}"
        )


def account(house: Installation, sink: SmtpSink, sender: Sender) -> Account:
    """Compare what was accepted with what the mail server got and with what the ledger says.

    Lost: accepted, and no letter came. Unexpected: a letter nobody asked for, or one to another than its own recipient.
    Duplicated: copies beyond the first. Recovered: sent at a later attempt than the first.
    """
    copies: dict[str, list[bytes]] = {}
    unexpected = 0
    numbers = set(range(sender.asked))
    for mail in sink.messages():
        message = mail.message
        task_id = str(message["Message-ID"]).strip("<>").partition(".")[0]
        number = int(str(message["Subject"]).removeprefix("Letter "))
        copies.setdefault(task_id, []).append(hashlib.sha256(mail.raw).digest())
        if number not in numbers or mail.recipients != (f"m{number}@example.org",):
            unexpected += 1
    tasks = {task.id: task for task in house.tasks() if task.name.endswith("letter")}
    unexpected += len(set(copies) - set(tasks))
    repeated = {task_id for task_id, found in copies.items() if len(found) > 1}
    flagged = {task_id for task_id, task in tasks.items() if any(d.possible_duplicate for d in task.deliveries)}
    made = Counter(task.payload["number"] for task in tasks.values())
    unexpected += sum(n - 1 for n in made.values())
    return Account(
        accepted=len(sender.accepted),
        lost=len(set(sender.accepted) - set(copies)) + len(set(sender.accepted) - set(tasks)),
        unexpected=unexpected,
        duplicated=sum(len(found) - 1 for found in copies.values()),
        recovered=sum(task.attempt > 1 and task.state == "succeeded" for task in tasks.values()),
        differing=sum(len(set(found)) > 1 for found in copies.values()),
        unflagged=len(repeated - flagged),
        open=sum(not task.finished for task in tasks.values()),
    )
