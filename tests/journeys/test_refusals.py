"""What is refused at the door: a flood of resets for one person, and addresses that no mail server can be given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.journeys import web_site as site

from steward.errors import RateLimited
from steward.installation.container import Steward
from steward.installation.settings import load
from steward.storage.database.schema.tables import tasks


@pytest.fixture
def steward(tmp_path: Path) -> Iterator[Steward]:
    made = Steward(load(data_dir=tmp_path / "data", free_space_mb=0))
    yield made
    made.close()


def reset(email: str = "ada@example.org", token: str = "t") -> dict[str, str]:
    return {"name": "Ada", "email": email, "link": f"https://members.example.org/reset/{token}"}


def test_over_http_the_second_is_told_when_to_come_again(steward: Steward) -> None:
    token = site.key(steward, "portal", "send", "read")
    with (
        site.serving(steward) as base,
        httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}) as web,
    ):
        first = web.post("/v1/tasks/password_reset", json=reset(), headers={"Idempotency-Key": "one"})
        assert first.status_code == 202
        for spelled in ("ada@example.org", "ADA@example.org", "Ada@EXAMPLE.org"):
            refused = web.post("/v1/tasks/password_reset", json=reset(spelled, "u"))
            assert refused.status_code == 429
            assert 50 <= int(refused.headers["Retry-After"]) <= 60
            problem = refused.json()
            assert problem["type"].endswith("/problems/rate-limited")
            assert "At most 1 a minute and 5 an hour" in problem["detail"]
            assert "reset/u" not in refused.text
        # A caller that repeats its request for want of an answer is not a flood.
        again = web.post("/v1/tasks/password_reset", json=reset(), headers={"Idempotency-Key": "one"})
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        bulk = web.post("/v1/tasks/password_reset/bulk", json=[reset("bob@example.org"), reset()])
        assert bulk.status_code == 429
        assert web.post("/v1/tasks/password_reset", json=reset("bob@example.org")).status_code == 202
        found = web.get("/v1/tasks", params={"recipient": "ADA@example.org"}).json()["tasks"]
        assert [t["id"] for t in found] == [first.json()["id"]]


def test_inside_an_applications_transaction_too(steward: Steward) -> None:
    with steward.ledger.write() as connection:
        steward.service.enqueue("password_reset", reset(), connection=connection)
        with pytest.raises(RateLimited):
            steward.service.enqueue("password_reset", reset(), connection=connection)
    with pytest.raises(RateLimited):
        steward.service.enqueue("password_reset", reset())
    with steward.ledger.read() as connection:
        assert len(connection.execute(tasks.select()).all()) == 1


def test_an_address_that_no_server_can_be_given_is_refused_at_the_door(steward: Steward) -> None:
    token = site.key(steward, "portal", "send", "read")
    with (
        site.serving(steward) as base,
        httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}) as web,
    ):
        for odd in (
            "",
            "ada",
            "a@x.org, b@y.org",
            "ad\u00e4@example.org",
            "\u7528\u6237@example.org",
            '"a b"@example.org',
        ):
            answer = web.post("/v1/tasks/welcome_email", json={"name": "Ada", "email": odd})
            assert answer.status_code == 422, odd
            assert [e["field"] for e in answer.json()["errors"]] == ["email"]
        fine = web.post("/v1/tasks/welcome_email", json={"name": "Ada", "email": "ada@b\u00fccher.example"})
        assert fine.status_code == 202
