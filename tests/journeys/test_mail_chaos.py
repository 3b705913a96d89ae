"""Letters through a mail server that fails at random: each arrives, and an extra copy is the same and flagged."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, EmailStr
from tests.journeys.held import retry_held
from tests.journeys.performing import HOUR, Performing
from tests.servers.scripted_smtp import DROP, RESET, Act, ScriptedSmtp, say

from steward import Email, Handler, RetryPolicy, handler

TEMPLATES = Path(__file__).parent / "plugins" / "templates"
LETTERS = 200


class Letter(BaseModel):
    to: list[EmailStr]
    number: int
    words: str = "As agreed."


@handler(example=Letter(to=["ada@example.org"], number=1), retry=RetryPolicy(attempts=100))
def notice(letter: Letter) -> Email:
    """Write a letter to each."""
    return Email(to=letter.to, template="letter", context=letter)


def register() -> list[Handler]:
    return [notice]


FAULTS: dict[str, list[Act]] = {
    "greet": [say("421 4.3.2 busy", drop=True), DROP],
    "ehlo": [DROP],
    "mail": [say("450 4.1.8 later"), say("421 4.7.0 enough", drop=True), DROP, say("nonsense")],
    "rcpt": [say("450 4.2.0 greylisted"), say("452 4.5.3 too many"), DROP, Act(drip=0.001)],
    "data": [say("451 4.3.0 later"), DROP, Act(wait=0.05)],
    "dot": [DROP, RESET, say("451 4.3.0 local error"), say("garbage"), Act(wait=0.05), say("250-half\r\n", drop=True)],
}


def chaos(seed: int) -> dict[str, list[Act | None]]:
    """Return a script with faults at random places; after it the server is well."""
    chance = random.Random(seed)
    return {
        key: [chance.choice(acts) if chance.random() < 0.25 else None for _ in range(120)]
        for key, acts in FAULTS.items()
    }


@pytest.mark.parametrize(("seed", "pipelining"), [(1, True), (2, False)])
def test_each_letter_arrives_and_every_extra_copy_is_the_same_and_flagged(
    tmp_path: Path, seed: int, pipelining: bool
) -> None:
    with (
        ScriptedSmtp(chaos(seed), pipelining=pipelining) as server,
        Performing(tmp_path, server.url(), register=register, templates_dir=TEMPLATES, seconds=(20, 20, 20)) as perform,
    ):
        # A third of the tasks have three recipients.
        payloads: list[dict[str, Any]] = [
            {"to": [f"{n}-{m}@example.org" for m in range(3 if n % 3 == 0 else 1)], "number": n}
            for n in range(LETTERS // 2)
        ]
        ids = perform.service.enqueue_many("notice", payloads)
        for _ in range(60):
            again = perform.later(2 * HOUR)  # the longest delay, and its jitter
            if not again + retry_held(perform.service):
                break
        tasks = [perform.task(i) for i in ids]
        assert {t.state for t in tasks} == {"succeeded"}
        deliveries = {d.to: d for t in tasks for d in t.deliveries}
        assert set(deliveries) == {to for p in payloads for to in p["to"]}
        assert {d.outcome.value for d in deliveries.values()} == {"accepted"}
        got = Counter(t.recipients[0].decode() for t in server.transactions if t.answered[:1] not in "45")
        assert set(got) == set(deliveries), "nobody got nothing"
        copies: dict[str, set[bytes | None]] = {}
        for mail in server.transactions:
            copies.setdefault(mail.recipients[0].decode(), set()).add(mail.message)
        assert {len(each) for each in copies.values()} == {1}, "every copy is the same to the byte"
        for to, count in got.items():
            assert (count > 1) <= deliveries[to].possible_duplicate, to
        assert sum(got.values()) > len(got), "the chaos made some come twice, or it shows nothing"
        assert len({d.message_id for d in deliveries.values()}) == len(deliveries)
        assert not any(wire for t in tasks for wire in perform.wires(t.id))
