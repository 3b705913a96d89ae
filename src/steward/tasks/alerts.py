"""Tells operators what needs a look: counts what failed, decides when to tell, and hands the alert over as a task."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from steward.errors import StewardError
from steward.model.caller import SERVICE
from steward.model.service import Options
from steward.storage import incidents
from steward.storage.database import Connection, Ledger
from steward.storage.incidents import Incident, IncidentEvent
from steward.storage.tasks import acceptance
from steward.system.clock import SECOND, moment, now
from steward.tasks import task_log
from steward.tasks.acceptance import LedgerTaskService

log = logging.getLogger(__name__)

MAIL, WEBHOOK = "alert", "alert_webhook"
"""The handlers that carry alerts. Their own failures are never told: an alert about an alert has no end."""
QUIET: Final = 10 * SECOND
"""A new incident is told of when nothing was added to it for so long (microseconds) …"""
LONGEST: Final = 60 * SECOND
"""… and after so long at the latest."""
LOOK_BACK: Final = 24 * 3600 * SECOND
OVERLAP: Final = 60 * SECOND
"""How far behind the last look the next one begins, for writers whose clock or commit is late."""
KEPT: Final = 30 * 24 * 3600 * SECOND
MOST_TOLD: Final = 20
MOVES: Final = "moves"
"""The kind of an incident that is told of for the last time: it is over."""

_ADDRESS = re.compile(r"[^\s<>@\"']+@[\w.-]+")
_PARTICULAR = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|'[^']*'|\"[^\"]*\"|\d+")


class Alerts:
    """One per process; any number of processes may call `look`, and each incident is told of once.

    `to` holds addresses parted by commas, `urls` those of Apprise parted by spaces; `window` is in seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        service: LedgerTaskService,
        *,
        to: str,
        urls: str,
        window: int,
        organization: str,
        public_url: str,
    ) -> None:
        self._ledger, self._service = ledger, service
        self._window, self._organization, self._public_url = window, organization, public_url
        self._to = [address.strip() for address in to.split(",") if address.strip()]
        self._urls = urls.split()
        self._seen: int | None = None
        if self._urls and importlib.util.find_spec("apprise") is None:
            log.error("STEWARD_ALERT_URLS needs Apprise. Type: pip install 'steward-tasks[alerts]'")

    def look(self, at: int | None = None) -> list[str]:
        """Count what is new, tell what is ripe, close what is over; return the ids of the alerts handed over."""
        at = now() if at is None else at
        self._count(at)
        with self._ledger.read() as connection:
            found = incidents.still_open(connection)
            again = incidents.that_move_again(connection, found)
        found = [each for each in found if each not in again]
        made = [task_id for each in again for task_id in self._end(each, at)]
        window = self._window * SECOND
        over = [each for each in found if is_over(each, at, window)]
        if over:
            self._ledger.apply(lambda c: incidents.close(c, over, at))
        ripe = [each for each in found if is_ripe(each, at, window)]
        return made + (self._tell(ripe, at) if ripe else [])

    def prune(self) -> int:
        """Forget incidents that have been over for a month; return how many."""
        return self._ledger.apply(lambda c: incidents.forget(c, now() - KEPT))

    def _count(self, at: int) -> None:
        since = at - LOOK_BACK if self._seen is None else self._seen - OVERLAP
        silent = (MAIL, WEBHOOK)
        while True:
            with self._ledger.read() as connection:
                if not incidents.uncounted(connection, since, silent, at):
                    break

            def change(connection: Connection) -> None:
                incidents.only_one(connection)
                events = incidents.uncounted(connection, since, silent, at)
                incidents.count(connection, [identified(event) for event in events], at)

            self._ledger.apply(change)
        self._seen = at

    def _tell(self, ripe: Sequence[Incident], at: int) -> list[str]:
        entries = self._messages(ripe)
        if not entries:
            log.warning(
                "%d kinds of failures, and nobody is told: set STEWARD_ALERT_TO or STEWARD_ALERT_URLS", len(ripe)
            )

        def change(connection: Connection) -> list[str]:
            # All or nothing: if another process has told of one of them, the rest is told at the next look.
            with connection.begin_nested() as step:
                if not all(incidents.mark_told(connection, each, at) for each in ripe):
                    step.rollback()
                    return []
                if entries:
                    acceptance.accept(connection, entries)
            return [entry.id for entry in entries]

        return self._hand_over(change, entries)

    def _end(self, incident: Incident, at: int) -> list[str]:
        """End the incident of a lane that moves again, and tell whoever was told that it stood still."""
        entries = self._messages([replace(incident, kind=MOVES, reason="")]) if incident.told_at is not None else []

        def change(connection: Connection) -> list[str]:
            if not incidents.end(connection, incident, at):
                return []
            if entries:
                acceptance.accept(connection, entries)
            return [entry.id for entry in entries]

        return self._hand_over(change, entries)

    def _hand_over(self, change: Callable[[Connection], list[str]], entries: Sequence[acceptance.NewTask]) -> list[str]:
        """Make `change`, which accepts `entries` or nothing; return the ids of what was accepted."""
        made = self._ledger.apply(change)
        if made:
            for entry in entries:
                task_log.accepted(entry.name, [entry.id])
            self._service.announce(made)
        return made

    def _messages(self, ripe: Sequence[Incident]) -> list[acceptance.NewTask]:
        wanted: list[tuple[str, dict[str, Any]]] = []
        if self._to:
            wanted.append((MAIL, self._letter(self._to, ripe)))
        owners = {each.owner for each in ripe if "@" in each.owner}
        for owner in sorted(owners - set(self._to)):
            wanted.append((MAIL, self._letter([owner], [each for each in ripe if each.owner == owner])))
        if self._urls:
            told = [self._shown(each) for each in ripe[:MOST_TOLD]]
            lines = [f"{each['what']}: {each['reason']}\n{each['link']}".replace(": \n", "\n") for each in told]
            title = f"{self._organization}: {told[0]['what']}" + (
                f", and {len(ripe) - 1} more" if len(ripe) > 1 else ""
            )
            body = "\n\n".join(lines)
            # The addresses stay in the settings: a task names its own by number alone.
            numbers = range(1, len(self._urls) + 1)
            wanted += [(WEBHOOK, {"number": number, "title": title[:200], "body": body}) for number in numbers]
        entries = []
        for name, payload in wanted:
            try:
                entries.append(self._service.prepare(name, payload, Options(caller=SERVICE)))
            except StewardError as error:
                log.error("an alert could not be written: %s", error)
        return entries

    def _letter(self, to: list[str], ripe: Sequence[Incident]) -> dict[str, Any]:
        return {
            "to": to,
            "incidents": [self._shown(each) for each in ripe[:MOST_TOLD]],
            "more": max(0, len(ripe) - MOST_TOLD),
        }

    def _shown(self, incident: Incident) -> dict[str, Any]:
        base, name = self._public_url, incident.name
        if incident.kind in ("stopped", MOVES):
            link = base + "/"
        elif incident.kind in ("missed", "ended", "refused"):
            link = base + "/schedules"
        else:
            link = f"{base}/tasks/{incident.task_id}"
        return {
            "what": in_words(incident),
            "reason": incident.reason,
            "since": moment(incident.first_at),
            "link": link,
            "all": f"{base}/?show=failed&name={quote(name)}"
            if incident.kind == "failed" and incident.count > 1
            else "",
        }


def identified(event: IncidentEvent) -> IncidentEvent:
    """Return `event` with the digest that it shares with its like: addresses, numbers and quotations do not matter."""
    reason = _ADDRESS.sub("…", event.reason)[:500]
    # A lane that stands still is one incident, whatever the server says each time; so are one owner's schedules.
    special = {"stopped": "", "missed": event.owner, "ended": f"{event.owner}\n{reason}"}
    alike = special.get(event.kind, _PARTICULAR.sub("…", reason))
    digest = hashlib.sha256("\n".join((event.kind, event.name, alike[:200])).encode()).hexdigest()
    return replace(event, reason=reason, digest=digest)


def is_ripe(incident: Incident, at: int, window: int) -> bool:
    """Whether it is time to tell of an incident: once it has settled, and again each window while it goes on."""
    if incident.told_at is None:
        return incident.last_at <= at - QUIET or incident.first_at <= at - LONGEST
    return incident.count > incident.told and incident.told_at <= at - window


def is_over(incident: Incident, at: int, window: int) -> bool:
    """Whether all has been told and nothing was added for a whole window."""
    return incident.told_at is not None and incident.count == incident.told and incident.last_at <= at - window


def in_words(incident: Incident) -> str:
    """Return what happened, as one would say it."""
    title = incident.name.replace("_", " ").capitalize()
    more = incident.count - incident.told
    if incident.kind == "stopped":
        return "Mail stands still" if incident.name == "smtp" else f"The lane {incident.name} stands still"
    if incident.kind == MOVES:
        return "Mail moves again" if incident.name == "smtp" else f"The lane {incident.name} moves again"
    if incident.kind == "missed":
        return f"{title} was not made on time" + (f", {more} times" if more > 1 else "")
    if incident.kind == "refused":
        return f"The schedule of {title} rests: who made it may not ask for it any more"
    if incident.kind == "ended":
        return f"The schedule of {title} has ended"
    if incident.told:
        return f"{title} goes on failing: {more} more since the last message, {incident.count} in all"
    return f"{title} failed" if more == 1 else f"{title} failed {more} times"
