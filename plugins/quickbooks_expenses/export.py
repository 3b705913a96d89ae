"""One run of the export: what an earlier run left, what was refused, then page after page of what is new."""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from steward import Cursor, Note, Progress, Source, UnreadableData, to_decimal

from .books import Throttled, batch_of, purchase_of, sign_in
from .connection import Connection
from .expenses import after, count, of

MOST_ITEMS = 30
"""Items in one batch, as Intuit recommends ("API call limits and throttles")."""
REMEMBERED = 15 * 60
"""Seconds for which a batch that broke off may be on its way still, and is sent again as it was."""
PATIENCE = 3
"""How often a throttled batch is sent within one attempt."""


class Export:
    """Books expenses and commits page by page."""

    def __init__(self, connection: Connection, source: Source, cursor: Cursor, progress: Progress) -> None:
        self.connection, self.source, self.cursor, self.progress = connection, source, cursor, progress
        self.books = sign_in(connection, cursor)
        self.done, self.total = 0, Decimal(0)
        self.refused: dict[str, str] = {}

    def go(self) -> None:
        """Do all of it. What cannot be sent now is raised; the next attempt goes on from the last committed page."""
        if self.cursor.pending is not None:
            self._resume(self.cursor.pending)
        again = [int(item) for item in self.cursor.refused()]
        for start in range(0, len(again), MOST_ITEMS):
            self._send_page(of(self.source, again[start : start + MOST_ITEMS]), None)
        since, sent = self.connection.since, 0
        left = count(self.source, self.cursor.position or 0, since)
        while rows := after(self.source, self.cursor.position or 0, since, MOST_ITEMS):
            self._send_page(rows, rows[-1]["id"])
            sent += len(rows)
            self.progress(min(sent / max(left, 1), 1.0), f"{sent:,} of {left:,} expenses")

    def note(self) -> Note:
        """Say what was done."""
        words = f"{self.done:,} expense{'' if self.done == 1 else 's'} exported, {self.total:,.2f} in all."
        if self.refused:
            item, reason = next(iter(self.refused.items()))
            words += f" {len(self.refused)} were refused and are tried again next time. Expense {item}: {reason}"
        return Note(words, {"exported": self.done, "amount": self.total, "refused": len(self.refused)})

    def _send_page(self, rows: Sequence[Mapping[str, Any]], position: int | None) -> None:
        """Send what can be read of a page; what cannot is refused by name, and holds nothing up."""
        sound, unreadable = [], {}
        for row in rows:
            try:
                purchase_of(row, self.connection)
                sound.append(row)
            except UnreadableData as error:
                unreadable[str(row["id"])] = str(error)
        moves: dict[str, Any] = {} if position is None else {"position": position}
        if unreadable:
            moves["unreadable"] = unreadable
        if sound:
            self._send({"items": [str(row["id"]) for row in sound], "body": batch_of(sound, self.connection)} | moves)
        elif unreadable:
            self._commit(moves, {}, {})

    def _resume(self, page: dict[str, Any]) -> None:
        """Settle the page that was on its way when an earlier attempt ended: nobody knows whether it arrived."""
        present = self.books.find(page["items"])
        if len(present) < len(page["items"]) and time.time() - page["at"] < REMEMBERED:
            # It may be on its way still. Under the same request id and body QuickBooks books nothing twice.
            self._settle(page)
            return
        self.total += sum((Decimal(str(each["TotalAmt"])) for each in present.values()), Decimal(0))
        page["present"] = {item: each["Id"] for item, each in present.items()}
        missing = [item for item in json.loads(page["body"])["BatchItemRequest"] if item["bId"] not in present]
        if missing:
            self._send(page | {"body": json.dumps({"BatchItemRequest": missing})})
        else:
            self._commit(page, page["present"], {})

    def _send(self, page: dict[str, Any]) -> None:
        page = page | {"requestid": str(uuid.uuid4()), "at": time.time()}
        self.cursor.begin(page)
        self._settle(page)

    def _settle(self, page: dict[str, Any]) -> None:
        done, refused = dict(page.get("present", {})), {}
        for item in self._post(page):
            if "Fault" in item:
                error = item["Fault"]["Error"][0]
                refused[item["bId"]] = f"{error.get('Message', '')}: {error.get('Detail', '')}".strip(": ")
            else:
                done[item["bId"]] = item["Purchase"]["Id"]
                self.total += to_decimal(item["Purchase"]["TotalAmt"])
        self._commit(page, done, refused)

    def _commit(self, page: dict[str, Any], done: dict[str, str], refused: dict[str, str]) -> None:
        moves = {"position": page["position"]} if "position" in page else {}
        refused = refused | page.get("unreadable", {})
        self.cursor.commit(**moves, done=done, refused=refused)
        self.done += len(done)
        self.refused |= refused

    def _post(self, page: dict[str, Any]) -> list[dict[str, Any]]:
        for _ in range(PATIENCE - 1):
            try:
                return self.books.send(page["body"], page["requestid"])
            except Throttled as error:
                time.sleep(error.seconds)
        return self.books.send(page["body"], page["requestid"])
