"""The pages as people in a browser meet them: signing in, looking, asking, acting; without a line of JavaScript."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.journeys import web_site as site
from tests.servers.ports import wait_until

from steward.installation.container import Steward
from steward.storage import access
from steward.storage.fleet import pauses
from steward.storage.tasks import search
from steward.system.clock import now
from steward.web.access.throttle import MOST_FAILURES
from steward.worker.conditions import MAIL

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
ADA = {"name": "Ada", "email": "ada@example.org"}


@dataclass
class Place:
    steward: Steward
    base: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    steward = site.install(tmp_path_factory.mktemp("pages"))
    with site.serving(steward) as base:
        yield Place(steward, base)


def token_of(page: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


def words_of(page: httpx.Response) -> str:
    """Return what a reader sees of a page."""
    text = re.sub(r"<(style|head)\b.*?</\1>", " ", page.text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


class Person(httpx.Client):
    """A browser with its cookies."""

    def __init__(self, place: Place) -> None:
        super().__init__(base_url=place.base, headers=BROWSER, follow_redirects=True, timeout=30)

    def sign_in(self, token: str, path: str = "/sign-in") -> httpx.Response:
        form = {"form_token": token_of(self.get(path)), "key": token}
        wanted = re.search(r'name="next" value="([^"]*)"', self.get(path).text)
        return self.post("/sign-in", data=form | {"next": html.unescape(wanted[1]) if wanted else ""})


@pytest.fixture
def person(place: Place) -> Iterator[Callable[..., Person]]:
    opened: list[Person] = []

    def enter(name: str, *scopes: str) -> Person:
        browser = Person(place)
        opened.append(browser)
        assert browser.sign_in(site.key(place.steward, name, *scopes)).status_code == 200
        return browser

    yield enter
    for browser in opened:
        browser.close()


@pytest.fixture
def operator(person: Callable[..., Person]) -> Person:
    return person("Olga", "send", "read", "reports", "operate")


@pytest.fixture
def staff(person: Callable[..., Person]) -> Person:
    return person("Sam", "reports")


def test_strangers_are_led_to_the_door_and_back(place: Place) -> None:
    with Person(place) as browser:
        page = browser.get("/?show=waiting&q=a%26b")
        assert page.url.path == "/sign-in"
        key = site.key(place.steward, "Vera", "read")
        form = {"form_token": token_of(page), "key": key, "next": page.url.params["next"]}
        arrived = browser.post("/sign-in", data=form)
        assert arrived.url.path == "/"
        assert arrived.url.params["q"] == "a&b"


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "/\r\nX: y"]
)
def test_signing_in_leads_nowhere_else(place: Place, wanted: str) -> None:
    with Person(place) as browser:
        form = {"form_token": token_of(browser.get("/sign-in")), "next": wanted}
        key = site.key(place.steward, "Vera", "read")
        answer = browser.post("/sign-in", data=form | {"key": key}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_the_cookie_is_closed_to_scripts_and_sites(place: Place) -> None:
    with Person(place) as browser:
        form = {"form_token": token_of(browser.get("/sign-in")), "key": site.key(place.steward, "Vera", "read")}
        answer = browser.post("/sign-in", data=form, follow_redirects=False)
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("steward_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Vera" not in cookie


def test_over_https_cookies_are_secure(tmp_path: Path) -> None:
    public = "https://steward.example.org"
    steward = site.install(tmp_path, base_url=public)
    with site.serving(steward) as base:
        page = httpx.get(f"{base}/sign-in", headers=BROWSER)
        cookie = page.headers["set-cookie"]
        assert cookie.startswith("__Host-steward_form=")
        assert "Secure" in cookie
        assert "max-age" in page.headers["strict-transport-security"]
        form = {"form_token": token_of(page), "key": site.key(steward, "Vera", "read")}
        # The proxy in front ends TLS; a browser names the public address.
        headers = BROWSER | {"Origin": public, "Cookie": cookie.partition(";")[0]}
        arrived = httpx.post(f"{base}/sign-in", data=form, headers=headers)
        assert arrived.status_code == 303
        session = next(c for c in arrived.headers.get_list("set-cookie") if "session" in c)
        assert session.startswith("__Host-steward_session=")
        assert "Secure" in session


def test_an_altered_cookie_is_no_session(operator: Person) -> None:
    value = operator.cookies["steward_session"]
    for altered in (value[:-4] + "AAAA", "", "x", "é", value * 2):
        operator.cookies.clear()
        answer = operator.get("/", headers={"cookie": f"steward_session={altered}".encode()})
        assert answer.url.path == "/sign-in"


def test_a_revoked_key_ends_its_session(place: Place, person: Callable[..., Person]) -> None:
    browser = person("Leaver", "read")
    assert browser.get("/").url.path == "/"
    place.steward.ledger.apply(lambda c: access.revoke_key(c, "Leaver"))
    assert browser.get("/").url.path == "/sign-in"


def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    steward = site.install(tmp_path)
    with site.serving(steward) as base, Person(Place(steward, base)) as browser:
        statuses = []
        for _ in range(MOST_FAILURES + 1):
            answer = browser.sign_in("stw_wrong")
            statuses.append(answer.status_code)
        assert statuses == [422] * MOST_FAILURES + [429]
        assert int(answer.headers["retry-after"]) > 0
        assert "Too many attempts" in words_of(answer)
        # Whoever shares the address with somebody who guesses is not locked out.
        assert browser.sign_in(site.key(steward, "Vera", "read")).status_code == 200


def test_guesses_at_once_are_no_better_than_one_after_another(tmp_path: Path) -> None:
    steward = site.install(tmp_path)
    with site.serving(steward) as base, Person(Place(steward, base)) as browser:
        form = {"form_token": token_of(browser.get("/sign-in"))}

        def guess(n: int) -> int:
            cookies = dict(browser.cookies)
            return httpx.post(
                f"{base}/sign-in", data=form | {"key": f"stw_{n}"}, headers=BROWSER, cookies=cookies
            ).status_code

        with ThreadPoolExecutor(20) as pool:
            statuses = list(pool.map(guess, range(60)))
    assert sorted(statuses) == [422] * MOST_FAILURES + [429] * (60 - MOST_FAILURES)


@pytest.mark.parametrize(
    ("proxies", "counted_together"),
    [("", True), ("127.0.0.0/8", False), ("10.0.0.1", True), ("10.0.0.1, 127.0.0.1", False)],
)
def test_an_address_told_by_a_proxy_is_believed_if_the_proxy_is_trusted(
    tmp_path: Path, proxies: str, counted_together: bool
) -> None:
    steward = site.install(tmp_path, trusted_proxies=proxies)
    with site.serving(steward) as base, Person(Place(steward, base)) as browser:
        for _ in range(MOST_FAILURES):
            # What a client itself writes there stands before what the proxy adds.
            browser.headers["X-Forwarded-For"] = "198.51.100.9, 192.0.2.1"
            assert browser.sign_in("stw_wrong").status_code == 422
        browser.headers["X-Forwarded-For"] = "192.0.2.1, 198.51.100.9"
        assert browser.sign_in("stw_wrong").status_code == (429 if counted_together else 422)


def test_a_link_is_used_by_a_press_and_not_by_a_look(place: Place) -> None:
    token = place.steward.ledger.apply(lambda c: access.create_link(c, "Lena", ["reports"]))
    for _ in range(3):  # mail scanners look
        assert httpx.get(f"{place.base}/sign-in/{token}", headers=BROWSER).status_code == 200
    with Person(place) as browser:
        form = {"form_token": token_of(browser.get(f"/sign-in/{token}"))}
        assert "Lena" in words_of(browser.post(f"/sign-in/{token}", data=form))
    with Person(place) as second:
        assert second.get(f"/sign-in/{token}").status_code == 404
        form = {"form_token": token_of(second.get("/sign-in"))}
        assert second.post(f"/sign-in/{token}", data=form).status_code == 404


def test_who_is_removed_is_shown_the_door(place: Place) -> None:
    token = place.steward.ledger.apply(lambda c: access.create_link(c, "Nora", ["reports"]))
    with Person(place) as browser:
        form = {"form_token": token_of(browser.get(f"/sign-in/{token}"))}
        assert "Nora" in words_of(browser.post(f"/sign-in/{token}", data=form))
        cookie = browser.cookies["steward_session"]
        place.steward.ledger.apply(lambda c: access.remove_user(c, "Nora"))
        assert browser.get("/").url.path == "/sign-in"
        assert browser.post("/sign-out", data={"form_token": "x"}).url.path == "/sign-in"
    # Nor does the cookie that was kept help, when the person is let in anew.
    place.steward.ledger.apply(lambda c: access.create_link(c, "Nora", ["reports"]))
    kept = httpx.get(place.base, headers=BROWSER | {"Cookie": f"steward_session={cookie}"})
    assert kept.headers["location"] == "/sign-in"


def test_a_link_that_is_over_or_altered_is_not_there(place: Place) -> None:
    over = place.steward.ledger.apply(lambda c: access.create_link(c, "Lena", ["reports"], seconds=0))
    good = place.steward.ledger.apply(lambda c: access.create_link(c, "Lena", ["reports"]))
    for token in (over, good[:-1] + ("A" if good[-1] != "A" else "B"), "x"):
        page = httpx.get(f"{place.base}/sign-in/{token}", headers=BROWSER)
        assert page.status_code == 404
        assert "not valid" in words_of(page)


def test_signing_out(staff: Person) -> None:
    assert staff.post("/sign-out", data={"form_token": token_of(staff.get("/"))}).url.path == "/sign-in"
    assert staff.get("/").url.path == "/sign-in"


@pytest.mark.parametrize("form_token", ["", "0" * 64, None])
def test_a_form_without_its_token_does_nothing(place: Place, operator: Person, form_token: str | None) -> None:
    task = site.hand_over(place.steward, "tidy", {}, "Olga")
    data = {} if form_token is None else {"form_token": form_token}
    answer = operator.post(f"/tasks/{task}/cancel", data=data or {"x": "y"})
    assert answer.status_code == 403
    assert "no longer valid" in words_of(answer)
    assert place.steward.service.get_status(task).state == "queued"


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_from_another_site_does_nothing(place: Place, operator: Person, headers: dict[str, str]) -> None:
    task = site.hand_over(place.steward, "tidy", {}, "Olga")
    form = {"form_token": token_of(operator.get(f"/tasks/{task}"))}
    assert operator.post(f"/tasks/{task}/cancel", data=form, headers=headers).status_code == 403
    same = {"Origin": place.base, "Sec-Fetch-Site": "same-origin"}
    assert operator.post(f"/tasks/{task}/cancel", data=form, headers=same).status_code == 200
    assert place.steward.service.get_status(task).state == "cancelled"


def test_anothers_form_token_is_of_no_use(place: Place, operator: Person, staff: Person) -> None:
    task = site.hand_over(place.steward, "tidy", {}, "Olga")
    form = {"form_token": token_of(staff.get("/"))}
    assert operator.post(f"/tasks/{task}/cancel", data=form).status_code == 403


def test_the_list_shows_tasks_in_plain_words(place: Place, operator: Person) -> None:
    task = site.hand_over(place.steward, "welcome_email", ADA | {"email": "list@example.org"}, "portal")
    site.set_task(place.steward, task, state="retrying", due_at=2_208_988_800_000_000)
    words = words_of(operator.get("/?q=list@example.org"))
    assert "Welcome email list@example.org Will be tried again at 1 January 2040, 00:00 UTC" in words
    assert "retrying" not in words
    assert "list@example.org" not in words_of(operator.get("/?show=done"))
    assert "list@example.org" in operator.get("/?show=waiting&name=welcome_email").text
    assert "Nothing matches" in words_of(operator.get("/?q=nobody"))


def test_a_second_recipient_is_found_by_the_address(place: Place, operator: Person) -> None:
    task = site.hand_over(place.steward, "welcome_email", ADA, "portal")
    site.add_delivery(place.steward, task, 2, "second@example.org", "accepted", 250, "ok")
    assert f"/tasks/{task}" in operator.get("/", params={"q": "second@example.org"}).text


def test_the_list_is_paged(place: Place, person: Callable[..., Person]) -> None:
    browser = person("Pat", "reports")
    for _ in range(31):
        site.hand_over(place.steward, "tidy", {}, "Pat")
    first = browser.get("/")
    assert first.text.count('class="what"') == 30
    older = html.unescape(re.findall(r'href="([^"]+)" rel="next"', first.text)[0])
    second = browser.get(older)
    assert second.text.count('class="what"') == 1
    assert "To the newest" in words_of(second)
    assert browser.get("/?cursor=nonsense").status_code == 422


def test_one_sees_only_ones_own(place: Place, staff: Person) -> None:
    theirs = site.hand_over(place.steward, "welcome_email", ADA | {"email": "theirs@example.org"}, "portal")
    assert "theirs@example.org" not in staff.get("/").text
    page = staff.get(f"/tasks/{theirs}")
    assert page.status_code == 404
    assert "There is no task" in words_of(page)
    assert staff.get(f"/tasks/{theirs}/files/1").status_code == 404


def test_one_task_says_what_was_asked_and_what_happened(place: Place, operator: Person) -> None:
    secret = "https://example.org/reset/very-secret"
    task = site.hand_over(place.steward, "password_reset", {"email": "lin@example.org", "link": secret}, "portal")
    site.set_task(place.steward, task, state="failed", error="The mail server refused the address for good.")
    site.add_delivery(place.steward, task, 1, "lin@example.org", "refused", 550, "5.1.1 <b>unknown</b> user")
    page = operator.get(f"/tasks/{task}")
    words = words_of(page)
    assert "Not sent" in words
    assert "Refused by the mail server 550 5.1.1 <b>unknown</b> user" in words
    assert "<b>unknown</b>" not in page.text
    assert "very-secret" not in page.text
    assert "Link ••••••••" in words
    assert "Try again" in words
    assert 'http-equiv="refresh"' not in page.text


def test_the_figures_of_a_note_stand_in_a_table(place: Place, operator: Person) -> None:
    task = site.hand_over(place.steward, "tidy", {}, "portal")
    kept = '{"tasks_deleted": 12, "amount": "1.10", "whole": true, "<b>": "<script>x</script>"}'
    site.set_task(place.steward, task, state="succeeded", note="Tidied.", figures=kept, finished_at=now())
    page = operator.get(f"/tasks/{task}")
    words = words_of(page).partition(" In figures ")[2]
    assert "tasks deleted 12 amount 1.10 whole yes <b> <script>x</script>" in words
    assert "<script>x" not in page.text
    assert '<th scope="row">tasks deleted</th>' in page.text
    assert "In figures" not in operator.get(f"/tasks/{site.hand_over(place.steward, 'tidy', {}, 'portal')}").text


def test_a_task_under_way_shows_progress_and_renews_itself(place: Place, operator: Person) -> None:
    task = site.hand_over(place.steward, "tidy", {}, "Olga")
    site.set_task(place.steward, task, state="running", progress=0.5, progress_text="Page 7 of 14", started_at=1)
    page = operator.get(f"/tasks/{task}")
    assert 'http-equiv="refresh"' in page.text
    assert "Page 7 of 14" in words_of(page)
    assert 'value="0.5"' in page.text


def test_trying_again_is_one_press(place: Place, operator: Person) -> None:
    task = site.hand_over(place.steward, "tidy", {}, "Olga")
    site.set_task(place.steward, task, state="failed", error="It broke.")
    form = {"form_token": token_of(operator.get(f"/tasks/{task}"))}
    page = operator.post(f"/tasks/{task}/retry", data=form)
    assert page.url.path == f"/tasks/{task}"
    assert "Waiting" in words_of(page)
    assert "Olga asked to try again" in words_of(page)
    again = operator.post(f"/tasks/{task}/retry", data=form)
    assert again.status_code == 409
    assert "cannot be tried again" in words_of(again)


def test_staff_stop_and_repeat_their_own_and_nobody_elses(place: Place, staff: Person) -> None:
    own, theirs = (
        site.hand_over(place.steward, "grant_report", {"grant": "DOL-1", "since": "2026-01-01"}, by)
        for by in ("Sam", "Olga")
    )
    form = {"form_token": token_of(staff.get(f"/tasks/{own}"))}
    assert "Cancelled" in words_of(staff.post(f"/tasks/{own}/cancel", data=form))
    site.set_task(place.steward, own, state="failed", error="It broke.")
    assert "Try again" in words_of(staff.get(f"/tasks/{own}"))
    assert "Sam asked to try again" in words_of(staff.post(f"/tasks/{own}/retry", data=form))
    for act in ("cancel", "retry"):
        assert staff.post(f"/tasks/{theirs}/{act}", data=form).status_code == 404
    assert place.steward.service.get_status(theirs).state == "queued"


def test_there_are_no_buttons_that_one_may_not_press(place: Place, person: Callable[..., Person]) -> None:
    reader = person("Rita", "read")
    task = site.hand_over(place.steward, "tidy", {}, "Rita")
    page = reader.get(f"/tasks/{task}")
    assert "Cancel" not in words_of(page)
    assert reader.post(f"/tasks/{task}/cancel", data={"form_token": token_of(page)}).status_code == 403
    refused = reader.get("/outbox")
    assert refused.status_code == 403
    said = words_of(refused)
    assert "You may not see everybody's letters You are signed in as Rita and may see your own tasks." in said
    assert "Ask an operator" in said
    assert "needs the scope" not in said


def test_who_may_see_no_task_is_not_sent_round_in_circles(place: Place) -> None:
    with Person(place) as browser:
        refused = browser.sign_in(site.key(place.steward, "Percy", "send"))
        assert refused.status_code == 403
        said = words_of(refused)
        assert "You may not see tasks and schedules" in said
        assert "To the tasks" not in said
        assert 'href="/ask">To the reports' in refused.text
        assert browser.get("/ask").status_code == 200


def test_a_file_is_downloaded_and_noted(place: Place, staff: Person) -> None:
    task = site.hand_over(place.steward, "grant_report", {"grant": "DOL-1", "since": "2026-01-01"}, "Sam")
    site.add_file(place.steward, task, 1, "grant_report.pdf", b"%PDF-1.7", "application/pdf")
    page = staff.get(f"/tasks/{task}")
    assert "grant_report.pdf" in words_of(page)
    answer = staff.get(f"/tasks/{task}/files/1")
    assert answer.content == b"%PDF-1.7"
    assert "Sam downloaded grant_report.pdf" in words_of(staff.get(f"/tasks/{task}"))
    with place.steward.ledger.read() as connection:
        assert len(search.history(connection, task)) == 1


def test_markup_in_anything_stays_text(place: Place, operator: Person) -> None:
    hostile = '<script>alert(1)</script>"><img src=x onerror=y>{{7*7}}'
    task = site.hand_over(place.steward, "welcome_email", {"name": hostile, "email": "h@example.org"}, hostile[:40])
    site.set_task(place.steward, task, state="failed", error=hostile, note=hostile)
    site.add_delivery(place.steward, task, 1, "h@example.org", "refused", 550, hostile)
    site.add_file(place.steward, task, 1, "x", b"x")
    place.steward.ledger.apply(
        lambda c: c.exec_driver_sql("UPDATE artifacts SET name = ? WHERE task_id = ?", (hostile, task))
    )
    for path in (f"/tasks/{task}", "/?q=h@example.org", f"/?q={hostile}", f"/ask/{hostile[:7]}", f"/nothing{hostile}"):
        page = operator.get(path)
        assert "<script" not in page.text
        assert "<img src=x" not in page.text
    assert "{{7*7}}" in operator.get(f"/tasks/{task}").text


def test_pages_need_no_script_and_have_their_landmarks(place: Place, operator: Person) -> None:
    task = site.hand_over(place.steward, "welcome_email", ADA, "Olga")
    for path in ("/", f"/tasks/{task}", "/ask", "/ask/grant_report", "/plugins", "/nothing"):
        page = operator.get(path)
        assert "<script" not in page.text, path
        assert " style=" not in page.text, path
        assert page.text.count("<h1") == 1, path
        for mark in ('lang="en"', "<main", "<header", "<nav", 'class="skip"', "<title>"):
            assert mark in page.text, (path, mark)
        assert page.text.count("<table") == page.text.count("<caption"), path
        ids = re.findall(r'\bid="([^"]+)"', page.text)
        assert len(ids) == len(set(ids)), path
        for target in re.findall(r'<label for="([^"]+)"', page.text):
            assert target in ids, (path, target)
        assert page.headers["cache-control"] == "no-store"


def test_the_form_is_drawn_from_the_schema(operator: Person) -> None:
    page = operator.get("/ask/grant_report").text
    assert '<option value="NECA-7">Tools &lt;for&gt; all</option>' in page
    assert 'type="date"' in page
    assert '<option value="one_quarter" selected>One quarter</option>' in page
    assert '<textarea id="f-recipients"' in page
    assert 'type="checkbox" name="formats" value="pdf" checked' in page
    assert 'type="checkbox" id="f-roster"' in page
    assert "The grant to report on." in page
    assert "SELECT" not in page


def ask(browser: Person, **changes: object) -> httpx.Response:
    page = browser.get("/ask/grant_report")
    ticket = re.findall(r'name="ticket" value="(\w+)"', page.text)[0]
    form = {"form_token": token_of(page), "ticket": ticket, "grant": "DOL-1", "since": "2026-01-01"}
    return browser.post("/ask/grant_report", data=form | changes)


def test_asking_leads_to_the_task(place: Place, staff: Person) -> None:
    page = ask(
        staff,
        period="one_year",
        recipients="ada@example.org\r\nben@example.org, cleo@example.org",
        formats=["pdf", "csv"],
        roster="true",
        least="12.50",
        words="Line one.\r\nLine two.",
    )
    assert page.url.path.startswith("/tasks/")
    task = place.steward.service.get_status(page.url.path.rpartition("/")[2])
    assert task.requested_by == "Sam"
    assert task.payload == {
        "grant": "DOL-1",
        "since": "2026-01-01",
        "period": "one_year",
        "recipients": ["ada@example.org", "ben@example.org", "cleo@example.org"],
        "least": "12.50",
        "formats": ["pdf", "csv"],
        "roster": True,
        "words": "Line one.\nLine two.",
    }


def test_what_is_wrong_stands_beside_its_field_and_the_rest_is_kept(place: Place, staff: Person) -> None:
    before = len(place.steward.service.find().tasks)
    page = ask(staff, since="", recipients="ada@example.org\nnonsense", least="-1", words="Kept <words>")
    assert page.status_code == 422
    words = words_of(page)
    assert "Please fill this in." in words
    assert "Line 2: This is not an e-mail address." in words
    assert "3 fields need another look" in words
    assert "Kept &lt;words&gt;</textarea>" in page.text
    assert '<option value="DOL-1" selected>' in page.text
    assert 'aria-describedby="e-since"' in page.text
    assert len(place.steward.service.find().tasks) == before


def test_a_figure_that_may_be_nothing_can_be_emptied(place: Place, staff: Person) -> None:
    page = ask(staff, least="")
    assert page.url.path.startswith("/tasks/"), words_of(page)
    assert place.steward.service.get_status(page.url.path.rpartition("/")[2]).payload["least"] is None


def test_what_the_handler_itself_refuses_is_said_above_the_form(staff: Person) -> None:
    page = ask(staff, grant="NONE")
    assert page.status_code == 422
    assert "There is no such grant" in words_of(page)


def test_a_button_pressed_twice_asks_once(staff: Person) -> None:
    page = staff.get("/ask/grant_report")
    form = {"form_token": token_of(page), "grant": "DOL-1", "since": "2026-01-01"}
    form["ticket"] = re.findall(r'name="ticket" value="(\w+)"', page.text)[0]
    first, second = (staff.post("/ask/grant_report", data=form).url for _ in range(2))
    assert first == second
    changed = staff.post("/ask/grant_report", data=form | {"since": "2026-02-01"}).url
    assert changed != first


def test_only_what_is_for_staff_is_asked_for_by_form(operator: Person) -> None:
    assert "Grant report" in words_of(operator.get("/ask"))
    assert "Welcome email" not in words_of(operator.get("/ask"))
    assert operator.get("/ask/welcome_email").status_code == 404
    assert operator.get("/ask/nothing").status_code == 404


def test_a_broken_plugin_is_a_red_card_with_file_and_line(operator: Person) -> None:
    page = operator.get("/plugins")
    card = re.findall(r'<li class="card broken">.*?</li>', page.text, flags=re.DOTALL)
    assert len(card) == 1
    assert "dues_letter.py:3" in card[0]
    assert "Greet a member" in words_of(page)


def test_where_this_machine_keeps_its_plugins_is_shown_to_operators_alone(
    operator: Person, person: Callable[..., Person]
) -> None:
    kept = re.compile(r"/[^ <>]+/dues_letter[.]py")
    assert kept.search(operator.get("/plugins").text)
    theirs = person("Rea", "read").get("/plugins")
    assert theirs.status_code == 200
    assert "dues_letter.py" in theirs.text
    assert not kept.search(theirs.text)
    assert "dues_letter.py:3" not in theirs.text
    assert "operators see why" in theirs.text


def test_the_style_sheet_is_served_and_may_be_kept(place: Place) -> None:
    address = re.findall(r'rel="stylesheet" href="([^"]+)"', httpx.get(f"{place.base}/sign-in", headers=BROWSER).text)[
        0
    ]
    answer = httpx.get(place.base + address)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    for path in ("/static/..%2fpyproject.toml", "/static/nothing.css", "/static/.%2e/layout.html.j2"):
        assert httpx.get(place.base + path).status_code == 404


def test_a_form_too_large_or_of_another_kind_is_refused(staff: Person) -> None:
    staff_token = token_of(staff.get("/"))
    large = staff.post("/ask/grant_report", data={"form_token": staff_token, "words": "x" * 600_000})
    assert large.status_code == 413
    assert staff.post("/ask/grant_report", json={"form_token": staff_token}).status_code == 415
    many = staff.post("/ask/grant_report", data={f"f{i}": "x" for i in range(600)})
    assert many.status_code == 400


def test_an_unforeseen_error_is_told_in_words(place: Place, operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*args: object, **kwargs: object) -> None:
        raise RuntimeError("private details of ada@example.org")

    monkeypatch.setattr(place.steward.service, "get_status", break_down)
    page = operator.get("/tasks/x")
    assert page.status_code == 500
    assert "urn:uuid:" in page.text
    assert "private details" not in page.text
    key = site.key(place.steward, "api", "read")
    answer = httpx.get(f"{place.base}/v1/tasks/x", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"].startswith("urn:uuid:")
    assert "private" not in answer.text


def test_what_stands_in_the_way_is_told_on_every_page_until_it_is_over(
    place: Place, operator: Person, person: Callable[..., Person]
) -> None:
    staff = person("Stella", "reports")
    paths = ("/", "/ask", "/schedules")
    refused = "535 5.7.8 bad credentials for mailer@example.org"
    place.steward.ledger.apply(lambda c: pauses.stop_lane(c, MAIL, refused, now(), now()))
    wait_until(lambda: "Mail stands still" in operator.get("/").text, "the strip shows it")
    for path in paths:
        for who in (operator, staff):
            assert "Mail stands still; letters wait" in words_of(who.get(path)), path
        assert refused in words_of(operator.get(path))
        assert "535" not in words_of(staff.get(path)), "a server's words are for operators"
    assert "dues_letter cannot be used" in words_of(staff.get("/"))
    with Person(place) as stranger:
        assert "stands still" not in stranger.get("/sign-in").text
    place.steward.ledger.apply(lambda c: pauses.start_lane(c, MAIL))
    wait_until(lambda: "Mail stands still" not in operator.get("/").text, "the strip is gone")
