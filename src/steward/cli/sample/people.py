"""Draws the members of the sample, with where they live, where they stand, and for whom they have worked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from steward.cli.sample.chance import SampleRandom, plain
from steward.cli.sample.names import ORIGINS, SampleOrigin
from steward.cli.sample.places import AREA_CODES, EMPLOYERS, STREETS, TOWNS

MEMBERS: Final = 4_000
FIRST_YEAR: Final = 1971
MONTHS: Final = {1: 7, 2: 4, 3: 6, 4: 5, 5: 6, 6: 14, 7: 7, 8: 6, 9: 17, 10: 8, 11: 5, 12: 3}
"""New members by month: classes begin in June and September."""
LOADED: Final = datetime(2019, 3, 4, 9, 0)
"""When the office moved from cards to the database; whoever had joined before was entered then."""
SCALE: Final = {
    "apprentice_1": "24.70",
    "apprentice_2": "29.65",
    "apprentice_3": "34.60",
    "apprentice_4": "39.50",
    "apprentice_5": "44.45",
    "journeyman": "61.75",
    "foreman": "67.95",
}
"""Dollars an hour by classification."""


@dataclass(slots=True)
class SampleMember:
    """One member as drawn."""

    first: str
    middle: str | None
    last: str
    born: date
    joined: date
    status: str
    changed: date
    classification: str


class SamplePeople:
    """Members by the day they joined, as rows of `members`, `organizations` and `member_employments`."""

    def __init__(self, cut_off: datetime) -> None:
        self._chance, self._cut_off, self._today = SampleRandom("members"), cut_off, cut_off.date()
        self.members = sorted((self._member() for _ in range(MEMBERS)), key=lambda m: (m.joined, m.last, m.first))

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the rows of `members`; ids and numbers rise with the day of joining."""
        chance, addresses = SampleRandom("addresses"), set[str]()
        towns = {town: town[2] for town in TOWNS}
        rows: list[tuple[Any, ...]] = []
        number = 10_000
        for identity, member in enumerate(self.members, 1):
            number += chance.number(1, 9)
            town, state, _, zips = chance.weighted(towns)
            email = f"{plain(member.first)}.{plain(member.last)}"
            while email in addresses:
                email += str(chance.number(2, 9))
            addresses.add(email)
            created = datetime.combine(member.joined + timedelta(days=chance.number(0, 9)), time(8))
            created = min(max(created + timedelta(minutes=chance.number(0, 539)), LOADED), self._cut_off)
            touched = datetime.combine(chance.day(max(created.date(), member.changed), self._today), time(8))
            touched += timedelta(minutes=chance.number(0, 539))
            deleted = chance.happens(0.011)
            rows.append(
                (
                    identity,
                    f"IB-{number}",
                    member.first,
                    member.middle,
                    member.last,
                    f"{chance.number(100, 19_999)} {chance.one(STREETS)}",
                    town,
                    state,
                    chance.one(zips),
                    f"({chance.one(AREA_CODES[state])}) 555-01{chance.number(0, 99):02d}"
                    if chance.happens(0.97)
                    else None,
                    f"{email}@example.org" if chance.happens(0.94) else None,
                    member.born if chance.happens(0.997) else None,
                    member.joined if chance.happens(0.998) else None,
                    member.status,
                    member.classification,
                    "Entered twice; see the other card" if deleted else None,
                    member.changed,
                    created,
                    min(max(touched, created), self._cut_off),
                    self._cut_off - timedelta(days=chance.number(3, 900)) if deleted else None,
                )
            )
        rows[-1] = (*rows[-1][:18], self._cut_off, None)
        return rows

    def organizations(self) -> list[tuple[Any, ...]]:
        """Return the rows of `organizations`."""
        return [(n, *employer) for n, employer in enumerate(EMPLOYERS, 1)]

    def employments(self) -> list[tuple[Any, ...]]:
        """Return the rows of `member_employments`: one to three jobs for each, the last one current if at work."""
        chance = SampleRandom("employments")
        signed = [n for n, employer in enumerate(EMPLOYERS, 1) if employer[3]]
        rows: list[tuple[Any, ...]] = []
        for identity, member in enumerate(self.members, 1):
            at_work = member.status in ("active", "suspended") and chance.happens(0.93)
            begin, end = member.joined, self._today if at_work else member.changed
            if not at_work and end <= begin:
                continue
            changes = sorted(chance.day(begin, end) for _ in range(chance.number(0, 2)))
            starts = [begin, *(day for day in changes if (day - begin).days > 60)]
            for n, start in enumerate(starts):
                last = n == len(starts) - 1
                ended = end if last else max(starts[n + 1] - timedelta(days=1), start)
                current = last and at_work
                rate = Decimal(SCALE.get(member.classification, SCALE["journeyman"]))
                if not current:
                    rate *= Decimal(str(round(0.97 ** ((self._today - ended).days / 365.25), 4)))
                rows.append(
                    (
                        len(rows) + 1,
                        identity,
                        chance.one(signed),
                        start,
                        None if current else ended,
                        _job(member.classification),
                        rate.quantize(Decimal("0.01")),
                        current,
                    )
                )
        return rows

    def _member(self) -> SampleMember:
        chance = self._chance
        first, middle, last = name(chance, women=0.13)
        joined = self._joined()
        organised = chance.happens(0.3)  # came as a journey-level worker
        age = chance.around(33, 12) if organised else 18 + 16 * chance.share() ** 1.7
        born = joined - timedelta(days=int(age * 365.25))
        status, changed = self._standing(joined, born)
        return SampleMember(
            first,
            middle,
            last,
            born,
            joined,
            status,
            changed,
            self._class(status, joined, changed, organised=organised),
        )

    def _joined(self) -> date:
        chance, today = self._chance, self._today
        while True:
            years = {y: _weight(y, today.year) for y in range(FIRST_YEAR, today.year + 1)}
            year, month = chance.weighted(years), chance.weighted(MONTHS)
            day = date(year, month, chance.number(1, 28))
            if day.weekday() < 5 and day <= today:
                return day

    def _standing(self, joined: date, born: date) -> tuple[str, date]:
        """Return the status at the cut-off and the day it was reached: the last of what life brings."""
        chance, today = self._chance, self._today
        retires = born + timedelta(days=int(chance.around(61, 11) * 365.25))
        dies = born + timedelta(days=int(chance.around(84, 22) * 365.25))
        leaves = joined + timedelta(days=int(90 + 5200 * chance.share() ** 2)) if chance.happens(0.11) else date.max
        if leaves < min(retires, dies) and leaves <= today:
            return "inactive", leaves
        if joined < dies <= today:
            return "deceased", dies
        if joined + timedelta(days=365 * 5) < retires <= today:
            return "retired", retires
        if chance.happens(0.017):
            return "suspended", chance.day(max(joined, today - timedelta(days=400)), today)
        if chance.happens(0.04):  # came back
            return "active", chance.day(joined, today)
        return "active", joined

    def _class(self, status: str, joined: date, changed: date, *, organised: bool) -> str:
        chance = self._chance
        if status == "retired" or (status == "deceased" and chance.happens(0.7)):
            return "honorary" if chance.happens(0.02) else "retiree"
        until = self._today if status in ("active", "suspended") else changed
        years = (until - joined).days / 365.25
        if not organised and years < 5.4:
            repeated = 1 if chance.happens(0.08) else 0
            return f"apprentice_{min(max(int(years) + 1 - repeated, 1), 5)}"
        return "foreman" if years > 8 and chance.happens(0.15) else "journeyman"


def name(chance: SampleRandom, *, women: float) -> tuple[str, str | None, str]:
    """Return first, middle (or None) and last name; `women` is their share."""
    origin = chance.weighted({origin: origin.weight for origin in ORIGINS})
    given = origin.women if chance.happens(women) else origin.men
    first = chance.one(given)
    middle = chance.one(given) if chance.happens(0.4) else None
    return first, None if middle == first else middle, _family(chance, origin)


def _family(chance: SampleRandom, origin: SampleOrigin) -> str:
    last = chance.one(origin.family)
    second = chance.one(origin.family)
    if last == second or not chance.happens(origin.second):
        return last
    return f"{last}{'-' if chance.happens(0.5) else ' '}{second}"


def _weight(year: int, present: int) -> float:
    if year >= present - 5:
        return 1.5
    return float(0.966 ** max(present - 8 - year, 0))


def _job(classification: str) -> str:
    if classification.startswith("apprentice_"):
        return f"Apprentice, year {classification[-1]}"
    return "Foreman" if classification == "foreman" else "Journeyman wireman"
