"""The expenses of grants as the application's database holds them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from steward import Source

_WITH_GRANT = "SELECT e.*, g.grant_number FROM expenses e JOIN grants g ON g.id = e.grant_id"


def after(source: Source, position: int, since: date, most: int) -> list[Mapping[str, Any]]:
    """Return the next expenses after the id `position`, in the order of their ids."""
    statement = f"{_WITH_GRANT} WHERE e.id > :position AND e.purchased_at >= :since ORDER BY e.id LIMIT :most"
    return source.all(statement, position=position, since=since, most=most)


def count(source: Source, position: int, since: date) -> int:
    """Return how many there are after the id `position`."""
    statement = "SELECT count(*) FROM expenses WHERE id > :position AND purchased_at >= :since"
    return int(source.value(statement, position=position, since=since))


def of(source: Source, ids: Sequence[int]) -> list[Mapping[str, Any]]:
    """Return those of these ids that are still there."""
    names = {f"id{n}": each for n, each in enumerate(ids)}
    listed = ", ".join(f":{name}" for name in names)
    return source.all(f"{_WITH_GRANT} WHERE e.id IN ({listed}) ORDER BY e.id", **names)
