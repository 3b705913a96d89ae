"""Says in the reader's words where a task stands, and when: pure functions for the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final

from markupsafe import Markup

from steward.model.content import MASK
from steward.model.results import Delivery, Outcome, TaskResult
from steward.model.states import RETRYABLE, TRANSITIONS, State
from steward.system.clock import present


@dataclass(frozen=True, slots=True)
class StateGroup:
    """States that mean the same to a reader."""

    slug: str
    title: str
    states: tuple[State, ...]


GROUPS: Final = (
    StateGroup("waiting", "Waiting", (State.SCHEDULED, State.QUEUED, State.RETRYING)),
    StateGroup("running", "Under way", (State.RUNNING,)),
    StateGroup("attention", "Needs a look", (State.FAILED, State.INTERRUPTED, State.BLOCKED)),
    StateGroup("done", "Done", (State.SUCCEEDED,)),
    StateGroup("stopped", "Stopped", (State.CANCELLED, State.EXPIRED)),
)

TONES: Final[Mapping[str, str]] = {
    State.SCHEDULED: "calm",
    State.QUEUED: "calm",
    State.RUNNING: "busy",
    State.RETRYING: "warn",
    State.SUCCEEDED: "good",
    State.FAILED: "bad",
    State.CANCELLED: "quiet",
    State.EXPIRED: "quiet",
    State.BLOCKED: "warn",
    State.INTERRUPTED: "warn",
}

_WAYS: Final[Mapping[str, frozenset[State]]] = {state.value: ways for state, ways in TRANSITIONS.items()}

OUTCOMES: Final[Mapping[Outcome, tuple[str, str]]] = {
    Outcome.PENDING: ("Not sent yet", "calm"),
    Outcome.ACCEPTED: ("Accepted by the mail server", "good"),
    Outcome.DEFERRED: ("Put off; will be tried again", "warn"),
    Outcome.REFUSED: ("Refused by the mail server", "bad"),
    Outcome.UNCERTAIN: ("Uncertain: the connection broke at the last moment", "warn"),
    Outcome.SUPPRESSED: ("Not sent: this address takes no mail", "quiet"),
    Outcome.UNSENT: ("Not sent; no longer tried", "bad"),
    Outcome.CAPTURED: ("Kept in the outbox, not sent", "good"),
}

_ATTEMPTS: Final = {
    "running": "Under way",
    "succeeded": "Went well",
    "failed": "Failed",
    "retrying": "Did not succeed; put off",
    "stood still": "Put off: mail stood still",
    "turned away": "Put off: the mail server refused us",
    "lost": "Its worker stopped",
    "waiting": "About to begin",
    "sending": "Being sent",
    "unrecorded": "Its end could not be recorded; it was made again",
    "cancelled": "Cancelled",
    "expired": "Its time had passed",
    "interrupted": "Interrupted by a stop",
    "blocked": "Held: its plugin was missing",
    "stopped": "Its worker was stopped; another goes on",
    "refused": "Came too late; another had taken over",
}


SPELLINGS: Final[Mapping[str, str]] = {"pdf": "PDF", "csv": "CSV", "xlsx": "Excel (XLSX)"}


def group_of(slug: str) -> StateGroup | None:
    """Return the group of this slug, or that of a single state's name."""
    for group in GROUPS:
        if group.slug == slug:
            return group
    return StateGroup(slug, slug.capitalize(), (State(slug),)) if slug in set(State) else None


def headline(task: TaskResult, zone: tzinfo = UTC) -> str:
    """Return in a few words where a task stands; times in `zone`."""
    match task.state:
        case State.SCHEDULED:
            return f"Planned for {when(task.due_at, zone=zone)}"
        case State.QUEUED:
            return "Waiting"
        case State.RUNNING:
            return task.progress_text or "Under way"
        case State.RETRYING:
            return f"Will be tried again at {when(task.due_at, zone=zone)}"
        case State.SUCCEEDED:
            return _done(task)
        case State.FAILED:
            return _failed(task)
        case State.CANCELLED:
            return "Cancelled"
        case State.EXPIRED:
            return "Not done: its time had passed"
        case State.BLOCKED:
            return "Held until its plugin is back"
        case State.INTERRUPTED:
            return "Interrupted by a stop"
        case _:  # a row that this version cannot read
            return f"In a state that is not known: {task.state}"


def _done(task: TaskResult) -> str:
    copies, report = task.deliveries, bool(task.artifacts)
    sent = sum(d.outcome is Outcome.ACCEPTED for d in copies)
    if not copies:
        return "Ready" if report else "Done"
    if sent:
        said = "Sent" if sent == len(copies) else f"Sent to {sent} of {len(copies)}"
        return f"Ready and {said.lower()}" if report else said
    if any(d.outcome is Outcome.CAPTURED for d in copies):
        letters = "letter is" if len(copies) == 1 else "letters are"
        return f"Ready; its {letters} kept in the outbox" if report else "Kept in the outbox"
    return "Ready, nothing sent" if report else "Done, nothing sent"


def _failed(task: TaskResult) -> str:
    sent = sum(d.outcome in (Outcome.ACCEPTED, Outcome.CAPTURED) for d in task.deliveries)
    if sent:
        return f"Sent to {sent} of {len(task.deliveries)}"
    return "Not sent" if task.deliveries else "Failed"


def tone(task: TaskResult) -> str:
    """Return how a state is coloured: calm, busy, good, warn, bad or quiet."""
    partly = any(d.outcome not in (Outcome.ACCEPTED, Outcome.CAPTURED) for d in task.deliveries)
    return "warn" if task.state == State.SUCCEEDED and partly else TONES.get(task.state, "bad")


def outcome_words(delivery: Delivery) -> tuple[str, str]:
    """Return what became of one copy, and its tone."""
    return OUTCOMES[delivery.outcome]


def reply_words(delivery: Delivery) -> str:
    """Return what the mail server said of one copy; of a captured one, that no server was asked."""
    if delivery.outcome is Outcome.CAPTURED:
        return "No mail server was asked: outside production letters stay on this machine"
    return " ".join(str(part) for part in (delivery.code, delivery.reply) if part) or "–"


def whom(task: TaskResult) -> str:
    """Return for whom a task is: who was written to, or before that the address in the payload."""
    to = [d.to for d in task.deliveries]
    if not to:
        names = ("email", "to", "recipient", "recipients")
        given: Any = next((task.payload[name] for name in names if task.payload.get(name)), [])
        to = [str(g) for g in (given if isinstance(given, list) else [given])]
    if not to:
        return ""
    return to[0] if len(to) == 1 else f"{to[0]} and {len(to) - 1} more"


def attempt_words(outcome: str) -> str:
    """Return how an attempt ended."""
    return _ATTEMPTS.get(outcome, outcome.capitalize())


def may_cancel(task: TaskResult) -> bool:
    """Whether a person could cancel the task."""
    return State.CANCELLED in _WAYS.get(task.state, frozenset())


def may_retry(task: TaskResult) -> bool:
    """Whether a person could have the task tried again."""
    over = task.expires_at is not None and task.expires_at <= present()
    return task.state in RETRYABLE and not over


def when(moment: datetime | None, now: datetime | None = None, *, zone: tzinfo = UTC) -> str:
    """Return a time as one would say it in `zone`: `14:05 UTC` today, else `3 March, 14:05 UTC`, then with the year.

    The zone's own abbreviation stands with each: on the night when summer time ends, 02:30 is twice.
    """
    if moment is None:
        return "–"
    moment, now = moment.astimezone(zone), (now or present()).astimezone(zone)
    clock = f"{moment:%H:%M %Z}"
    if moment.date() == now.date():
        return clock
    day = f"{moment.day} {moment:%B}" + ("" if moment.year == now.year else f" {moment.year}")
    return f"{day}, {clock}"


def period(about: str, days: tuple[date, date] | None) -> str:
    """Return what a report made again and again is about, with the `days` of the next one if they are known."""
    said = about[:1].upper() + about[1:]
    if days is None:
        return said
    first, last = (f"{day.day} {day:%B %Y}" for day in days)
    return f"{said}; next: {first}" if first == last else f"{said}; next: {first} to {last}"


def time_tag(moment: datetime | None, zone: tzinfo = UTC) -> Markup:
    """Return a `<time>` element with the moment for programs, and in words for people, in `zone`."""
    if moment is None:
        return Markup("–")
    exact = moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(exact, when(moment, zone=zone))


def span(started: datetime | None, finished: datetime | None) -> str:
    """Return how long something took: `0.4 s`, `12 s`, `3 min 20 s`."""
    if started is None or finished is None:
        return "–"
    took = max(finished - started, timedelta())
    seconds = took.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def file_size(size: int) -> str:
    """Return a size in bytes as one would say it: `812 bytes`, `14 KB`, `2.3 MB`."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1000:.0f} KB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def asked(payload: Mapping[str, Any], schema: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return what was asked as pairs of label and text; labels from the schema's titles, secrets as dots."""
    properties = (schema or {}).get("properties", {})
    pairs = []
    for name, value in payload.items():
        spec = properties.get(name, {})
        reference = str(spec.get("$ref", "")).rpartition("/")[2]
        resolved = (schema or {}).get("$defs", {}).get(reference, {}) | spec
        chosen = "enum" in resolved and isinstance(value, str)
        pairs.append((spec.get("title") or label(name), label(value) if chosen else plain(value)))
    return pairs


def label(name: str) -> str:
    """Return a field's name or a choice as words: `member_number` is `Member number`, `xlsx` is `Excel (XLSX)`."""
    return SPELLINGS.get(name) or name.replace("_", " ").strip().capitalize()


def plain(value: Any) -> str:
    """Return any JSON value as text for people."""
    if isinstance(value, dict):
        if value.keys() == {"$secret"}:
            return MASK
        return "\n".join(f"{label(str(key))}: {plain(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        return "\n".join(plain(item) for item in value) or "–"
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return str(value)
