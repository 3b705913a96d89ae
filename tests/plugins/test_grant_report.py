"""The grant report as a funder gets it: its figures against SQL of our own, its pages, its spreadsheets, its letter."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward import Calendar, Source, TaskResult
from steward.cli import sample
from steward.documents.pdf.renderer import Layout
from steward.documents.pdf.weasyprint import WeasyRenderer
from steward.errors import InvalidRequest
from steward.installation import settings
from steward.plugins.run_result import HandlerFailure, HandlerRequest, HandlerResult
from steward.system.clock import micros
from steward.worker.dry_run import DryRun, trial

GRANT = "DOL-ABA-2025-0417"
START, END = "2025-10-01", "2026-09-30"
WISH = {
    "grant": GRANT,
    "start": START,
    "end": END,
    "prepared_by": "Grace {{7*7}} <b>Hopper</b>",
    "recipients": ["funder@example.org", "trustee@example.org"],
    "formats": ["pdf", "csv"],
}
MAILED = {**WISH, "grant": "IBEW-INTL-2026-09", "start": "2026-01-01", "archive": False, "formats": ["pdf"]}
SECTIONS = [
    "Summary",
    "Budget against spending",
    "Spending over time",
    "People served",
    "Demographics",
    "Attendance",
    "Certifications earned",
    "Placements",
    "Cost for each person",
    "Expense ledger",
    "Statement of the figures",
]


@dataclass(frozen=True)
class Made:
    """One report, made once for all the tests that read it."""

    trial: DryRun
    task: TaskResult
    pdf: Path
    pages: list[str]
    database: sqlite3.Connection

    @property
    def text(self) -> str:
        return "\n".join(self.pages)

    def section(self, name: str) -> str:
        """The text from a heading to the next."""
        body = "\n".join(self.pages[2:])
        following = [*SECTIONS, None][SECTIONS.index(name) + 1]
        start = re.search(rf"^ *{name}$", body, re.MULTILINE)
        assert start, name
        stop = re.search(rf"^ *{following}$", body[start.end() :], re.MULTILINE) if following else None
        return body[start.end() : start.end() + stop.start() if stop else None]

    def cents(self, what: str, rest: str) -> Decimal:
        """The sum of a column, added up as whole cents by the database."""
        found = self.database.execute(f"SELECT COALESCE(SUM(CAST(ROUND({what} * 100) AS INTEGER)), 0) {rest}")
        return Decimal(found.fetchone()[0]) / 100

    def value(self, statement: str) -> Any:
        return self.database.execute(statement).fetchone()[0]

    def spent(self, condition: str = "1 = 1") -> Decimal:
        """What was spent in the period, or whatever `condition` says of `day`."""
        within = f"day BETWEEN '{START}' AND '{END}'" if "day" not in condition else "1 = 1"
        return self.cents("total_price", f"FROM spent WHERE {within} AND {condition}")

    def csv(self, table: str) -> list[list[str]]:
        path = next(p for name, p in self.trial.files(self.task).items() if name.endswith(f"-{table}.csv"))
        return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("grant")
    sample.make(folder / "members.sqlite3")
    chosen = settings.load(
        data_dir=folder / "data",
        source_url=f"sqlite:///{folder / 'members.sqlite3'}",
        organization="IBEW Local 214 Training Fund",
        mail_from="Local 214 <office@example.org>",
        free_space_mb=0,
    )
    database = sqlite3.connect(folder / "members.sqlite3")
    database.executescript(f"""
        CREATE TEMP VIEW spent AS SELECT e.*, substr(e.purchased_at, 1, 10) AS day FROM expenses e
            JOIN grants g ON g.id = e.grant_id WHERE g.grant_number = '{GRANT}';
        CREATE TEMP VIEW served AS SELECT e.*, s.gender, s.race_ethnicity, s.veteran FROM grant_enrollments e
            JOIN grants g ON g.id = e.grant_id JOIN students s ON s.id = e.student_id
            WHERE g.grant_number = '{GRANT}' AND e.enrolled_date <= '{END}'
                AND (e.ended_date IS NULL OR e.ended_date >= '{START}');
        CREATE TEMP VIEW ours AS SELECT e.student_id, e.enrolled_date FROM grant_enrollments e
            JOIN grants g ON g.id = e.grant_id WHERE g.grant_number = '{GRANT}' AND e.enrolled_date <= '{END}';
    """)
    with trial(chosen) as installation:
        task = installation.service.get_status(installation.service.enqueue("grant_report", WISH))
        assert task.state == "succeeded", task.error
        pdf = next(path for name, path in installation.files(task).items() if name.endswith(".pdf"))
        yield Made(installation, task, pdf, pages_of(pdf), database)
    database.close()


def pages_of(pdf: Path) -> list[str]:
    done = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True)
    return done.stdout.split("\f")[:-1]


def dollars(amount: Decimal) -> str:
    return f"−${-amount:,.2f}" if amount < 0 else f"${amount:,.2f}"


def words_of(text: str) -> str:
    return " ".join(text.split())


# The figures


def test_the_budget_agrees_with_the_database_to_the_cent(made: Made) -> None:
    section = made.section("Budget against spending")
    plans = made.database.execute(
        "SELECT category, amount FROM grant_budgets b JOIN grants g ON g.id = b.grant_id "
        f"WHERE grant_number = '{GRANT}'"
    ).fetchall()
    budget = {category: Decimal(str(amount)) for category, amount in plans}
    categories = {row[0] for row in made.database.execute("SELECT DISTINCT category FROM spent")} | set(budget)
    for category in categories:
        before = made.spent(f"category = '{category}' AND day < '{START}'")
        within = made.spent(f"category = '{category}'")
        plan = budget.get(category, Decimal(0))
        row = next(line for line in section.splitlines() if re.match(rf" *{category.capitalize()} +(yes|no) ", line))
        shown = row.split()
        assert shown[1] == ("yes" if category in budget else "no")
        expected = [plan, before, within, before + within, plan - before - within]
        assert shown[2:7] == [dollars(amount) for amount in expected]
        assert section.count(dollars(before + within)) >= 2, "the chart says it as well"
    total = next(line for line in section.splitlines() if line.split()[:1] == ["Total"])
    before, within, plan = made.spent(f"day < '{START}'"), made.spent(), sum(budget.values(), Decimal(0))
    assert total.split()[1:6] == [dollars(a) for a in (plan, before, within, before + within, plan - before - within)]
    assert len(categories) > 6


def test_what_the_grant_does_not_allow_is_called_out(made: Made) -> None:
    entries = made.database.execute(
        f"SELECT item, receipt_number FROM spent WHERE category = 'travel' AND day BETWEEN '{START}' AND '{END}'"
    ).fetchall()
    amount = made.spent("category = 'travel'")
    assert entries
    assert f"Not allowable: {dollars(amount)}" in words_of(made.section("Budget against spending"))
    assert (
        f"{dollars(amount)} were spent in categories that the grant does not allow: {len(entries)} entries"
        in words_of(made.section("Summary"))
    )
    assert all(receipt in made.section("Budget against spending") for _, receipt in entries if receipt)


def test_every_month_agrees_in_the_table_and_in_the_chart(made: Made) -> None:
    section = made.section("Spending over time")
    to_date = Decimal(0)
    months = [date(2025 + n // 12, n % 12 + 1, 1) for n in range(6, 21)]
    for month in months:
        spent = made.spent(f"substr(day, 1, 7) = '{month:%Y-%m}'")
        to_date += spent
        row = next(line for line in section.splitlines() if line.strip().startswith(f"{month:%B %Y} "))
        assert row.split()[-1] == dollars(to_date)
        assert dollars(spent) in row
        assert section.count(dollars(spent)) >= 2, "the column says it as well"
    assert to_date == made.spent("day > ''")


def test_the_people_served_and_their_rates_agree(made: Made) -> None:
    section = words_of(made.section("People served"))
    served = made.value("SELECT COUNT(*) FROM served")
    ended = {
        name: made.value(f"SELECT COUNT(*) FROM served WHERE status = '{name}' AND ended_date <= '{END}'")
        for name in ("completed", "dropped")
    }
    active = served - sum(ended.values())
    for words, count in (("Completed", ended["completed"]), ("Dropped out", ended["dropped"]), ("In training", active)):
        assert f"{words} {count} {100 * count / served:.1f} %" in section
    assert f"People served {served} 100.0 %" in section
    joined = made.value(f"SELECT COUNT(*) FROM served WHERE enrolled_date >= '{START}'")
    assert f"{served} people were served, {joined} of whom joined" in words_of(made.section("Summary"))


def test_attendance_certifications_and_placements_agree(made: Made) -> None:
    joined = "JOIN ours o ON o.student_id = x.student_id"
    within = f"x.session_date BETWEEN '{START}' AND '{END}' AND x.session_date >= o.enrolled_date"
    hours = made.cents("x.hours", f"FROM attendance x {joined} WHERE {within}")
    marks = made.value(f"SELECT COUNT(*) FROM attendance x {joined} WHERE {within}")
    attendance = words_of(made.section("Attendance"))
    assert f"Total {marks:,} 100.0 % {hours:,}" in attendance
    november = made.cents("x.hours", f"FROM attendance x {joined} WHERE {within} AND x.session_date LIKE '2025-11-%'")
    assert attendance.count(f"{november:,}") >= 2

    certificates = words_of(made.section("Certifications earned"))
    issued = f"FROM certifications x {joined} WHERE x.issued_date BETWEEN '{START}' AND '{END}'"
    for name, count, people in made.database.execute(
        f"SELECT x.name, COUNT(*), COUNT(DISTINCT x.student_id) {issued} GROUP BY x.name"
    ):
        assert f"{name} {count} {people}" in certificates
    assert made.value(f"SELECT COUNT(*) {issued}") > 100

    found = f"FROM placements x {joined} WHERE x.start_date BETWEEN '{START}' AND '{END}'"
    placed, wages = made.value(f"SELECT COUNT(*) {found}"), made.cents("x.hourly_wage", found)
    placements = words_of(made.section("Placements"))
    assert f"All placements {placed} 100.0 % {dollars(round(wages / placed, 2))}" in placements
    for days in (30, 60, 90):
        due = made.value(f"SELECT COUNT(x.followup_{days}) {found}")
        employed = made.value(f"SELECT SUM(x.followup_{days}) {found}")
        assert f"After {days} days {due} {employed} {100 * employed / due:.1f} %" in placements
    served = made.value("SELECT COUNT(*) FROM served")
    costs = words_of(made.section("Cost for each person"))
    assert f"{dollars(made.spent())} {served} {dollars(round(made.spent() / served, 2))}" in costs
    assert f"{dollars(made.spent())} {placed} {dollars(round(made.spent() / placed, 2))}" in costs


def test_the_ledger_holds_every_expense_with_its_receipt_in_the_pdf_and_in_the_csv(made: Made) -> None:
    rows = made.database.execute(
        "SELECT day, item, vendor, receipt_number, CAST(ROUND(total_price * 100) AS INTEGER) FROM spent "
        f"WHERE day BETWEEN '{START}' AND '{END}' ORDER BY purchased_at, id"
    ).fetchall()
    assert len(rows) >= 300
    lines = [line.split() for line in made.section("Expense ledger").splitlines() if re.match(r" *20\d\d-", line)]
    assert len(lines) == len(rows)
    written = made.csv("ledger")
    assert len(written) == len(rows) + 2
    for (day, item, vendor, receipt, total), line, record in zip(rows, lines, written[1:-1], strict=True):
        assert line[0] == record[0] == day
        assert (receipt or "none") in line
        assert line[-1] == dollars(Decimal(total) / 100)
        assert [record[1], record[3], record[5], record[-1]] == [item, vendor, receipt or "none", f"{total / 100:.2f}"]
    assert written[-1][-1] == f"{made.spent():.2f}"
    assert f"{len(rows)} entries of the grant" in words_of(made.section("Statement of the figures"))


def test_the_spreadsheets_hold_what_the_pages_say(made: Made) -> None:
    assert made.csv("budget")[-1][4] == f"{made.spent():.2f}"
    assert made.csv("months")[-1][-1] == str(made.spent("day > ''"))
    assert ["Gender", "Non-binary", "not shown", ""] in made.csv("demographics")


# What must not be told


def test_small_groups_are_not_shown_nor_to_be_worked_out(made: Made) -> None:
    shown = [row for row in made.csv("demographics")[1:] if row[0] == "Gender"]
    counts = dict(made.database.execute("SELECT gender, COUNT(*) FROM served GROUP BY gender").fetchall())
    small = {group for group, count in counts.items() if count < 5}
    assert small
    left_out = {group for _, group, people, _ in shown if people == "not shown"}
    assert small <= left_out
    assert len(left_out) >= 2
    for _, group, people, share in shown:
        if group not in left_out:
            assert (people, f"{float(share):.6f}") == (
                str(counts[group]),
                f"{counts[group] / sum(counts.values()):.6f}",
            )
    assert "not shown" in made.section("Demographics")


def test_no_reader_who_knows_the_rule_can_work_out_a_hidden_group(made: Made) -> None:
    hidden = plugin("suppression").hidden

    def answers(total: int, groups: int) -> Iterator[tuple[int, ...]]:
        for cuts in itertools.combinations(range(1, total), groups - 1):
            yield tuple(b - a for a, b in itertools.pairwise((0, *cuts, total)))

    hid = 0
    for sizes in itertools.product(range(8), repeat=4):
        counts = dict(zip("abcd", sizes, strict=True))
        left_out = hidden(counts)
        assert left_out >= {group for group in counts if 0 < counts[group] < 5}
        if not left_out or left_out == counts.keys():
            continue
        hid += 1
        names = sorted(left_out)
        possible = [
            guess
            for guess in answers(sum(counts[name] for name in names), len(names))
            if hidden({**counts, **dict(zip(names, guess, strict=True))}) == left_out
        ]
        assert all(len(set(values)) > 1 for values in zip(*possible, strict=True)), counts
    assert hid > 500


def test_a_wage_that_would_be_that_of_few_people_is_not_shown() -> None:
    work, placement = plugin("people")._work, plugin("reading").Placement
    one = placement(1, date(2026, 1, 5), Decimal("24.70"), True, (None, None, None))
    kinds = work([*[one] * 6, *[replace(one, union=False)] * 2])
    assert [(kind.count, kind.wage) for kind in kinds] == [(6, None), (2, None), (8, Decimal("24.70"))]
    assert [kind.wage for kind in work([one] * 3)] == [None, None, None]


# The pages


def test_it_is_a_document_of_pages_with_contents_bookmarks_and_tags(made: Made) -> None:
    reader = pypdf.PdfReader(made.pdf)
    count = len(reader.pages)
    assert count >= 8
    for n, page in enumerate(made.pages, 1):
        assert f"Page {n} of {count}" in page
    top = reader.outline[0]
    assert top.title.startswith("Apprenticeship Building America")
    marks = {
        mark.title: reader.get_destination_page_number(mark) + 1
        for mark in reader.outline[1]
        if not isinstance(mark, list)
    }
    assert [title for title in marks if title != "Contents"] == SECTIONS
    for title in SECTIONS:
        assert re.search(rf"{title} +{marks[title]}$", made.pages[1], re.MULTILINE), "the contents name the page"
        assert re.search(rf"^ *{title}$", made.pages[marks[title] - 1], re.MULTILINE)
    catalog = reader.trailer["/Root"]
    assert catalog["/MarkInfo"]["/Marked"]
    assert catalog["/Lang"] == "en"
    assert reader.metadata and reader.metadata.title == top.title
    kinds: dict[str, int] = {}
    spoken = []
    elements = [catalog["/StructTreeRoot"]]
    while elements:
        element = elements.pop().get_object()
        if not isinstance(element, dict):
            continue
        kinds[element.get("/S", "")] = kinds.get(element.get("/S", ""), 0) + 1
        if element.get("/S") == "/Figure":
            spoken.append(element.get("/Alt", ""))
        below = element.get("/K", [])
        elements += below if isinstance(below, list) else [below]
    assert kinds["/Table"] > 10
    assert kinds["/TR"] > 350
    assert len(spoken) == 5
    assert all(spoken)


def test_the_head_of_the_ledger_is_repeated_on_each_of_its_pages(made: Made) -> None:
    ledger = [page for page in made.pages if re.search(r"^ *Date +Item +Category +Vendor +Paid", page, re.MULTILINE)]
    with_rows = [page for page in made.pages if re.search(r"^ *20\d\d-\d\d-\d\d .*\$.*\$.*\$", page, re.MULTILINE)]
    assert ledger == with_rows
    assert len(ledger) >= 8


def test_names_stay_text(made: Made) -> None:
    assert "Grace {{7*7}} <b>Hopper</b>" in words_of(made.pages[0])


def prepared(made: Made, wish: dict[str, Any], created: int = 0) -> HandlerResult:
    """What the handler makes of a request, before anything is laid out."""
    request = HandlerRequest("another", "grant_report", json.dumps(wish), [], created)
    outcome = made.trial.steward.preparer().prepare(request)
    assert isinstance(outcome, HandlerResult), outcome
    return outcome


def plugin(module: str) -> Any:
    """A module of the loaded plugin."""
    return sys.modules[f"steward_plugins.grant_report.{module}"]


# Where it goes


def test_each_recipient_gets_a_letter_with_the_report_and_its_key_figures(made: Made) -> None:
    letters = [m for m in made.trial.messages() if made.task.id in m.name]
    assert sorted(m.to for m in letters) == ["funder@example.org", "trustee@example.org"]
    for letter in letters:
        assert letter.subject.startswith("Grant report: Apprenticeship Building America")
        assert letter.html
        for part in (letter.text, letter.html):
            assert dollars(made.spent()) in part
        assert "Grace {{7*7}} <b>Hopper</b> had it sent to you" in letter.text
        assert "Grace {{7*7}} &lt;b&gt;Hopper&lt;/b&gt; had it sent to you" in letter.html
        attached = {a.name: a.content for a in letter.attachments}
        assert attached == {name: path.read_bytes() for name, path in made.trial.files(made.task).items()}
        assert [name for name in attached if name.endswith(".pdf")] == [
            f"grant-report-{GRANT.lower()}-{START}-{END}.pdf"
        ]


@pytest.fixture(scope="module")
def mailed(made: Made) -> TaskResult:
    """A report on a small grant that is sent and not kept."""
    service = made.trial.service
    return service.get_status(service.enqueue("grant_report", MAILED))


def test_a_report_that_is_only_mailed_is_not_kept(made: Made, mailed: TaskResult) -> None:
    assert (mailed.state, mailed.artifacts) == ("succeeded", ())
    letters = [m for m in made.trial.messages() if mailed.id in m.name]
    assert [a.media_type for m in letters for a in m.attachments] == ["application/pdf"] * 2


def test_the_same_request_gives_the_same_bytes_in_another_process(
    made: Made, mailed: TaskResult, tmp_path: Path
) -> None:
    document = prepared(made, MAILED, micros(mailed.created_at)).documents[0]
    assert document.html is not None
    renderer = WeasyRenderer(made.trial.steward.templates.assets)
    try:
        layout = Layout(document.html.read_text(encoding="utf-8"), document.title, mailed.created_at)
        renderer.render(layout, tmp_path / "again.pdf")
    finally:
        renderer.close()
    letter = next(m for m in made.trial.messages() if mailed.id in m.name)
    again, sent = (tmp_path / "again.pdf").read_bytes(), letter.attachments[0].content
    assert hashlib.sha256(again).hexdigest() == hashlib.sha256(sent).hexdigest()


def test_a_grant_without_people_says_so(made: Made) -> None:
    document = prepared(made, {**WISH, "grant": "NECA-TT-2025-022", "formats": ["pdf"]}).documents[0]
    assert document.html is not None
    page = document.html.read_text(encoding="utf-8")
    for words in ("Nobody was enrolled", "There is nobody to count", "No attendance was recorded", "Nobody was placed"):
        assert words in page
    assert ">not shown<" not in page
    assert "cannot be divided" in page
    assert ">not shown<" not in page, "there is nobody whom it would protect"


def test_postgresql_gives_the_same_report(made: Made, postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute(sample.SCHEMA)  # type: ignore[arg-type]
        for name, rows in sample.draw().items():
            with connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
    here = prepared(made, WISH).documents[0]
    steward = made.trial.steward
    preparer = replace(steward.preparer(), source=Source(postgres_url), folder=steward.spool_folder / "postgres")
    outcome = preparer.prepare(HandlerRequest("another", "grant_report", json.dumps(WISH), [], 0))
    assert isinstance(outcome, HandlerResult), outcome
    there = outcome.documents[0]
    assert here.html and there.html
    assert there.html.read_text(encoding="utf-8") == here.html.read_text(encoding="utf-8")
    assert [path.read_bytes() for _, _, path in there.files] == [path.read_bytes() for _, _, path in here.files]
    preparer.source.close()


# What is refused when it is asked for


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grant": "DOL-ABA-2025-0471"}, "There is no grant 'DOL-ABA-2025-0471'. Did you mean 'DOL-ABA-2025-0417'?"),
        ({"start": "2025-06-30"}, "The grant runs from 2025-07-01 to 2027-06-30"),
        ({"end": "2027-07-01"}, "lies outside the grant"),
        (
            {"start": "2027-01-01", "end": "2027-03-31"},
            "No expense, no enrollment and no attendance was entered for this period. Choose a period in which",
        ),
        ({"start": "2026-09-30", "end": "2025-10-01"}, "the last day must not lie before the first, 2026-09-30"),
        ({"recipients": [], "archive": False}, "keep the report here, or name somebody to send it to"),
        ({"formats": []}, "formats"),
        ({"recipients": ["nobody"]}, "recipients"),
    ],
)
def test_what_cannot_become_a_report_is_refused_at_once_with_the_remedy(
    made: Made, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        made.trial.service.enqueue("grant_report", {**WISH, **change})
    assert words in str(refusal.value)


# What the data cannot know


def page_of(outcome: HandlerResult) -> str:
    html = outcome.documents[0].html
    assert html is not None
    return words_of(re.sub(r"<[^>]+>", " ", html.read_text(encoding="utf-8")))


def test_a_period_that_is_not_over_is_marked_wherever_its_figures_stand(
    made: Made, clock_at: Callable[[datetime], None]
) -> None:
    clock_at(datetime(2026, 8, 15, 12, tzinfo=UTC))
    outcome = prepared(made, {**WISH, "start": "2026-07-01", "formats": ["pdf", "csv", "xlsx"]})
    document, page = outcome.documents[0], page_of(outcome)
    assert document.name.endswith("-2026-07-01-2026-09-30-provisional.pdf")
    assert document.title.endswith(", provisional"), "the running head and the heading of every page"
    until_then = "CAST(day AS TEXT) BETWEEN '2026-07-01' AND '2026-08-15'"
    whole = "CAST(day AS TEXT) BETWEEN '2026-07-01' AND '2026-09-30'"
    assert made.spent(until_then) != made.spent(whole)
    assert f"{dollars(made.spent(until_then))} spent in the period" in page
    assert dollars(made.spent(whole)) not in page
    assert "provisional: figures up to 15 August 2026" in page
    assert "as on record on 15 August 2026, before the period is over" in page
    assert "Provisional. The period ends on 30 September 2026." in page
    assert "at the end of the period" not in page
    passed = Decimal((date(2026, 8, 15) - date(2025, 7, 1)).days + 1) / (
        (date(2027, 6, 30) - date(2025, 7, 1)).days + 1
    )
    assert f"By then {100 * passed:.1f}" in page
    files = {name: path for name, _, path in document.files}
    assert all("-provisional" in name for name in files)
    stated = next(path for name, path in files.items() if name.endswith("-statement.csv")).read_text("utf-8-sig")
    assert "provisional: the period is over after 30 September 2026" in stated
    with zipfile.ZipFile(next(path for name, path in files.items() if name.endswith(".xlsx"))) as workbook:
        assert b"Statement of the figures" in workbook.read("xl/workbook.xml")
    assert "provisional" in outcome.letters[0].subject


def test_a_period_that_is_over_is_final_from_the_next_day_on_in_the_installation_s_zone(
    made: Made, clock_at: Callable[[datetime], None]
) -> None:
    auckland = replace(made.trial.steward.preparer(), calendar=Calendar("Pacific/Auckland"))
    request = HandlerRequest("another", "grant_report", json.dumps({**WISH, "formats": ["pdf"]}), [], 0)
    clock_at(datetime(2026, 9, 30, 23, 30, tzinfo=UTC))  # in Auckland it is 1 October
    there = auckland.prepare(request)
    assert isinstance(there, HandlerResult), there
    assert not there.documents[0].name.endswith("-provisional.pdf")
    assert "at the end of 30 September 2026, as on record on 1 October 2026" in page_of(there)
    here = prepared(made, {**WISH, "formats": ["pdf"]})
    assert here.documents[0].name.endswith("-provisional.pdf")


def test_a_period_still_to_come_is_refused(made: Made, clock_at: Callable[[datetime], None]) -> None:
    clock_at(datetime(2026, 3, 1, tzinfo=UTC))
    for even in (False, True):
        with pytest.raises(
            InvalidRequest, match=r"Nothing can be known yet of the period from 2026-04-01 to 2026-06-30"
        ):
            made.trial.service.enqueue(
                "grant_report", {**WISH, "start": "2026-04-01", "end": "2026-06-30", "even_if_empty": even}
            )


def test_what_was_so_when_it_was_asked_for_is_looked_at_again_when_it_is_made(made: Made) -> None:
    request = HandlerRequest("another", "grant_report", json.dumps({**WISH, "end": "2031-12-31"}), [], 0)
    outcome = made.trial.steward.preparer().prepare(request)
    assert isinstance(outcome, HandlerFailure)
    assert outcome.final
    assert "lies outside the grant" in outcome.words


@given(st.dates(date(2025, 7, 1), date(2027, 6, 30)), st.integers(0, 800), st.integers(-200, 1200))
def test_never_more_than_all_of_the_time_has_passed_nor_figures_beyond_today(
    start: date, length: int, today: int
) -> None:
    end = min(start + timedelta(days=length), date(2027, 6, 30))
    standing = plugin("statement").Standing(end, date(2026, 6, 30) + timedelta(days=today))
    assert standing.until <= end
    assert standing.until <= standing.read
    assert standing.provisional == (standing.read <= end)
    assert plugin("people").share((standing.until - date(2025, 7, 1)).days + 1, 730) <= 1
    assert ("provisional" in standing.period(start)) == standing.provisional


def test_a_report_with_nothing_in_it_is_made_on_purpose(made: Made, clock_at: Callable[[datetime], None]) -> None:
    clock_at(datetime(2027, 6, 1, tzinfo=UTC))
    nothing = {**WISH, "start": "2027-01-01", "end": "2027-03-31", "formats": ["pdf", "csv"], "recipients": []}
    with pytest.raises(InvalidRequest, match="or have it made even if nothing was entered"):
        made.trial.service.enqueue("grant_report", nothing)
    service = made.trial.service
    task = service.get_status(service.enqueue("grant_report", {**nothing, "even_if_empty": True}))
    assert task.state == "succeeded", task.error
    pages = words_of("\n".join(pages_of(next(p for n, p in made.trial.files(task).items() if n.endswith(".pdf")))))
    assert "No expense, no enrollment and no attendance was entered for this period." in pages
    assert "Training Fund spent $0.00 under the grant" in pages


def test_a_schedule_ends_with_its_grant(made: Made, clock_at: Callable[[datetime], None]) -> None:
    clock_at(datetime(2027, 6, 1, tzinfo=UTC))
    steward = made.trial.steward
    wish = {**WISH, "even_if_empty": True}
    standing = steward.schedules.make("grant_report", wish, "0 6 10 1,4,7,10 *", owner="Ada", missed="all")
    assert standing.days == (date(2027, 4, 1), date(2027, 6, 30))
    clock_at(datetime(2028, 2, 1, tzinfo=UTC))
    steward.scheduler.fire()
    ended = steward.schedules.get(standing.entry.id)
    assert ended.entry.ended == "There is nothing to ask for after 30 June 2027."
    tasks = [steward.service.get_status(f.task_id) for f in steward.schedules.history(standing.entry.id) if f.task_id]
    assert [(task.payload["start"], task.payload["end"]) for task in tasks] == [("2027-04-01", "2027-06-30")]
    clock_at(datetime(2027, 8, 1, tzinfo=UTC))
    with pytest.raises(
        InvalidRequest, match=r"would never have anything to do\. There is nothing to ask for after 30 June"
    ):
        steward.schedules.make("grant_report", wish, "0 6 10 1,4,7,10 *", owner="Ada")
