"""What a person does about letters of which nobody knows whether they arrived."""

from __future__ import annotations

from steward.model.service import Query, TaskService


def retry_held(service: TaskService) -> int:
    """Try again what waits for a person, as that person, and return how many tasks it was.

    A letter is held once it has ended uncertain three times; which letter meets that is chance in a test of faults.
    """
    held = service.find(Query(states=["failed"], limit=500)).tasks
    for each in held:
        assert "It is not known whether" in (each.error or ""), each.error
        service.retry(each.id, by="ada")
    return len(held)
