"""The expenses of grants as the application's database holds them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from steward import Source

_WITH_GRANT = "SELECT e.*, g.grant_number FROM expenses e JOIN grants g ON g.id = e.grant_id"

# A day that cannot be read must not be passed over in silence: it is refused by name.
_RECENT = (
    "({0}purchased_at >= :since OR {0}purchased_at IS NULL OR CAST({0}purchased_at AS TEXT) NOT LIKE '____-__-__%')"
)


def after(source: Source, position: int, since: date, most: int) -> list[Mapping[str, Any]]:
    """Return the next expenses after the id `position`, in the order of their ids."""
    statement = f"{_WITH_GRANT} WHERE e.id > :position AND {_RECENT.format('e.')} ORDER BY e.id LIMIT :most"
    return source.all(statement, position=position, since=since, most=most)


def count(source: Source, position: int, since: date) -> int:
    """Return how many there are after the id `position`."""
    statement = "SELECT count(*) FROM expenses WHERE id > :position AND " + _RECENT.format("")
    return int(source.value(statement, position=position, since=since))


def of(source: Source, ids: Sequence[int]) -> list[Mapping[str, Any]]:
    """Return those of these ids that are still there."""
    names = {f"id{n}": each for n, each in enumerate(ids)}
    listed = ", ".join(f":{name}" for name in names)
    return source.all(f"{_WITH_GRANT} WHERE e.id IN ({listed}) ORDER BY e.id", **names)
