"""A secret is nowhere to be read: not in the store, in no form, not in a log, a page, an error or a figure."""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa
from tests.journeys import web_site as site
from tests.journeys.installation import Installation
from tests.servers.ports import wait_until
from tests.servers.scripted_smtp import ScriptedSmtp, say
from tests.servers.stores import contents

from steward.model.content import MASK, mask
from steward.storage.database.schema.tables import deliveries, lanes, tasks
from steward.storage.maintenance import retention
from steward.system.clock import SECOND, now

LEAKY = Path(__file__).parent / "leaky"
NAME = "Xanthippe Zwinglistein-Quux"
ADDRESS = "xanthippe.quux@example.org"


def forms(text: str) -> set[bytes]:
    """Return how `text` may stand in a file: plain, in hex, percent-encoded, reversed, and in base64 at any offset."""
    octets = text.encode()
    found = {
        octets,
        octets[::-1],
        octets.hex().encode(),
        quote(text, safe="").encode(),
        "".join(text).encode("utf-16-le"),
    }
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + octets)
        # What stands beside the text changes the first and last characters: the middle is what to look for.
        found |= {encoded[4:-4], base64.urlsafe_b64encode(b"\0" * before + octets)[4:-4]}
    return found


def unpacked(content: bytes) -> Iterator[bytes]:
    """Yield `content`, and whatever in it can be decompressed (zlib, gzip), however deep."""
    yield content
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", content):
        try:
            inner = zlib.decompressobj(wbits=47).decompress(content[match.start() :], 10_000_000)
        except zlib.error:
            continue
        if len(inner) > 8:
            yield from unpacked(inner)


def told(where: dict[str, bytes], what: str) -> list[str]:
    """Return the places that tell `what`."""
    return [
        f"{place}: {form[:20]!r}"
        for place, content in where.items()
        for form in forms(what)
        if any(form in each for each in unpacked(content))
    ]


def test_the_search_finds_what_it_should() -> None:
    token = secrets.token_urlsafe(32)
    hidden = {
        "plain": token.encode(),
        "base64": base64.b64encode(b'{"x": "' + token.encode() + b'"}'),
        "zlib": b"noise" + zlib.compress(b'{"x": "' + token.encode() + b'"}') + b"noise",
        "both": zlib.compress(base64.b64encode(b"ab" + token.encode() + b"cd")),
        "utf-16": token.encode("utf-16-le"),
        "free of it": b"nothing" * 100,
    }
    assert {t.partition(":")[0] for t in told(hidden, token)} == set(hidden) - {"free of it"}


@dataclass
class Place:
    installation: Installation
    web: httpx.Client
    server: ScriptedSmtp

    def files(self) -> dict[str, bytes]:
        """Every file of the installation: the store with its WAL, the archive, the spool, the logs."""
        folder = self.installation.folder
        return {str(p.relative_to(folder)): contents(p) for p in folder.rglob("*") if p.is_file()}

    def pages(self, *ids: str) -> dict[str, bytes]:
        """Every page and answer that tells of tasks."""
        places = [
            "/",
            "/schedules",
            "/v1/tasks",
            "/plugins",
            "/metrics",
            "/readyz",
            "/openapi.json",
            "/v1/plugins",
        ]
        for i in ids:
            places += [f"/tasks/{i}", f"/v1/tasks/{i}"]
        found = {}
        for each in places:
            answer = self.web.get(each)
            assert answer.status_code == 200, each
            assert answer.url.path == each, "signed in"
            found[each] = answer.content
        return found

    def everything(self, *ids: str) -> dict[str, bytes]:
        return self.files() | self.pages(*ids)

    def sealed(self, task_id: str) -> list[bytes | None]:
        """What is kept encrypted for a task: its secrets, and its messages."""
        with self.installation.steward.ledger.read() as connection:
            own = connection.scalar(sa.select(tasks.c.sealed).where(tasks.c.id == task_id))
            wires = connection.scalars(sa.select(deliveries.c.wire).where(deliveries.c.task_id == task_id))
            return [own, *wires]

    def wait(self, task_id: str, *states: str) -> None:
        wait_until(lambda: self.installation.task(task_id).state in states, f"the task is {' or '.join(states)}", 40)


@contextlib.contextmanager
def opened(folder: Path, server: ScriptedSmtp, smtp_url: str) -> Iterator[Place]:
    """Run an installation that sends to `server`, and sign in as an operator."""
    settings = {"smtp_url": smtp_url, "log_level": "debug", "retry_delays": (1.0,)}
    with Installation(folder, plugins=LEAKY, **settings) as installation:
        installation.up()
        token = site.key(installation.steward, "operator", "send", "read", "reports", "operate")
        with httpx.Client(
            base_url=installation.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            follow_redirects=True,
        ) as web:
            form = re.search(r'name="form_token" value="([^"]+)"', web.get("/sign-in").text)
            assert form is not None
            web.post("/sign-in", data={"form_token": form[1], "key": token})
            yield Place(installation, web, server)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with (
        ScriptedSmtp() as server,
        opened(tmp_path_factory.mktemp("secrets") / "one", server, server.url()) as place,
    ):
        yield place


def test_a_reset_link_is_nowhere_to_be_read_while_it_waits_when_it_is_refused_and_when_it_is_over(place: Place) -> None:
    token = secrets.token_urlsafe(40)
    name = "Theodora Quiddelbacher"  # private, as the plugin says: kept like the link
    payload = {"name": name, "email": ADDRESS, "link": f"https://members.example.org/reset/{token}?m=1"}
    # The server quotes the link in its refusal at the dot, as spam filters do.
    place.server.follow({"dot": say(f"451 4.7.1 suspicious link https://members.example.org/reset/{token} in message")})
    answer = place.web.post("/v1/tasks/password_reset", json=payload, headers={"Idempotency-Key": "reset-1"})
    assert answer.status_code == 202
    assert token not in answer.text
    task_id = answer.json()["id"]
    place.wait(task_id, "retrying")
    assert all(place.sealed(task_id)), "there is something to hide"
    task = place.installation.task(task_id)
    assert MASK in (task.error or "")
    assert not told(place.everything(task_id), token)
    assert not told(place.everything(task_id), name)
    # One that is still to come, and one that is refused at the door.
    later = place.web.post(
        "/v1/tasks/password_reset",
        params={"run_at": "2099-01-01T00:00:00Z"},
        json={**payload, "email": "b@example.org"},
    )
    assert later.status_code == 202
    wrong = place.web.post("/v1/tasks/password_reset", json={**payload, "link": f"http://{token}", "nam": token[:5]})
    assert wrong.status_code == 422
    assert not told(place.files(), name)
    assert not told({"the refusal": wrong.content} | place.everything(later.json()["id"]), token)
    place.server.follow({})
    place.wait(task_id, "succeeded")
    assert token in place.server.accepted[-1].message.decode().replace("=\r\n", "")  # type: ignore[union-attr]
    assert place.sealed(task_id) == [None, None], "what is over keeps nothing"
    assert place.web.post(f"/v1/tasks/{later.json()['id']}/cancel").status_code == 200
    assert place.sealed(later.json()["id"]) == [None]
    for what in (token, name):
        assert not told(place.everything(task_id, later.json()["id"]), what)


@pytest.mark.parametrize("way", ["raise", "reject", "note", "subject"])
def test_a_handler_that_tells_its_secret_is_not_repeated(place: Place, way: str) -> None:
    token = secrets.token_urlsafe(40)
    payload = {"email": ADDRESS, "link": f"https://members.example.org/reset/{token}", "way": way}
    task_id = place.web.post("/v1/tasks/leak", json=payload).json()["id"]
    place.wait(task_id, "failed", "succeeded")
    task = place.installation.task(task_id)
    said = f"{task.error} {task.note} {[d.subject for d in task.deliveries]}"
    assert MASK in said
    assert not told(place.everything(task_id), token)


def test_what_failed_for_good_is_erased_within_a_quarter_of_an_hour(place: Place) -> None:
    payload = {"email": ADDRESS, "link": "https://members.example.org/" + secrets.token_urlsafe(30), "way": "raise"}
    task_id = place.web.post("/v1/tasks/leak", json=payload).json()["id"]
    place.wait(task_id, "failed")
    assert place.sealed(task_id)[0] is not None, "it can be tried again for a while"
    ledger = place.installation.steward.ledger
    ended = place.installation.task(task_id).finished_at
    assert ended is not None
    moment = int(ended.timestamp() * SECOND) + 14 * 60 * SECOND
    ledger.apply(lambda c: retention.erase_secrets(c, moment))
    assert place.sealed(task_id) == [None]
    refused = place.web.post(f"/v1/tasks/{task_id}/retry")
    assert refused.status_code == 409
    assert "secret has been erased" in refused.json()["detail"]


def test_nobody_is_named_in_logs_and_figures(place: Place) -> None:
    payload = {"name": NAME, "email": ADDRESS}
    place.server.follow({"rcpt": say(f"450 4.2.0 <{ADDRESS}>: Recipient address rejected: greylisted")})
    task_id = place.web.post("/v1/tasks/welcome_email", json=payload).json()["id"]
    place.wait(task_id, "retrying")
    place.server.follow({"rcpt": [say(f"554 5.7.1 <{ADDRESS}>: Relay access denied")]})
    wait_until(lambda: "stands still" in place.web.get("/readyz").text, "the lane stops", 20)
    logs = {name: content for name, content in place.files().items() if name.endswith(".log")}
    assert any(b"mail stands still" in content for content in logs.values())
    figures = place.pages()
    public = {each: figures[each] for each in ("/metrics", "/readyz")}
    for personal in (NAME, ADDRESS):
        assert not told(logs | public, personal)


def test_what_a_mail_server_repeats_of_our_sign_in_is_nowhere_to_be_read(tmp_path: Path) -> None:
    password = "Zebra/7+quagga~Okapi"
    proof = base64.b64encode(f"\0office\0{password}".encode()).decode()
    alone = base64.b64encode(password.encode()).decode()
    echo = f"you said AUTH PLAIN {proof}; {proof} holds {password}, which is {alone} and {quote(password, safe='')}"
    with ScriptedSmtp({"auth": say(f"535 5.7.8 {echo}")}, users={"office": password}) as server:
        url = server.url(user="office", password=quote(password, safe=""))
        with opened(tmp_path / "one", server, url) as place:
            answer = place.web.post("/v1/tasks/welcome_email", json={"name": "Ada", "email": ADDRESS})
            task_id = answer.json()["id"]
            wait_until(lambda: "stands still" in place.web.get("/readyz").text, "mail stands still", 30)

            def seen() -> dict[str, bytes]:
                anybody = httpx.get(f"{place.installation.url}/readyz").content
                return place.everything(task_id) | {"/readyz for anybody": anybody}

            found = seen() | {"check": place.installation.run("check").stdout.encode()}
            assert b"5.7.8 you said AUTH PLAIN ***" in found["/readyz"], "operators see the rest of the words"
            assert b"535" not in found["/readyz for anybody"]
            assert any(b"you said AUTH PLAIN ***" in found[each] for each in found if each.endswith(".log"))
            for what in (password, proof):
                assert not told(found, what)
            for key, code in (("rcpt", "451 4.7.0"), ("dot", "250 2.0.0")):
                server.follow({key: say(f"{code} {echo}")})
                place.installation.steward.ledger.apply(lambda c: c.execute(lanes.update().values(try_at=now())))
                place.wait(task_id, "succeeded" if key == "dot" else "retrying")
                wait_until(
                    lambda code=code: (
                        place.web.get(f"/v1/tasks/{task_id}").json()["deliveries"][0]["code"] == int(code[:3])
                    ),
                    "its reply is recorded",
                    20,
                )
                found = seen()
                assert key == "dot" or b"you said AUTH PLAIN ***" in found[f"/v1/tasks/{task_id}"]
                for what in (password, proof):
                    assert not told(found, what)


@pytest.mark.parametrize(
    ("text", "hidden", "shown"),
    [
        ("see https://x.org/r/AAAABBBBCCCCDDDD now", ["https://x.org/r/AAAABBBBCCCCDDDD"], f"see {MASK} now"),
        ("see /r/AAAABBBBCCCCDDDD now", ["https://x.org/r/AAAABBBBCCCCDDDD"], f"see /r/{MASK} now"),
        (
            "https is fine, members too",
            ["https://members.example.org/r/AAAABBBBCCCCDDDD"],
            "https is fine, members too",
        ),
        ("pin 1234", ["1234"], f"pin {MASK}"),
        ("Ada and Adabert", ["Ada"], f"{MASK} and Adabert"),
        ("a banana", [""], "a banana"),
        ("nothing", [], "nothing"),
    ],
)
def test_a_secret_is_masked_and_so_is_a_long_part_of_it(text: str, hidden: list[str], shown: str) -> None:
    assert mask(text, hidden) == shown
