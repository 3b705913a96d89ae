"""Works the figures out, once: tables, charts, words and spreadsheets all show these."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from .reading import LEFT, STATUSES, Member

FEWEST = 5
"""Counts of 1 to 4 people by age or town are never shown (what US funders commonly require of published tables)."""
CLASSES = (*(f"apprentice_{n}" for n in range(1, 6)), "journeyman", "foreman", "retiree", "honorary")
AGES = ((0, 24), (25, 34), (35, 44), (45, 54), (55, 64), (65, None))
TOWNS = 11
"""How many towns are named; the others are one line."""
YEARS = 10
"""How many years the roll is followed back."""
SPANS = 16
"""The most parts that a period is cut into, for a chart that fits on a page."""

_FOLD = str.maketrans("ĐđØøŁłÐð", "DdOoLlDd", "'’.-")


@dataclass(frozen=True, slots=True)
class Span:
    """A month or several: who joined and who left in it. `left` is by the status that they then had."""

    first: date
    last: date
    joined: int
    left: dict[str, int]

    @property
    def all_left(self) -> int:
        """Whoever left, however."""
        return sum(self.left.values())


@dataclass(frozen=True, slots=True)
class Records:
    """What was read, and what was set aside and why.

    `undated` have no day of joining, `unseen` have left on a day that nobody entered. `latest` is the newest change.
    """

    read: int
    deleted: int
    later: int
    other: int
    counted: int
    undated: int
    unseen: int
    latest: date | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a summary. `crossed` has a count for each classification and status.

    `at_start` and `at_end` are the roll before the first day and after the last; `years` is the roll at the end of the
    last day and of the same day in earlier years. `apprentices`, `ages` and `towns` are of the people on the roll at
    the end, or with `statuses` of whoever was chosen and lives; `people` is how many that are. By age and town, groups
    of fewer than `FEWEST` are joined to others. `apprentices` has all and the new ones by classification. `roster` is
    in the order of names.
    """

    start: date
    end: date
    statuses: tuple[str, ...]
    records: Records
    crossed: dict[tuple[str, str], int]
    spans: tuple[Span, ...]
    at_start: int
    at_end: int
    years: tuple[tuple[date, int], ...]
    people: int
    apprentices: dict[str, tuple[int, int]]
    ages: tuple[tuple[str, int], ...]
    ageless: int
    towns: tuple[tuple[str, int], ...]
    roster: tuple[Member, ...]

    @property
    def joined(self) -> int:
        """Whoever joined in the period."""
        return sum(span.joined for span in self.spans)

    @property
    def left(self) -> dict[str, int]:
        """Whoever left in the period, by the status that they then had."""
        return {status: sum(span.left[status] for span in self.spans) for status in LEFT}

    @property
    def by_status(self) -> dict[str, int]:
        """Members by status, in the usual order."""
        return _summed(self.crossed, 1, STATUSES)

    @property
    def by_class(self) -> dict[str, int]:
        """Members by classification, in the usual order."""
        return _summed(self.crossed, 0, CLASSES)


def figures(members: Iterable[Member], start: date, end: date, statuses: Sequence[str]) -> Figures:
    """Return the figures of the members who had joined by `end` and have one of `statuses` (all if empty)."""
    read = deleted = later = other = 0
    latest: date | None = None
    counted: list[Member] = []
    for member in members:
        read += 1
        if member.deleted:
            deleted += 1
            continue
        latest = max(latest or member.changed, member.changed)
        if member.joined is not None and member.joined > end:
            later += 1
        elif statuses and member.status not in statuses:
            other += 1
        else:
            counted.append(member)
    counted.sort(key=in_order)
    before = start - timedelta(days=1)
    roll = [member for member in counted if member.on_roll(end)]
    people = [member for member in counted if member.status != "deceased"] if statuses else roll
    aged = [_age(member.born, end) for member in people if member.born is not None]
    return Figures(
        start=start,
        end=end,
        statuses=tuple(status for status in STATUSES if status in statuses),
        records=Records(
            read=read,
            deleted=deleted,
            later=later,
            other=other,
            counted=len(counted),
            undated=sum(member.joined is None for member in counted),
            unseen=sum(member.is_gone and member.left is None for member in counted),
            latest=latest,
        ),
        crossed=dict(Counter((member.classification, member.status) for member in counted)),
        spans=tuple(_span(counted, first, last) for first, last in cut(start, end)),
        at_start=sum(member.on_roll(before) for member in counted),
        at_end=len(roll),
        years=tuple((day, sum(member.on_roll(day) for member in counted)) for day in _anniversaries(end)),
        people=len(people),
        apprentices=_apprentices(people, start),
        ages=tuple(joined_bands(Counter(map(_band, aged)))),
        ageless=len(people) - len(aged),
        towns=tuple(listed_towns(Counter(member.town or "Not recorded" for member in people))),
        roster=tuple(counted),
    )


def in_order(member: Member) -> tuple[str, str, str, str]:
    """Return what a roster is sorted by: last name, first name, as a reader looks them up, accents aside."""
    return _folded(member.last), _folded(member.first), _folded(member.middle), member.number


def cut(start: date, end: date) -> list[tuple[date, date]]:
    """Return the period in months; in quarters, years, or decades if it has more than `SPANS` of the shorter."""
    for months in (1, 3, 12, 120):
        spans: list[tuple[date, date]] = []
        first = start
        while first <= end:
            following = _next(first, months)
            spans.append((first, min(following - timedelta(days=1), end)))
            first = following
        if len(spans) <= SPANS:
            break
    return spans


def joined_bands(counts: Counter[int]) -> list[tuple[str, int]]:
    """Return age bands with how many are in each; a band of fewer than `FEWEST` is joined to the next one.

    Nothing is returned if even all of them together are so few.
    """
    bands: list[tuple[int, int | None, int]] = []
    for n, (low, high) in enumerate(AGES):
        if bands and 0 < bands[-1][2] < FEWEST:
            bands[-1] = (bands[-1][0], high, bands[-1][2] + counts[n])
        else:
            bands.append((low, high, counts[n]))
    while len(bands) > 1 and 0 < bands[-1][2] < FEWEST:
        _, high, count = bands.pop()
        bands[-1] = (bands[-1][0], high, bands[-1][2] + count)
    return [] if sum(counts.values()) < FEWEST else [(_years(low, high), count) for low, high, count in bands]


def listed_towns(counts: Counter[str]) -> list[tuple[str, int]]:
    """Return the largest towns and, as one line, all others; a town of fewer than `FEWEST` is never named."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = [(town, count) for town, count in ranked[:TOWNS] if count >= FEWEST]
    rest = ranked[len(named) :]
    while named and rest and sum(count for _, count in rest) < FEWEST:
        rest.insert(0, named.pop())
    others = sum(count for _, count in rest)
    if others < FEWEST:
        return named
    return [*named, (f"{len(rest)} other towns" if named else "All towns", others)]


def _anniversaries(end: date) -> list[date]:
    """Return the day in each of the last years; 28 February stands in for the 29th."""
    day = 28 if (end.month, end.day) == (2, 29) else end.day
    return [date(year, end.month, day) for year in range(end.year - YEARS + 1, end.year)] + [end]


def _apprentices(members: Sequence[Member], start: date) -> dict[str, tuple[int, int]]:
    learning = [member for member in members if member.classification.startswith("apprentice_")]
    counts = Counter(member.classification for member in learning)
    new = Counter(m.classification for m in learning if m.joined is not None and m.joined >= start)
    return {name: (counts[name], new[name]) for name in sorted(counts)}


def _span(members: Sequence[Member], first: date, last: date) -> Span:
    left = Counter(m.status for m in members if m.left is not None and first <= m.left <= last)
    # Who left on an unknown day is on the roll at no time, and so is not counted as joining it either.
    seen = (m for m in members if m.joined is not None and not (m.is_gone and m.left is None))
    joined = sum(first <= m.joined <= last for m in seen if m.joined is not None)
    return Span(first, last, joined, {status: left[status] for status in LEFT})


def _summed(crossed: dict[tuple[str, str], int], axis: int, order: Sequence[str]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for key, count in crossed.items():
        counts[key[axis]] += count
    return {name: counts[name] for name in (*order, *sorted(set(counts) - set(order))) if name in counts}


def _next(day: date, months: int) -> date:
    """Return the first day after `day` that begins a span of so many months of the calendar."""
    begun = (day.year * 12 + day.month - 1) // months * months + months
    return date(begun // 12, begun % 12 + 1, 1) if begun // 12 < date.max.year else date.max


def _age(born: date, day: date) -> int:
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _band(age: int) -> int:
    return next((n for n, (_, high) in enumerate(AGES) if high is None or age <= high), len(AGES) - 1)


def _years(low: int, high: int | None) -> str:
    if high is None:
        return f"{low} and older" if low else "All ages"
    return f"{low} to {high}" if low else f"Under {high + 1}"


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.translate(_FOLD))
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()
