"""The membership summary: its figures against SQL of our own, its words, its pages, its spreadsheets, its letter."""

from __future__ import annotations

import csv
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pypdf
import pytest
import sqlalchemy as sa

from steward import Calendar, Report, Source, TaskResult
from steward.cli import sample
from steward.errors import InvalidRequest
from steward.installation import settings
from steward.worker.dry_run import DryRun, trial

START, END = "2026-07-01", "2026-09-30"
WISH = {
    "start": START,
    "end": END,
    "prepared_by": "Katherine {{7*7}} <b>Johnson</b>",
    "recipients": ["board@example.org", "office@example.org"],
    "formats": ["pdf", "csv", "xlsx"],
}
ON_ROLL = "status IN ('active', 'suspended')"
GONE = "status IN ('retired', 'inactive', 'deceased')"
SECTIONS = [
    "Summary",
    "Status and classification",
    "Apprentices by year",
    "Joined and left",
    "Age and town",
    "Roster",
    "Statement of the figures",
]


@dataclass(frozen=True)
class Made:
    """One summary, made once for all the tests that read it."""

    trial: DryRun
    task: TaskResult
    text: str
    pdf: Path
    database: sqlite3.Connection

    def count(self, condition: str = "1") -> int:
        """How many members meet the condition, the deleted set aside."""
        statement = f"SELECT COUNT(*) FROM members WHERE deleted_at IS NULL AND ({condition})"
        return int(self.database.execute(statement).fetchone()[0])

    def table(self, name: str) -> list[list[str]]:
        """The rows of a CSV, heading aside."""
        (path,) = (path for file, path in self.trial.files(self.task).items() if file.endswith(f"-{name}.csv"))
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))[1:]


def words_of(pdf: Path) -> str:
    return subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True).stdout


def says(text: str, *figures: Any) -> bool:
    """Return whether a line of the text holds the figures side by side, as a table's row does."""
    written = [f"{each:,}" if isinstance(each, int) else re.escape(each) for each in figures]
    return re.search(r"^\s*" + r"\s+".join(written) + r"(\s|$)", text, re.MULTILINE) is not None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryRun]:
    folder = tmp_path_factory.mktemp("membership")
    sample.make(folder / "members.sqlite3")
    chosen = settings.load(
        data_dir=folder / "data",
        source_url=f"sqlite:///{folder / 'members.sqlite3'}",
        organization="Local 214",
        render_seconds=300,
        free_space_mb=0,
    )
    with trial(chosen) as made:
        yield made


@pytest.fixture(scope="module")
def database(place: DryRun) -> Iterator[sqlite3.Connection]:
    path = str(place.steward.settings.source_url).removeprefix("sqlite:///")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    yield connection
    connection.close()


def make(place: DryRun, database: sqlite3.Connection, wish: dict[str, Any]) -> Made:
    task = place.service.get_status(place.service.enqueue("membership_summary", wish))
    assert task.state == "succeeded", task.error
    (pdf,) = (path for name, path in place.files(task).items() if name.endswith(".pdf"))
    return Made(place, task, words_of(pdf), pdf, database)


@pytest.fixture(scope="module")
def made(place: DryRun, database: sqlite3.Connection) -> Made:
    return make(place, database, WISH)


@pytest.fixture(scope="module")
def rostered(place: DryRun, database: sqlite3.Connection) -> Made:
    wish = {
        "start": START,
        "end": END,
        "statuses": ["suspended", "deceased"],
        "roster": True,
        "formats": ["pdf", "csv"],
    }
    return make(place, database, wish)


def wished(place: DryRun, source: Source, **fields: Any) -> Report:
    """Return the report that the handler asks for, its rows not yet read."""
    handler = place.steward.registry.get("membership_summary")
    payload = handler.payload.model_validate({"start": START, "end": END, **fields})
    (report,) = handler(payload, source, place.steward.settings.calendar)
    return report


def test_counts_by_status_and_classification_are_those_of_the_records(made: Made) -> None:
    whole = made.count()
    statuses = dict(
        made.database.execute(
            "SELECT status, COUNT(*) FROM members WHERE deleted_at IS NULL GROUP BY status"
        ).fetchall()
    )
    for status, count in statuses.items():
        assert says(made.text, status.capitalize(), count, f"{count / whole * 100:.1f} %"), status
    assert says(made.text, "Total", whole, "100.0 %")
    order = ["active", "suspended", "inactive", "retired", "deceased"]
    for name, label in [*((f"apprentice_{n}", f"Apprentice, year {n}") for n in range(1, 6)), ("foreman", "Foreman")]:
        row = [made.count(f"classification = '{name}' AND status = '{status}'") for status in order]
        assert says(made.text, label, *row, sum(row)), name
    assert f"{whole:,} in all" in made.text
    assert whole == 4_000 - made.database.execute("SELECT COUNT(deleted_at) FROM members").fetchone()[0]


def test_joined_and_left_are_those_of_the_records_month_by_month(made: Made) -> None:
    for month, last in (("July", "2026-07-31"), ("August", "2026-08-31"), ("September", "2026-09-30")):
        first = f"{last[:8]}01"
        joined = made.count(f"hire_date BETWEEN '{first}' AND '{last}'")
        left = [
            made.count(f"status = '{status}' AND status_changed_on BETWEEN '{first}' AND '{last}'")
            for status in ("retired", "inactive", "deceased")
        ]
        assert says(made.text, f"{month} 2026", joined, sum(left), *left, f"{joined - sum(left)}"), month
    joined = made.count(f"hire_date BETWEEN '{START}' AND '{END}'")
    left = made.count(f"{GONE} AND status_changed_on BETWEEN '{START}' AND '{END}'")
    at_end = made.count(ON_ROLL)
    assert f"{joined} joined in the period, and {left} left" in made.text
    assert says(made.text, "Before 1 July 2026", at_end - joined + left)
    assert says(made.text, "After 30 September 2026", at_end)
    more = joined - left
    assert f"the roll held {at_end:,} members, active or suspended: {more} more than on 30 June 2026." in made.text


def test_apprentices_are_those_on_the_roll(made: Made) -> None:
    for year in range(1, 6):
        every = made.count(f"{ON_ROLL} AND classification = 'apprentice_{year}'")
        new = made.count(f"{ON_ROLL} AND classification = 'apprentice_{year}' AND hire_date >= '{START}'")
        assert next(row for row in made.table("apprentices") if row[0] == f"Year {year}")[1::2] == [
            str(every),
            str(new),
        ]
        assert re.search(rf"Year {year}\s+{every}\s+\d+\.\d %\s+{new}\b", made.text)


def test_the_roll_of_earlier_years_counts_who_had_joined_and_not_yet_left(made: Made) -> None:
    rows = made.table("roll")
    assert [row[0] for row in rows] == [f"{year}-09-30" for year in range(2017, 2027)]
    for day, count in rows:
        was = f"(hire_date IS NULL OR hire_date <= '{day}') AND ({ON_ROLL} OR status_changed_on > '{day}')"
        assert made.count(was) == int(count)


def test_nobody_can_be_picked_out_by_age_or_town(made: Made) -> None:
    ages, towns = made.table("ages"), made.table("towns")
    for rows in (ages, towns):
        assert all(int(row[1]) >= 5 for row in rows)
        assert sum(int(row[1]) for row in rows[:-1]) == int(rows[-1][1])
    # Four people on the roll are 65 or older: their line is joined to the one before.
    old = made.count(f"{ON_ROLL} AND date(date_of_birth, '+65 years') <= '{END}'")
    assert 0 < old < 5
    assert ages[-2][0] == "55 and older"
    assert "65 and older" not in made.text
    assert int(ages[-2][1]) == made.count(f"{ON_ROLL} AND date(date_of_birth, '+55 years') <= '{END}'")
    assert int(towns[0][1]) == made.count(f"{ON_ROLL} AND city = 'Portland'")
    assert re.fullmatch(r"\d+ other towns", towns[-2][0])
    assert int(towns[-1][1]) == made.count(ON_ROLL)


def test_charts_say_what_the_tables_show(made: Made) -> None:
    spoken = alternatives(pypdf.PdfReader(made.pdf).trailer["/Root"]["/StructTreeRoot"])
    titles = {"Members by status", "Apprentices by year", "Joined and left", "Members by age on 30 September 2026"}
    assert titles <= {str(text).partition("\n")[0].strip() for text in spoken}
    for row in made.table("ages")[:-1]:
        assert f"{int(row[1]):,} ({float(row[2]) * 100:.1f} %)" in re.sub(r"\s+", " ", made.text)


def alternatives(node: Any) -> list[str]:
    """Return the alternative texts in a PDF's tree of structure."""
    node = node.get_object()
    if isinstance(node, list):
        return [text for each in node for text in alternatives(each)]
    if not isinstance(node, dict):
        return []
    own = [str(node["/Alt"])] if "/Alt" in node else []
    return own + (alternatives(node["/K"]) if "/K" in node else [])


def test_pages_have_numbers_bookmarks_and_tags(rostered: Made) -> None:
    document = pypdf.PdfReader(rostered.pdf)
    texts = [page.extract_text() for page in document.pages]
    assert all(f"Page {n} of {len(texts)}" in text for n, text in enumerate(texts, 1))
    outline = document.outline
    assert outline[0]["/Title"] == "Membership summary"
    titles = [item["/Title"] for item in outline[1] if not isinstance(item, list)]
    learning = rostered.count("status = 'suspended' AND classification LIKE 'apprentice%'")
    assert titles == ["Contents", *(s for s in SECTIONS if learning or s != "Apprentices by year")]
    assert document.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert document.trailer["/Root"]["/Lang"] == "en"


def test_the_roster_has_everybody_asked_for_by_name_under_a_repeated_heading(rostered: Made) -> None:
    rows = rostered.table("roster")
    found = rostered.database.execute(
        "SELECT member_number, hire_date, status, city FROM members WHERE deleted_at IS NULL"
        " AND status IN ('suspended', 'deceased')"
    ).fetchall()
    assert sorted((row[1], row[4], row[3].lower(), row[5].partition(",")[0]) for row in rows) == sorted(
        (number, joined or "", status, city) for number, joined, status, city in found
    )
    printed = rostered.text[rostered.text.rindex("members by name") :]
    at = [printed.index(row[1]) for row in rows]
    assert at == sorted(at)
    document = pypdf.PdfReader(rostered.pdf)
    pages = [text for page in document.pages if "IB-" in (text := page.extract_text())]
    assert len(pages) > 1
    assert all(re.search(r"Name\s+Number\s+Classification\s+Status\s+Joined\s+Town", text) for text in pages)
    assert "which is personal data" in rostered.text


def test_a_filter_is_said_wherever_it_matters(rostered: Made) -> None:
    text = re.sub(r"\s+", " ", rostered.text)
    assert "1 July to 30 September 2026, members with the status suspended and deceased" in text
    assert "Filter status suspended and deceased" in text
    count = rostered.count("status IN ('suspended', 'deceased')")
    assert f"{count} members have the status suspended or deceased, of all who had joined by 30 September 2026." in text
    assert "How the roll changed" not in text
    assert f"{rostered.count() - count:,} of another status" in text


def test_names_are_in_the_order_in_which_a_reader_looks_them_up(place: DryRun) -> None:
    report = wished(place, place.steward.source, roster=True, formats=["csv"])
    (roster,) = (table for table in report.tables if table.name == "roster")
    assert not isinstance(roster.rows, (list, tuple))  # read when it is written
    names = [row[0] for row in roster.rows]
    assert len(names) > 3_900
    order = [
        names.index(next(n for n in names if n.startswith(f"{last}, "))) for last in ("Adams", "Åkesson", "Álvarez")
    ]
    assert order == sorted(order)
    assert names.index(next(n for n in names if n.startswith("Ødegaard"))) < names.index(
        next(n for n in names if n.startswith("Parker"))
    )
    assert names[-1].startswith("Z")


def test_the_words_of_a_quiet_day(place: DryRun) -> None:
    quiet = wished(place, place.steward.source, start="2026-09-27", end="2026-09-27")  # a Sunday
    assert quiet.context["summary"][1] == "Nobody joined in the period, and nobody left."
    assert quiet.context["summary"][0].endswith("active or suspended: as many as on 26 September 2026.")
    assert quiet.context["period"] == "27 September 2026"
    assert [(row[0], row[1]) for row in table(quiet, "movements")] == [("September 2026", 0)]


def test_the_words_of_long_periods(place: DryRun) -> None:
    years = wished(place, place.steward.source, start="2021-01-01", end="2026-09-30")
    assert years.context["period"] == "1 January 2021 to 30 September 2026"
    assert [row[0] for row in table(years, "movements")] == ["2021", "2022", "2023", "2024", "2025", "Jan to Sep 2026"]
    quarters = wished(place, place.steward.source, start="2025-02-10", end="2026-09-30")
    spans = [row[0] for row in table(quarters, "movements")]
    assert spans[:2] == ["Feb to Mar 2025", "Apr to Jun 2025"] and len(spans) == 7
    decades = wished(place, place.steward.source, start="1971-01-01", end="2026-09-30")
    assert [row[0] for row in table(decades, "movements")][:2] == ["1971 to 1979", "1980 to 1989"]
    assert "joined" in decades.context["charts"]["movements"].say


def table(report: Report, name: str) -> list[Any]:
    (found,) = (each for each in report.tables if each.name == name)
    return list(found.rows)


def test_the_balance_always_holds(place: DryRun) -> None:
    for days in (1, 31, 365, 3650, 18_000):
        start = date.fromisoformat(END) - timedelta(days=days)
        figures = wished(place, place.steward.source, start=start).context["figures"]
        assert figures.at_start + figures.joined - sum(figures.left.values()) == figures.at_end


def test_it_is_kept_and_sent_and_safe(made: Made) -> None:
    names = set(made.trial.files(made.task))
    stem = f"membership-summary-{START}-{END}"
    assert {f"{stem}.pdf", f"{stem}-statuses.csv", f"{stem}.xlsx"} <= names
    assert not any("roster" in name for name in names)
    assert [delivery.outcome.value for delivery in made.task.deliveries] == ["captured", "captured"]
    (letter,) = (letter for letter in made.trial.messages() if letter.to == "board@example.org")
    assert letter.subject == "Membership summary, 1 July to 30 September 2026"
    assert f"On the roll at the end: {made.count(ON_ROLL):,}" in letter.text
    assert "Katherine {{7*7}} <b>Johnson</b>" in letter.text
    attached = {file.name: file.content for file in letter.attachments}
    assert attached[f"{stem}.pdf"] == made.pdf.read_bytes()
    assert "Katherine {{7*7}} <b>Johnson</b>" in made.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"end": "2026-06-30"}, "the last day must not lie before the first, 2026-07-01"),
        ({"archive": False}, "keep the summary here, or name somebody to send it to"),
        ({"formats": []}, "formats"),
        ({"recipients": ["board@example.org, office@example.org"]}, "recipients"),
        ({"statuses": ["retried"]}, "statuses"),
        ({"start": "1950-01-01", "end": "1960-12-31"}, "Nothing is known of 1 January 1950 to 31 December 1960"),
        ({"start": "2099-01-01", "end": "2099-03-31"}, "Nothing is known yet of 1 January to 31 March 2099"),
        ({"start": "1971-01-01", "end": "1972-01-01", "statuses": ["suspended"]}, "No member has the status suspended"),
    ],
)
def test_what_cannot_become_a_summary_is_refused_at_once(place: DryRun, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        place.service.enqueue("membership_summary", {"start": START, "end": END, **changes})
    assert words in str(refused.value)


def test_postgres_gives_the_same_figures_and_refuses_what_a_pdf_cannot_hold(place: DryRun, postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    rows = sample.draw()["members"]
    more = [(n + 10_000, f"X{n}", *row[2:]) for n, row in enumerate(rows[:400])]
    insert = f"INSERT INTO members VALUES ({', '.join(['%s'] * len(rows[0]))})"
    with engine.begin() as connection:
        connection.exec_driver_sql(sample.SCHEMA)
        connection.exec_driver_sql(insert, list(rows))
    source = Source(postgres_url)
    here, there = (wished(place, each, roster=True) for each in (place.steward.source, source))
    assert here.context["summary"] == there.context["summary"]
    assert here.context["statement"] == there.context["statement"]
    for left, right in zip(here.tables, there.tables, strict=True):
        assert (left.name, left.total) == (right.name, right.total)
        assert list(left.rows) == list(right.rows)
    with engine.begin() as connection:
        connection.exec_driver_sql(insert, more)
    with pytest.raises(
        Exception, match=r"A roster of 4,3\d\d members is too long for a PDF\. It can hold 4,200\..* CSV or XLSX"
    ):
        wished(place, source, roster=True)
    assert len(table(wished(place, source, roster=True, formats=["xlsx"]), "roster")) > 4_200
    source.close()
    engine.dispose()


def test_an_empty_database_is_said_in_words(place: DryRun, postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(sample.SCHEMA)
    engine.dispose()
    with pytest.raises(Exception, match=r"There are no members to sum up\."):
        wished(place, Source(postgres_url))


def test_a_period_that_is_not_over_tells_of_the_roll_as_it_is_known(
    place: DryRun, database: sqlite3.Connection, clock_at: Callable[[datetime], None]
) -> None:
    clock_at(datetime(2026, 11, 27, 12, tzinfo=UTC))
    report = wished(place, place.steward.source, start="2026-07-01", end="2030-12-31")
    figures = report.context["figures"]
    assert figures.end == date(2026, 11, 27)
    assert report.context["summary"][0].startswith("On 27 November 2026 the roll held ")
    assert report.context["period"] == "1 July 2026 to 31 December 2030, provisional: figures up to 27 November 2026"
    assert (report.name, report.title) == (
        "membership-summary-2026-07-01-2030-12-31-provisional",
        "Membership summary, provisional",
    )
    assert not any("2030" in text for text in report.context["summary"])
    stated = dict(table(report, "statement"))
    assert "provisional: figures up to 27 November 2026" in stated["Period"]
    assert "as on record on 27 November 2026" in stated["Cut-off"]
    over = wished(place, place.steward.source)
    assert over.name == f"membership-summary-{START}-{END}"


def test_what_is_today_s_is_said_to_be_today_s(
    place: DryRun, database: sqlite3.Connection, clock_at: Callable[[datetime], None]
) -> None:
    clock_at(datetime(2026, 11, 26, 23, 0, tzinfo=UTC))
    handler = place.steward.registry.get("membership_summary")
    payload = handler.payload(start="2020-01-01", end="2020-12-31", roster=True)
    (report,) = handler(payload, place.steward.source, Calendar("Pacific/Auckland"))
    today = "as on record on 27 November 2026"  # in Auckland
    titles = {each.name: each.title for each in report.tables}
    for name in ("statuses", "classifications", "apprentices", "towns", "roster"):
        assert titles[name].endswith(today), name
    assert "not those of 31 December 2020" in rendered(place, report)
    for text in report.context["summary"][2:]:
        assert today in text[:1].lower() + text[1:]
    assert dict(table(report, "statement"))["Status, classification, town"].startswith("those on record on 27 November")


def rendered(place: DryRun, report: Report) -> str:
    """Return the page that the template makes, in one line."""
    page = place.steward.templates.render(
        "membership_summary/report.html.j2",
        report.context,
        tables={each.name: each for each in report.tables},
        organization="Local 214",
        created_at=datetime(2026, 11, 26, 23, 0, tzinfo=UTC),
        template_version="1",
        title=report.title,
    )
    return re.sub(r"\s+", " ", page)


def test_a_summary_of_nobody_is_made_on_purpose(place: DryRun, database: sqlite3.Connection) -> None:
    nobody = {"start": "1971-01-01", "end": "1972-01-01", "statuses": ["suspended"], "formats": ["pdf", "csv", "xlsx"]}
    with pytest.raises(InvalidRequest, match="or have it made even if there is nobody"):
        place.service.enqueue("membership_summary", nobody)
    found = make(place, database, {**nobody, "even_if_empty": True})
    assert "0 members have the status suspended, of all who had joined by 1 January 1972." in re.sub(
        r"\s+", " ", found.text
    )
