"""Says the figures in plain words: labels, days and periods, and the sentences of the summary."""

from __future__ import annotations

from datetime import date, timedelta

from steward import percent

from .figures import FEWEST, Figures, Span

_LEAVING = {"retired": "retired", "inactive": "became inactive", "deceased": "died"}


def label(name: str) -> str:
    """Return a status or classification of the database as a person reads it."""
    if name.startswith("apprentice_"):
        return f"Apprentice, year {name.rpartition('_')[2]}"
    return name.replace("_", " ").capitalize()


def day(value: date) -> str:
    """Return a day in words: `30 September 2026`."""
    return f"{value.day} {value:%B %Y}"


def period(start: date, end: date) -> str:
    """Return a period in words, saying nothing twice: `1 July to 30 September 2026`."""
    if start == end:
        return day(start)
    if start.year != end.year:
        return f"{day(start)} to {day(end)}"
    if start.month != end.month:
        return f"{start.day} {start:%B} to {day(end)}"
    return f"{start.day} to {day(end)}"


def span(part: Span) -> str:
    """Return a part of the period in words: a month, several, a year, or years."""
    first, last = part.first, part.last
    if (first.year, first.month) == (last.year, last.month):
        return f"{first:%B %Y}"
    if first.year != last.year:
        return f"{first.year} to {last.year}"
    whole = (first.month, first.day, last.month, last.day) == (1, 1, 12, 31)
    return str(first.year) if whole else f"{first:%b} to {last:%b %Y}"


def count(number: int, one: str = "member", many: str = "") -> str:
    """Return a number with its noun: `1 member`, `1,204 members`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def chosen(statuses: tuple[str, ...]) -> str:
    """Return which statuses were asked for, in words."""
    return listed([label(status).lower() for status in statuses]) if statuses else "all"


def listed(parts: list[str]) -> str:
    """Return parts as a list in a sentence: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""


def as_on_record(read: date) -> str:
    """Return for which day the statuses, classifications and towns are told: that on which the records were read."""
    return f"as on record on {day(read)}"


def summary(figures: Figures, read: date) -> list[str]:
    """Return the sentences of the summary, one paragraph each; the records were read on the day `read`."""
    texts = (_standing(figures), _movement(figures), _training(figures, read), _kinds(figures, read))
    return [text for text in texts if text]


def statement(figures: Figures, period: str, read: date) -> list[tuple[str, str]]:
    """Return how the figures for `period` (in words), read on the day `read`, were arrived at: names and words."""
    records = figures.records
    aside = [f"{records.deleted:,} deleted"] if records.deleted else []
    aside += [f"{records.later:,} who joined after {day(figures.end)}"] if records.later else []
    aside += [f"{records.other:,} of another status"] if records.other else []
    unseen = f"; {records.unseen:,} more left on a day that is not recorded" if records.unseen else ""
    return [
        ("Period", f"{period}, both days included"),
        ("Filter", f"status {chosen(figures.statuses)}" if figures.statuses else "none"),
        (
            "Cut-off",
            f"{as_on_record(read)}; the newest entry is of {day(records.latest or figures.end)}",
        ),
        (
            "Status, classification, town",
            f"those on record on {day(read)}, whatever they were in the period: earlier ones are not recorded",
        ),
        ("Records read", f"{records.read:,}, {listed(aside) or 'none'} set aside"),
        (
            "Members counted",
            f"{records.counted:,}, {records.undated:,} of them without a joining day: they count as always there",
        ),
        ("Joined", f"{figures.joined:,}, by the hire date"),
        ("Left", f"{sum(figures.left.values()):,}, by the day of the change to retired, inactive or deceased{unseen}"),
        (
            "The roll in the past",
            "from the days of joining and leaving; who left and came back counts as always there",
        ),
        ("Age", f"in full years on {day(figures.end)}; {count(figures.ageless)} without a date of birth not counted"),
        (
            "Small groups",
            f"by age and town, fewer than {FEWEST} people are joined to others; status and classification are in full",
        ),
        ("Percentages", "rounded to one decimal; they may not add up to 100"),
    ]


def _standing(figures: Figures) -> str:
    if figures.statuses:
        are = "member has" if figures.records.counted == 1 else "members have"
        return (
            f"{figures.records.counted:,} {are} the status {chosen(figures.statuses).replace(' and ', ' or ')}, "
            f"of all who had joined by {day(figures.end)}."
        )
    before = figures.start - timedelta(days=1)
    return (
        f"On {day(figures.end)} the roll held {count(figures.at_end)}, active or suspended: "
        f"{_difference(figures.at_end - figures.at_start)} on {day(before)}."
    )


def _movement(figures: Figures) -> str:
    left = sum(figures.left.values())
    joined = f"{figures.joined:,} joined" if figures.joined else "Nobody joined"
    if not left:
        return f"{joined} in the period, and nobody left."
    if left == 1:
        how = next(words for status, words in _LEAVING.items() if figures.left[status])
        return f"{joined} in the period, and one left: {'' if how.startswith('became') else 'the member '}{how}."
    kinds = [f"{figures.left[status]:,} {words}" for status, words in _LEAVING.items() if figures.left[status]]
    return f"{joined} in the period, and {left:,} left: {listed(kinds)}."


def _training(figures: Figures, read: date) -> str:
    learning = sum(every for every, _ in figures.apprentices.values())
    if not learning:
        return ""
    new = sum(fresh for _, fresh in figures.apprentices.values())
    are = "member is an apprentice" if learning == 1 else "members are apprentices"
    whom = f"of the {figures.people:,} {'chosen' if figures.statuses else 'on the roll'}"
    begun = "one of these" if new == 1 else f"{new:,} of these" if new else "none of these"
    return (
        f"{learning:,} {are}, {percent(learning / figures.people)} {whom}; {begun} joined in the period. "
        f"Who is an apprentice is told {as_on_record(read)}."
    )


def _kinds(figures: Figures, read: date) -> str:
    largest = max(figures.by_class.items(), key=lambda item: item[1], default=None)
    if largest is None or len(figures.by_class) < 2:
        return ""
    return (
        f"As on record on {day(read)} there are {count(figures.records.counted)} in "
        f"{len(figures.by_class)} classifications; the largest is "
        f"{label(largest[0]).lower()}, with {largest[1]:,} ({percent(largest[1] / figures.records.counted)})."
    )


def _difference(change: int) -> str:
    if change == 0:
        return "as many as"
    return f"{abs(change):,} {'more' if change > 0 else 'fewer'} than"
